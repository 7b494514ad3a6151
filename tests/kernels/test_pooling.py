"""The compiled pooling kernels against their NumPy forms."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, pooling
from npnn.nn.pooling.windows import adaptive_windows, max_windows
from tests.parity import random_input

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")

SIZES = [(1, 1), (2, 2), (3, 5), (7, 4)]
GEOMETRIES = [  # kernel, stride, padding, dilation, ceil_mode
    ((1, 1), (1, 1), (0, 0), (1, 1), False),
    ((2, 2), (2, 2), (0, 0), (1, 1), True),
    ((3, 3), (2, 2), (1, 1), (1, 1), False),
    ((3, 2), (1, 2), (1, 1), (2, 1), True),
    ((2, 3), (3, 1), (1, 1), (1, 2), False),
]


def tables(size):
    for geometry in GEOMETRIES:
        try:
            yield max_windows(size, *geometry)
        except ValueError:
            continue  # the kernel is larger than the image
    for out in [(1, 1), (2, 3), (5, 2)]:
        yield adaptive_windows(size, out)


def image(case, size, channels, dtype):
    """Every case another batch size, memory order and kind of values."""
    x = random_input(((3, 1, 2, 0)[case % 4], *size, channels), dtype, seed=case)
    if case % 2:
        x = np.round(x)  # many equal elements
    return (x, np.asfortranarray(x), x.transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1))[case % 3]


def close(twin, reference):
    assert twin.dtype == reference.dtype
    np.testing.assert_allclose(twin, reference, rtol=1e-5, atol=1e-6)


@needs_jit
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels", [1, 3, 17, 64])
@pytest.mark.parametrize("size", SIZES)
def test_twins_agree(num_threads, size, channels, dtype):
    for case, (rows, cols) in enumerate(tables(size)):
        x = image(case, size, channels, dtype)
        y, index = pooling.max_pool.twin(x, rows, cols)
        expected, expected_index = pooling.max_pool.reference(x, rows, cols)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(index, expected_index)
        assert (y.dtype, index.dtype) == (x.dtype, np.int32)

        dy = random_input(y.shape, dtype, seed=1)
        close(pooling.max_pool_backward.twin(dy, index, size), pooling.max_pool_backward.reference(dy, index, size))
        close(pooling.sum_pool.twin(x, rows, cols), pooling.sum_pool.reference(x, rows, cols))
        backward = pooling.sum_pool_backward
        close(backward.twin(dy, rows, cols, size), backward.reference(dy, rows, cols, size))


@needs_jit
def test_the_same_bits_at_every_run(num_threads):
    x = random_input((3, 9, 8, 17), "float32")
    rows, cols = max_windows((9, 8), (3, 3), (2, 2), (1, 1), (1, 1), False)
    y, index = pooling.max_pool.twin(x, rows, cols)
    dy = random_input(y.shape, "float32", seed=1)
    first = pooling.max_pool_backward.twin(dy, index, (9, 8)), pooling.sum_pool_backward.twin(dy, rows, cols, (9, 8))
    for _ in range(5):
        again = (
            pooling.max_pool_backward.twin(dy, index, (9, 8)),
            pooling.sum_pool_backward.twin(dy, rows, cols, (9, 8)),
        )
        for a, b in zip(first, again, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("form", ["reference", pytest.param("twin", marks=needs_jit)])
def test_nan_wins_and_infinities_are_found(form):
    max_pool = getattr(pooling.max_pool, form)
    rows, cols = max_windows((2, 2), (2, 2), (2, 2), (0, 0), (1, 1), False)
    image = np.array([[1.0, np.nan], [3.0, 2.0]]).reshape(1, 2, 2, 1)
    y, index = max_pool(image, rows, cols)
    assert np.isnan(y).all()
    assert index.item() == 1
    y, index = max_pool(np.full((1, 2, 2, 1), -np.inf), rows, cols)
    assert y.item() == -np.inf
    assert index.item() == 0
    y, index = max_pool(np.array([[-5, -3], [-4, -6]]).reshape(1, 2, 2, 1), rows, cols)
    assert (y.item(), index.item()) == (-3, 1)
