"""The compiled ReLU against its NumPy form."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, elementwise
from tests.parity import random_input

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")


def memory_orders(x):
    yield x
    yield np.asfortranarray(x)
    yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)  # channels-last
    yield np.repeat(x, 2, axis=-1)[..., ::2]  # with gaps
    yield x[::-1]


@needs_jit
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (0, 3), (3, 17, 5, 7), (64, 33), (300,)])
def test_twins_agree_in_every_memory_order(num_threads, shape, dtype):
    values = random_input(shape, dtype)
    for x in memory_orders(values) if len(shape) > 1 else [values, values[::-1]]:
        y = elementwise.relu.twin(x)
        np.testing.assert_array_equal(y, elementwise.relu.reference(x))
        assert y.dtype == x.dtype
        assert y.strides == np.empty_like(x).strides
        for dy in (random_input(shape, dtype, seed=1), np.asfortranarray(random_input(shape, dtype, seed=1))):
            dx = elementwise.relu_backward.twin(dy, y)
            np.testing.assert_array_equal(dx, elementwise.relu_backward.reference(dy, y))
            assert dx.dtype == x.dtype
            assert dx.strides == y.strides


@pytest.mark.parametrize("form", ["reference", pytest.param("twin", marks=needs_jit)])
def test_special_values(form):
    x = np.resize(np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0], np.float32), 600)
    y = getattr(elementwise.relu, form)(x)
    np.testing.assert_array_equal(y, np.resize([np.nan, np.inf, 0, 0, 0, 1], 600))
    dy = np.resize(np.array([1, 2, np.inf, np.nan, 4, 5], np.float32), 600)
    dx = getattr(elementwise.relu_backward, form)(dy, y)
    np.testing.assert_array_equal(dx, np.resize([1, 2, 0, 0, 0, 5], 600))


def test_integers_stay_integers():
    for n in (3, 3000):
        y = elementwise.relu(np.arange(-n, n))
        assert y.dtype == np.arange(1).dtype
        np.testing.assert_array_equal(y, np.maximum(np.arange(-n, n), 0))


@needs_jit
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(20))
def test_pieces_at_random(num_threads, dtype, seed):
    rng = np.random.default_rng(seed)
    low, high = sorted(rng.choice([-np.inf, -2.0, -0.5, 0.0, 1.0, 3.0, np.inf], 2, replace=False))
    numbers = rng.standard_normal(7) * rng.integers(0, 2, 7)
    shape = elementwise.Pieces(low, high, *numbers)
    x = rng.choice([-2.0, -0.5, 0.0, 1.0, 3.0], (70, 9)) + rng.standard_normal((70, 9)) * rng.integers(0, 2, (70, 9))
    x, dy = x.astype(dtype), rng.standard_normal((70, 9)).astype(dtype)
    for order in (x, np.asfortranarray(x), x[:, ::2]):
        y = elementwise.pieces.twin(order, *shape)
        np.testing.assert_allclose(y, elementwise.pieces.reference(order, *shape), rtol=1e-5, atol=1e-6)
        gradient = dy[:, : order.shape[1]]
        dx = elementwise.pieces_backward.twin(gradient, order, *shape)
        expected = elementwise.pieces_backward.reference(gradient, order, *shape)
        np.testing.assert_allclose(dx, expected, rtol=1e-5, atol=1e-6)
        assert y.dtype == dx.dtype == dtype


@needs_jit
def test_pieces_of_what_is_no_number():
    x = np.resize(np.array([np.nan, np.inf, -np.inf, 1e38], np.float32), 300)
    limited = elementwise.Pieces(-1, 1, left=-1, slope=1, right=1)
    np.testing.assert_array_equal(elementwise.pieces.twin(x, *limited), np.clip(x, -1, 1))
    bent = elementwise.Pieces(-3, 3, curve=1 / 6, slope=0.5, right_slope=1)
    np.testing.assert_array_equal(
        elementwise.pieces.twin(x, *bent)[:4], np.array([np.nan, np.inf, 0, 1e38], np.float32)
    )


@pytest.mark.parametrize("n", [3, 300])
def test_where_the_slope_is_0_no_gradient_comes_through(n):
    limited = elementwise.Pieces(-1, 1, left=-1, slope=1, right=1)
    x, dy = np.resize([-2.0, 0.0, 2.0], n).astype(np.float32), np.full(n, np.nan, np.float32)
    np.testing.assert_array_equal(elementwise.pieces_backward(dy, x, *limited)[:3], [0, np.nan, 0])
