"""The toy sets: the doubled softmax, what can be attained, and the figure of all runs."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

import npnn
from experiments import _toy_figure as figure
from npnn.data import make_toy
from npnn.experiment.registry import experiment

pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed: no toy sets")
TOY = experiment("mlp_toy")


def test_the_doubled_softmax_is_cross_entropy_of_probabilities_and_has_a_floor():
    scores, y = npnn.tensor(np.array([[2.0, -1.0], [0.5, 3.0]])), npnn.tensor(np.array([0, 0]))
    loss = TOY.loss(npnn.nn, TOY.Config(softmax=True))
    p = np.exp(scores.numpy()) / np.exp(scores.numpy()).sum(axis=1, keepdims=True)
    expected = np.mean(np.log(np.exp(p).sum(axis=1)) - p[:, 0])
    assert loss(scores, y).item() == pytest.approx(expected)
    sure = npnn.tensor(np.array([[60.0, -60.0]]))
    assert loss(sure, npnn.tensor(np.array([0]))).item() == pytest.approx(math.log(math.e + 1) - 1)
    assert TOY.loss(npnn.nn, TOY.Config())(sure, npnn.tensor(np.array([0]))).item() == 0


def test_what_the_optimal_rule_gets_on_the_rings():
    """A ring of radius R, blurred by s, has the density exp(-(r - R)^2 / 2 s^2) i0e(r R / s^2) at radius r."""
    special = pytest.importorskip("scipy.special")
    data, s = make_toy("circles"), 0.1
    r = np.linalg.norm(data.test_x.astype(float), axis=1)
    logs = [np.log(special.i0e(r * R / s**2)) - (r - R) ** 2 / (2 * s**2) for R in (1.0, 0.8)]
    assert 100 * np.mean(np.argmax(logs, axis=0) == data.test_y) == pytest.approx(figure.OPTIMAL["circles"])


def test_what_the_optimal_rule_gets_on_the_blobs():
    import sklearn.datasets

    _, _, centres = sklearn.datasets.make_blobs(1000, centers=2, cluster_std=3.0, random_state=0, return_centers=True)
    data = make_toy("blobs")
    nearest = np.argmin([((data.test_x - c) ** 2).sum(axis=1) for c in centres], axis=0)
    assert np.mean(nearest == data.test_y) == 0.72
    assert "72.0 %" in TOY.REPORTED["blobs"].note


def row(variant, torch=True):
    columns = {"step": [10, 20], "train_loss": [0.6, 0.5], "validation_accuracy": [0.5, 0.8]}
    ours, theirs = ({"history": {**columns, "seconds": [1e-3, 1e-3]}, "step_ms": us / 1000} for us in (50, 100))
    return SimpleNamespace(config=TOY.VARIANTS[variant], npnn=[ours, ours], torch=[theirs] if torch else [])


def test_the_figure_shows_what_ran():
    ran = {"moons": row("moons"), "circles": row("circles", torch=False), "circles-lr1": row("circles-lr1")}
    sheet = TOY.overview({**ran, "moons-batch1": row("moons-batch1")})
    starts, circles, quantiles, times = sheet.axes
    assert len(starts.get_lines()) == 3
    assert len(circles.get_lines()) == 2 + 3 + 1
    assert [text.get_text() for text in circles.texts] == ["rate 0.01", "rate 1"]
    assert not quantiles.get_lines()
    assert [text.get_text() for text in times.texts] == ["50", "50", "100", "100"]
    assert [tick.get_text() for tick in times.get_xticklabels()] == ["1", "800"]
    assert [text.get_text() for text in sheet.legends[0].get_texts()] == ["npnn", "torch", "optimal rule"]
    assert TOY.overview({}).axes


def test_the_figure_shows_a_framework_that_ran_one_of_two_sizes():
    sheet = TOY.overview({"moons": row("moons"), "moons-batch1": row("moons-batch1", torch=False)})
    ours, theirs = sheet.axes[3].containers
    assert [bar.get_x() for bar in (*ours, *theirs)] == pytest.approx([-0.4, 0.6, 1.0])
    assert [text.get_text() for text in sheet.legends[0].get_texts()] == ["npnn", "torch"]


def test_times_are_of_the_same_work():
    others = ("hastie", "multiclass-lr1", "blobs-softmax")
    assert figure.step_times({variant: row(variant) for variant in others}) == {}
    found = figure.step_times({"moons": row("moons", torch=False)})
    assert found == {800: {"npnn": pytest.approx(50)}}
