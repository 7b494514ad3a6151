"""Regression: one output or several, and losses that scikit-learn's MLP lacks."""

from __future__ import annotations

import numpy as np
import pytest

from npnn import nn
from npnn.sklearn import NeuralNetRegressor
from tests.sklearn.common import ENDLESS, numbers

F = nn.functional


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", F.smooth_l1_loss])
def test_several_outputs(loss):
    X, y = numbers(outputs=3)
    net = NeuralNetRegressor(loss=loss, learning_rate_init=0.01, max_iter=60, **ENDLESS).fit(X, y)
    assert net.predict(X).shape == (120, 3)
    assert net.score(X, y) > 0.8
    column = NeuralNetRegressor(loss=loss, max_iter=2, **ENDLESS).fit(X, y[:, :1])
    assert column.predict(X).shape == (120, 1)


def test_the_absolute_error_finds_the_median():
    rng = np.random.default_rng(0)
    X, y = np.zeros((200, 1)), np.where(rng.random(200) < 0.2, 10.0, 1.0)
    options = {"hidden_layer_sizes": (), "learning_rate_init": 0.05, "max_iter": 200, **ENDLESS}
    assert NeuralNetRegressor(loss="absolute_error", **options).fit(X, y).predict(X)[0] == pytest.approx(1, abs=0.1)
    assert NeuralNetRegressor(**options).fit(X, y).predict(X)[0] == pytest.approx(y.mean(), abs=0.1)


def test_alpha_holds_the_weights_down_but_not_the_biases():
    X, y = numbers()
    net = NeuralNetRegressor(alpha=1e4, learning_rate_init=0.1, max_iter=200, **ENDLESS).fit(X, y + 5)
    first, last = net.model_[0], net.model_[2]
    assert np.abs(first.weight.array).max() < 0.1
    assert last.bias.item() == pytest.approx(5, abs=0.2)
