"""Weights of samples, and rows of sparse matrices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone

from npnn import nn
from npnn.sklearn import NeuralNetClassifier, NeuralNetRegressor
from tests.sklearn.common import ENDLESS, classes, numbers, same

F = nn.functional


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("estimator", [NeuralNetClassifier, NeuralNetRegressor])
def test_a_weight_counts_like_so_many_samples(estimator, outputs):
    X, y = classes() if estimator is NeuralNetClassifier else numbers(outputs=outputs)
    times = np.random.default_rng(1).integers(0, 4, len(X))
    net = estimator(max_iter=50, alpha=1.0, batch_size=1000, **ENDLESS)
    repeated = clone(net).fit(X.repeat(times, axis=0), y.repeat(times, axis=0))
    weighted = clone(net).fit(X, y, sample_weight=times)
    np.testing.assert_allclose(weighted.model_[0].weight.array, repeated.model_[0].weight.array, 1e-6, 1e-9)
    assert weighted.loss_ == pytest.approx(repeated.loss_, rel=1e-9)
    scaled = clone(net).set_params(alpha=0.25).fit(X, y, sample_weight=times / 4)  # the penalty is added to their sum
    np.testing.assert_allclose(scaled.model_[0].weight.array, repeated.model_[0].weight.array, 1e-6, 1e-9)


def test_a_loss_that_cannot_be_weighted():
    X, y = numbers()

    def total(outputs, targets, reduction):
        return F.mse_loss(outputs, targets)

    net = NeuralNetRegressor(loss=total, max_iter=2, **ENDLESS)
    net.fit(X, y)
    with pytest.raises(ValueError, match=r"one value for each of 120 samples .* got shape \(\)"):
        net.fit(X, y, sample_weight=1 + np.arange(120))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(5), r"one weight for each of 120 samples, got shape \(5,\)"),
        (np.full(120, -1.0), "must not be negative"),
        (np.full(120, np.nan), "sample_weight contains NaN"),
        (np.zeros(120), "weights of all samples are zero"),
    ],
)
def test_bad_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        NeuralNetClassifier().fit(*classes(), sample_weight=weights)


def test_sparse_rows():
    X, y = classes()
    X[X < 0.5] = 0
    dense = NeuralNetClassifier(max_iter=5, batch_size=16, **ENDLESS).fit(X, y)
    sparse = NeuralNetClassifier(max_iter=5, batch_size=16, **ENDLESS).fit(csr_array(X), y)
    assert same(dense, sparse)
    np.testing.assert_array_equal(sparse.predict_proba(csr_array(X)), dense.predict_proba(X))
