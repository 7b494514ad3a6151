"""What an estimator's parameters stand for: networks, solvers, schedules; and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits

from npnn import nn, optim
from npnn.sklearn import NeuralNetClassifier
from tests.sklearn.common import ENDLESS, classes, same

F = nn.functional


class Convolution(nn.Module):
    def __init__(self, n_features, n_outputs):
        self.conv = nn.Conv2d(1, 4, 3)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 6 * 6, n_outputs))

    def forward(self, x):
        return self.head(F.relu(self.conv(x)))


def test_a_network_of_ones_own_and_inputs_of_more_axes():
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 1, 8, 8).astype(np.float32) / 16
    net = NeuralNetClassifier(module=Convolution, learning_rate_init=0.01, max_iter=8, **ENDLESS)
    assert net.fit(images[:600], y[:600]).score(images[600:900], y[600:900]) > 0.8
    with pytest.raises(ValueError, match="dim 4"):
        clone(net).set_params(module=None).fit(images, y)


def test_a_module_is_a_starting_point_and_stays_as_it_is():
    X, y = classes(dtype=np.float32)
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    before = {k: v.array.copy() for k, v in module.state_dict().items()}
    net = NeuralNetClassifier(module=module, max_iter=3, **ENDLESS).fit(X, y)
    again = clone(net)
    assert again.module is not module
    assert same(again.fit(X, y), net)
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(value.array, before[name])
        assert not np.array_equal(net.model_.state_dict()[name].array, before[name])


def test_modules_that_do_not_fit():
    X, y = classes()
    with pytest.raises(TypeError, match="got int"):
        NeuralNetClassifier(module=3).fit(X, y)
    with pytest.raises(TypeError, match="got str"):
        NeuralNetClassifier(module=lambda n, m: "no").fit(X, y)
    net = NeuralNetClassifier(module=nn.Linear(4, 5))
    with pytest.raises(ValueError, match=r"turns an input of shape \(1, 4\) into \(1, 3\), got \(1, 5\)"):
        net.fit(X, y)
    assert not hasattr(net, "model_")
    with pytest.raises(ValueError, match="no parameters to train"):
        NeuralNetClassifier(module=nn.Flatten()).fit(X[:, :3], y)


@pytest.mark.parametrize(
    "solver", ["adagrad", "adam", "adamax", "adamw", "nadam", "radam", "rmsprop", "sgd", optim.Adam]
)
@pytest.mark.parametrize("schedule", ["constant", "adaptive", "cosine", "one_cycle"])
def test_every_solver_with_every_schedule(solver, schedule):
    X, y = classes()
    net = NeuralNetClassifier(
        solver=solver, learning_rate=schedule, learning_rate_init=0.05, batch_size=40, max_iter=20, **ENDLESS
    )
    assert net.fit(X, y).score(X, y) > 0.8


def test_schedules():
    X, y = classes()

    def rates(**options):
        net = NeuralNetClassifier(**{"batch_size": 40, "max_iter": 6, **ENDLESS, **options}).fit(X, y)
        return np.array(net.history_["lr"]) / net.learning_rate_init

    np.testing.assert_allclose(rates(learning_rate="cosine"), (1 + np.cos(np.pi * np.arange(6) / 6)) / 2)
    cycle = rates(learning_rate="one_cycle", solver="sgd")
    assert 0.5 < cycle.max() <= 1
    assert cycle[-1] < 1e-3
    np.testing.assert_allclose(rates(learning_rate=lambda o: optim.lr_scheduler.StepLR(o, 2, 0.1))[2:4], 0.1)
    adaptive = rates(learning_rate="adaptive", learning_rate_init=1e-5, tol=10.0, n_iter_no_change=1, max_iter=9)
    np.testing.assert_allclose(adaptive, [1, 1, 0.2, 0.04], err_msg="nothing is progress: down to 1e-6, then the end")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -1}, "alpha must be a number of at least 0, got -1"),
        ({"learning_rate_init": 0}, "learning_rate_init must be a positive number, got 0"),
        ({"max_iter": 2.5}, "max_iter must be a whole number of at least 1, got 2.5"),
        ({"n_iter_no_change": 0}, "n_iter_no_change must be a whole number of at least 1, or inf, got 0"),
        ({"tol": "no"}, "tol must be a number of at least 0, got 'no'"),
        ({"momentum": 1}, "momentum must be a number from 0 to below 1, got 1"),
        ({"validation_fraction": 1.0}, "validation_fraction must be a number between 0 and 1, got 1.0"),
        ({"batch_size": 0}, "batch_size must be 'auto' or a whole number of at least 1, got 0"),
        ({"dtype": "float16"}, "dtype must be one of auto, float32, float64, got 'float16'"),
        ({"learning_rate": "fast"}, "learning_rate must be one of adaptive, constant, cosine, one_cycle"),
        ({"hidden_layer_sizes": (3, 0)}, r"hidden_layer_sizes must be whole numbers of at least 1, got \[3, 0\]"),
        ({"activation": "step"}, "activation must be one of elu, .* got 'step'"),
        ({"solver": "lbfgs"}, "solver must be one of adadelta, .* got 'lbfgs'"),
        ({"loss": "hinge"}, "loss must be one of cross_entropy, or a function, got 'hinge'"),
        ({"loss": F.cross_entropy, "label_smoothing": 0.1}, "label_smoothing belongs to loss='cross_entropy'"),
        ({"label_smoothing": 2}, "label_smoothing must be a number from 0 to 1, got 2"),
        ({"dropout": 1.5}, "dropout probability has to be between 0 and 1"),
        ({"clip_grad_norm": -1}, "clip_grad_norm must be positive"),
        ({"early_stopping": True, "validation_fraction": 0.1}, "test_size = 1 should be"),
    ],
    ids=lambda v: "" if isinstance(v, str) else ", ".join(v),
)
def test_bad_parameters(options, message):
    X, y = classes(9)
    with pytest.raises(ValueError, match=message):
        NeuralNetClassifier(**options).fit(X, y)
