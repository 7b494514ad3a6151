"""The figures of the experiments on images show what ran, and nothing that is not there."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import npnn
from experiments import cnn_cifar10
from experiments._sheet import sheet
from npnn.train import History

pytest.importorskip("matplotlib", reason="matplotlib is not installed: no figures")


def history(epochs, every=1):
    result = History()
    for step in range(every, 4 * epochs + 1, every):
        record = {"epoch": -(-step // 4), "step": step, "train_loss": 2.3, "train_accuracy": 0.1}
        result.append({**record, "validation_loss": 2.3, "validation_accuracy": 0.1})
    return result


def result(wrong=0, kept="float32", evaluate_every=None):
    labels = np.arange(20) % 10
    scores = np.eye(10)[(labels + (np.arange(20) < wrong)) % 10]
    data = SimpleNamespace(test_x=np.zeros((20, 1, 8, 8), np.float32), test_y=labels, classes=tuple("0123456789"))
    return SimpleNamespace(
        data=data, outputs=scores, job=SimpleNamespace(kept=kept), histories={"npnn": history(3)}, watched="test",
        config=SimpleNamespace(evaluate_every=evaluate_every), class_accuracies={"npnn": [1.0] * 10},
        model=[None, None], predict=lambda x, part: np.zeros((len(x), 4, 4, 4)),
    )  # fmt: skip


WEIGHT = np.ones((30, 1, 3, 3))


def texts(page):
    return [ax.get_title() for ax in page.axes]


@pytest.mark.parametrize(("wrong", "shown", "height"), [(0, 0, 0), (3, 3, 1.38), (20, 16, 2.75)])
def test_the_sheet_is_as_long_as_there_are_mistakes(wrong, shown, height):
    page = sheet(result(wrong), WEIGHT)
    assert sum(title.startswith("says") for title in texts(page)) == shown
    assert page.get_figheight() == pytest.approx(5.6 + height)


def test_only_the_sheet_of_a_model_that_is_kept_has_mistakes():
    assert not any(title.startswith("says") for title in texts(sheet(result(3, kept=None), WEIGHT)))


def test_the_sheet_says_of_how_many_weights_it_shows_some():
    assert "weights of the first 24 of 30 units" in texts(sheet(result(), WEIGHT, "units"))
    assert "weights of 16 kernels" in texts(sheet(result(), npnn.nn.Parameter(WEIGHT[:16])))


def test_the_sheet_shows_the_maps_of_an_image_of_each_class_that_is_asked_for():
    titles = texts(sheet(result(), WEIGHT, examples=(1, 3), layers=2))
    assert titles.count("input") == 1
    assert titles.count("map 3") == 1


@pytest.mark.parametrize(("every", "x"), [(None, "epoch"), (2, "step")])
def test_records_within_an_epoch_are_numbered_by_their_step(every, x):
    assert sheet(result(evaluate_every=every), WEIGHT).axes[0].get_xlabel() == x


def test_the_overview_of_cifar10_puts_runs_of_any_length_on_one_axis_of_epochs():
    def row(variant, accuracy, every):
        config = cnn_cifar10.VARIANTS[variant]
        return SimpleNamespace(config=config, history=history(config.epochs, every), accuracies=[accuracy])

    rows = {"augmented": row("augmented", 0.5, 4), "sgd-once": row("sgd-once", 0.1, 1)}
    losses, ends = cnn_cifar10.overview(rows).axes
    short, long = losses.get_lines()
    np.testing.assert_allclose(long.get_xdata(), [1, 2, 3, 4])
    np.testing.assert_allclose(short.get_xdata(), [0.25, 0.5, 0.75, 1])
    assert [tick.get_text() for tick in ends.get_yticklabels()] == ["SGD 1e-4", "Adam 1e-4, BN, augmented"]
    assert [text.get_text() for text in ends.texts] == ["1", "4"]
    assert {(float(x), float(y)) for line in ends.get_lines() for x, y in zip(*line.get_data(), strict=True)} == {
        (10, 0), (50, 1),
    }  # fmt: skip
    assert cnn_cifar10.overview({"best": rows["augmented"]}) is None
