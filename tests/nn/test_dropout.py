"""Dropout: its statistics, its gradient, one source of randomness, and torch's errors."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.nn import functional as F
from tests.parity import random_input, skip_without_torch, torch


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_share_dropped_and_the_scale(p, dtype):
    x = npnn.tensor(np.ones((40, 50, 50), dtype))
    y = F.dropout(x, p).numpy()
    assert y.dtype == dtype
    kept = np.dtype(dtype).type(1 / (1 - p))
    assert set(np.unique(y)) == {0, kept}
    assert abs((y == 0).mean() - p) < 5 * np.sqrt(p * (1 - p) / y.size)
    flat = (y == 0).ravel() - p  # neighbours are independent, although one draw serves two of them
    for lag in (1, 2, 3, 50):
        assert abs((flat[lag:] * flat[:-lag]).mean()) < 5 * p * (1 - p) / np.sqrt(y.size)


def test_the_gradient_has_the_same_zeros():
    x = npnn.tensor(random_input((7, 9)), requires_grad=True)
    w = random_input((7, 9), seed=1)
    y = F.dropout(x, 0.3)
    (y * npnn.tensor(w)).sum().backward()
    np.testing.assert_allclose(x.grad.array, w * (y.array / x.array), rtol=1e-12)


def test_whole_channels():
    for drop, shape, axes in (
        (F.dropout2d, (20, 30, 4, 5), (2, 3)),
        (F.dropout1d, (20, 30, 6), (2,)),
        (F.dropout1d, (300, 6), (1,)),
    ):
        y = drop(npnn.tensor(np.ones(shape, np.float32)), 0.4).numpy()
        np.testing.assert_array_equal(y.min(axis=axes), y.max(axis=axes))
        assert 0.3 < (y == 0).mean() < 0.5


def test_three_axes_are_a_sequence_to_dropout2d():
    with pytest.warns(UserWarning, match=r"as \(N, C, \.\.\.\): use dropout, dropout1d"):
        y = F.dropout2d(npnn.tensor(np.ones((30, 20, 5), np.float32))).numpy()
    np.testing.assert_array_equal(y.min(axis=2), y.max(axis=2))


@pytest.mark.parametrize("layer", ["Dropout", "Dropout1d", "Dropout2d"])
def test_evaluation_and_zero_leave_the_input_alone(layer):
    x = npnn.tensor(random_input((2, 3, 4) if layer == "Dropout1d" else (2, 3, 4, 5)))
    before = npnn.get_rng_state()
    np.testing.assert_array_equal(getattr(nn, layer)(0.7).eval()(x).numpy(), x.numpy())
    np.testing.assert_array_equal(getattr(nn, layer)(0.0)(x).numpy(), x.numpy())
    assert npnn.get_rng_state().equal(before)
    assert not getattr(nn, layer)(1.0)(x).numpy().any()


def test_one_seed_one_result_in_every_memory_order():
    x = random_input((2, 3, 4, 5), "float32")
    results = []
    for view in (x, x, np.asfortranarray(x), x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2), x[..., ::-1]):
        npnn.manual_seed(3)
        y = F.dropout(npnn.tensor(view)).numpy()
        assert y.strides == np.empty_like(view).strides
        assert 0 < (y == 0).sum() < y.size
        results.append(y)
    np.testing.assert_array_equal(results[0], results[1])
    assert (F.dropout(npnn.tensor(x)).numpy() != results[0]).any()


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (5,)])
def test_any_shape(shape):
    y = F.dropout(npnn.tensor(np.ones(shape, np.float32)), 0.5)
    assert y.shape == shape
    assert y.dtype == npnn.float32


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_probabilities_are_checked(p):
    for bad in (lambda: nn.Dropout(p), lambda: nn.Dropout2d(p), lambda: F.dropout(npnn.tensor(np.ones(3)), p, False)):
        with pytest.raises(ValueError, match=f"dropout probability has to be between 0 and 1, but got {p}"):
            bad()


def test_errors():
    x = npnn.tensor(np.ones((2, 3, 4, 5, 6)))
    with pytest.raises(ShapeError, match=r"dropout2d: expected an input of shape \(N, C, H, W\), got \(2,\)"):
        F.dropout2d(npnn.tensor(np.ones(2)))
    with pytest.raises(ShapeError, match=r"dropout1d: expected an input of shape \(N, C, L\) or \(C, L\)"):
        F.dropout1d(x)
    with pytest.raises(RuntimeError, match="dropout: expected a floating-point input, got int64"):
        F.dropout(npnn.tensor(np.arange(3)))


def test_printed_as_in_torch():
    skip_without_torch()
    for build in (lambda nn: nn.Dropout(), lambda nn: nn.Dropout1d(0.2), lambda nn: nn.Dropout2d(0.2, True)):
        assert repr(build(nn)) == repr(build(torch.nn))
