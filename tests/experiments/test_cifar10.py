"""CIFAR-10: what a variant changes is what reaches the network, the optimiser and the loss."""

from __future__ import annotations

import math

import numpy as np
import pytest

import npnn
from experiments import _cifar10, cnn_cifar10, mlp_cifar10
from npnn.experiment.config import UserError, replace
from npnn.experiment.registry import experiment


@pytest.mark.parametrize("variant", cnn_cifar10.VARIANTS)
def test_every_network_gives_ten_scores(variant):
    config = replace(cnn_cifar10.VARIANTS[variant], channels=4)
    scores = cnn_cifar10.build(npnn.nn, config)(npnn.tensor(np.ones((2, 3, 32, 32), np.float32)))
    assert scores.shape == (2, 10)


def test_the_network_of_the_reports_has_their_parameters():
    model = cnn_cifar10.build(npnn.nn, cnn_cifar10.VARIANTS["adam-right"])
    assert [m.weight.shape[0] for m in model if hasattr(m, "kernel_size") and hasattr(m, "weight")] == [
        64, 128, 256, 256, 512, 512, 512, 512,
    ]  # fmt: skip
    assert sum(p.numel() for p in model.parameters()) == 9_225_610


def test_softmax_twice_has_a_floor_that_once_has_not():
    certain = npnn.tensor(100 * np.eye(10, dtype=np.float32))
    right = npnn.tensor(np.arange(10))
    twice, once = (_cifar10.loss(npnn.nn, cnn_cifar10.VARIANTS[name]) for name in ("small-twice", "small-right"))
    assert twice(certain, right).item() == pytest.approx(math.log(math.e + 9) - 1, abs=1e-6)
    assert once(certain, right).item() == pytest.approx(0, abs=1e-6)


def test_weights_decay_and_biases_do_not():
    config = cnn_cifar10.VARIANTS["best"]
    model = cnn_cifar10.build(npnn.nn, replace(config, channels=4))
    weights, others = cnn_cifar10.optimizer(npnn.optim, model, config).param_groups
    assert (weights["weight_decay"], others["weight_decay"]) == (config.decay, 0.0)
    assert {p.ndim for p in weights["params"]} == {2, 4}
    assert {p.ndim for p in others["params"]} == {1}


@pytest.mark.parametrize("module", [cnn_cifar10, mlp_cifar10])
def test_half_of_the_pictures_are_mirrored_each_by_itself(module):
    """A ramp that rises to the right falls, once it is mirrored; in every batch there are both."""
    ramp = np.broadcast_to(np.arange(32, dtype=np.float32), (32, 3, 32, 32))
    change = module.transform(replace(module.VARIANTS["augmented"], shift=1))
    generator = npnn.Generator().manual_seed(0)
    mirrored = np.stack([np.diff(change(ramp.copy(), generator)[:, 0, 16, 8:24]).mean(axis=1) < 0 for _ in range(40)])
    assert (mirrored.any(axis=1) & ~mirrored.all(axis=1)).all()
    assert mirrored.mean() == pytest.approx(0.5, abs=0.07)  # five standard deviations


def test_a_cycle_rises_to_the_rate_and_ends_at_nothing():
    config = replace(mlp_cifar10.VARIANTS["best"], steps=50)
    model = npnn.nn.Linear(2, 2)
    optimizer = mlp_cifar10.optimizer(npnn.optim, model, config)
    scheduler, per = mlp_cifar10.schedule(npnn.optim.lr_scheduler, optimizer, config, 10)
    rates = []
    for _ in range(50):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert per == "step"
    assert max(rates) == pytest.approx(config.lr)
    assert int(np.argmax(rates)) == 9
    assert rates[-1] < config.lr / 1e4


def test_channels_are_normalised_by_the_training_set():
    found = experiment("mlp_cifar10").data(mlp_cifar10.VARIANTS["best"])
    np.testing.assert_allclose(found.train_x.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(found.train_x.std((0, 2, 3)), 1, atol=1e-5)
    assert found.test_x.dtype == np.float32


def test_only_training_pictures_are_changed_and_stay_pictures():
    assert _cifar10.transform(mlp_cifar10.VARIANTS["adam"]) is None
    change = _cifar10.transform(mlp_cifar10.VARIANTS["augmented"])
    x = np.random.default_rng(0).standard_normal((8, 3, 32, 32), np.float32)
    changed = change(x, npnn.Generator().manual_seed(1))
    assert changed.shape == x.shape
    assert set(changed.ravel()) <= set(x.ravel()), "shifted and mirrored: no new colours"


@pytest.mark.parametrize("units", ["512-x", "", "512--64", "0"])
def test_units_that_are_no_numbers_are_refused(units):
    with pytest.raises(UserError, match="--units must be whole numbers such as 512-256"):
        replace(mlp_cifar10.VARIANTS["best"], units=units)
