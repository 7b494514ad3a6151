"""What the experiments on MNIST are made of: augmentation, initial weights, weight decay, schedules."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import npnn
from experiments import mnist
from npnn.experiment.config import replace
from npnn.experiment.registry import experiment
from tests.experiments.conftest import tiny_job


def test_each_row_of_the_report_has_a_faulted_twin_with_the_same_settings():
    for name, config in mnist.REPORT.items():
        assert config.faults == "none"
        assert dataclasses.replace(mnist.VARIANTS[f"{name}-faulted"], faults="none") == config
    assert set(mnist.REPORTED) > {name + suffix for name in mnist.REPORT for suffix in ("", "-faulted")}
    rows = {reported.row for variant in mnist.REPORTED for reported in experiment("mnist").reported(variant)}
    assert rows == {f"S4-{i}" for i in range(1, 11)}


@pytest.mark.parametrize(
    ("variant", "shapes"),
    [
        ("mlp600", [(600, 784), (10, 600)]),
        ("mlp512", [(512, 784), (256, 512), (10, 256)]),
        ("conv", [(16, 1, 3, 3), (256, 10816), (10, 256)]),
        ("pool", [(16, 1, 3, 3), (256, 2704), (10, 256)]),
    ],
)
def test_the_networks_are_the_reports(variant, shapes):
    model = mnist.build(npnn.nn, mnist.VARIANTS[variant])
    assert [p.shape for p in model.parameters() if p.ndim > 1] == shapes
    for p in model.parameters():
        if p.ndim > 1 and p.numel() > 1000:
            np.testing.assert_allclose(p.detach().numpy().std(), (2 / np.prod(p.shape[1:])) ** 0.5, rtol=0.1)


@pytest.mark.parametrize("variant", ["bottleneck", "best-cnn", "best-mlp", "pool-faulted"])
def test_every_network_takes_a_batch(variant):
    model = mnist.build(npnn.nn, mnist.VARIANTS[variant])
    assert model(npnn.tensor(np.zeros((2, 1, 28, 28), np.float32))).shape == (2, 10)


def test_a_share_of_the_images_is_changed():
    x = np.random.default_rng(0).random((300, 1, 28, 28), dtype=np.float32)
    before = x.copy()
    for share in (2 / 3, 1.0):
        change = mnist.transform(replace(mnist.S4, augment=share))
        y = change(x, npnn.Generator().manual_seed(1))
        np.testing.assert_array_equal(x, before)
        assert (y.shape, y.dtype) == (x.shape, x.dtype)
        changed = (y != x).any(axis=(1, 2, 3)).mean()
        assert abs(changed - share) < 0.08
    assert mnist.transform(mnist.S4) is None


def test_the_faulted_augmentation_does_not_change_the_size():
    block = np.zeros((50, 1, 28, 28), np.float32)
    block[:, :, 9:19, 9:19] = 1
    for faulty, spread in (("none", 0.1), ("zoom", 0.02)):
        y = mnist.transform(replace(mnist.S4, augment=1.0, faults=faulty))(block, npnn.Generator().manual_seed(0))
        sizes = y.sum(axis=(1, 2, 3)) / 100
        assert (sizes.std() > spread) if faulty == "none" else (sizes.std() < spread)


def test_biases_do_not_decay():
    model = mnist.build(npnn.nn, mnist.S1)
    optimizer = mnist.optimizer(npnn.optim, model, mnist.S1)
    for group in optimizer.param_groups:
        assert {p.ndim for p in group["params"]} == ({2} if group["weight_decay"] else {1})


@pytest.mark.parametrize(
    ("variant", "rates"),
    [
        ("mlp512", {0: 0.1, 299: 0.1, 300: 0.03, 900: 0.009, 1800: 0.0027}),
        ("exponential", {0: 0.06, 100: 0.06 * 0.9995**100}),
        ("only-exponential", {0: 0.06, 100: 0.06 * 0.9995**5050}),
        ("long", {0: 0.1 / 25, 1500: 0.1, 5000: 0.1 / 25 / 1e4}),
    ],
)
def test_the_learning_rate_at_a_step(variant, rates):
    config = replace(mnist.VARIANTS[variant], epochs=5)
    optimizer = npnn.optim.SGD(npnn.nn.Linear(1, 1).parameters(), lr=config.lr, momentum=config.momentum)
    schedule, per = mnist.schedule(npnn.optim.lr_scheduler, optimizer, config, 1000)
    assert per == "step"
    for step in range(max(rates) + 1):
        if step in rates:
            assert optimizer.param_groups[0]["lr"] == pytest.approx(rates[step], rel=1e-3)
        schedule.step()


def test_the_overview_shows_what_has_run(folders):
    from npnn.experiment.rows import rows
    from npnn.experiment.run import run

    for variant in ("mlp600", "mlp600-faulted"):
        run(tiny_job("mnist", variant), folders, keep=False, progress=False)
    found = rows(experiment("mnist"), folders)
    assert not any(row.npnn for row in found.values()), "two steps are not the variant's settings"
    for variant in ("mlp600", "mlp600-faulted"):
        found[variant].npnn.append({"validation_accuracy": 0.5, "metrics": {"test_accuracy": 0.6}})
    found["mlp600"].torch.append({"validation_accuracy": 0.7, "metrics": {"test_accuracy": 0.8}})
    (ax,) = mnist.overview({name: row for name, row in found.items() if row.npnn}).axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["S4-1  mlp600"]
    found_at = {line.get_label(): float(line.get_xdata()[0]) for line in ax.get_lines()}
    assert found_at == {  # all on examples held out, as reported
        "reported": 80.56, "npnn, with the faults": 50, "npnn, without": 50, "torch, without": pytest.approx(70),
    }  # fmt: skip
