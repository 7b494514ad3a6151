"""Beside scikit-learn's own MLP: the same weights, batches and settings must give the same training."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from npnn import nn, optim
from npnn.sklearn import NeuralNetClassifier, NeuralNetRegressor
from tests.sklearn.common import ENDLESS, classes, numbers


def weights_of(mlp, model):
    """A trained MLP's weights under the names of npnn's."""
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    layers = zip(linear, mlp.coefs_, mlp.intercepts_, strict=True)
    return {f"{name}.{kind}": a for name, W, b in layers for kind, a in (("weight", W.T), ("bias", b))}


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize(
    "options",
    [
        {"solver": "sgd", "learning_rate_init": 0.1},
        {"solver": "sgd", "learning_rate_init": 0.1, "nesterovs_momentum": False, "alpha": 1.0, "batch_size": 40},
        {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.1},
        {"solver": "adam", "learning_rate_init": 0.01, "alpha": 0.1, "batch_size": 30, "epsilon": 1e-15},
    ],
    ids=["sgd", "sgd, momentum, decay", "sgd, plain", "adam"],
)
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_trains_as_scikit_learns_mlp_does(kind, options, activation):
    """From the same weights, over the same batches, to the same weights."""
    (X, y), ours, theirs = (classes(), NeuralNetClassifier, MLPClassifier)
    if kind == "regressor":
        (X, y), ours, theirs = (numbers(), NeuralNetRegressor, MLPRegressor)
    options = {"hidden_layer_sizes": (8, 5), "activation": activation, "shuffle": False, "warm_start": True} | options
    mlp = theirs(max_iter=1, **ENDLESS, **options)
    if options.pop("epsilon", None):  # scikit-learn's Adam adds ε before it corrects the bias of v, npnn's after
        options["solver"] = partial(optim.Adam, eps=1e-15)
    net = ours(max_iter=1, **ENDLESS, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        net.fit(X, y)
        mlp.fit(X, y)
        net.model_.load_state_dict(weights_of(mlp, net.model_))
        net.set_params(max_iter=20).fit(X, y)
        mlp.set_params(max_iter=20).fit(X, y)
    assert len(net.loss_curve_) == 21
    ours, theirs = {k: v.array for k, v in net.model_.state_dict().items()}, weights_of(mlp, net.model_)
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], 1e-7, 1e-9, err_msg=name)
    function = "predict_proba" if kind == "classifier" else "predict"
    np.testing.assert_allclose(getattr(net, function)(X), getattr(mlp, function)(X), 1e-7, 1e-9)
