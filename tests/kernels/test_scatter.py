"""The compiled form of out[index] += values against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, scatter

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")


def index_of(rng, shape):
    """An index at random: slices before, whole numbers and arrays of them that broadcast, or what only NumPy knows."""
    axes = int(rng.integers(1, len(shape) + 1))
    start = int(rng.integers(0, axes))
    picked = [(3, 1), (1, 4), (3, 4), (4,)]
    parts = [slice(None)] * start
    for n in shape[start:axes]:
        kind = rng.integers(4)
        size = picked[rng.integers(4)] if kind else ()
        parts.append(rng.integers(-n, n, size) if kind < 3 else rng.integers(-n, n, size).tolist())
    if len(parts) == start + 1 and rng.integers(5) == 0:
        parts[-1] = rng.integers(0, 2, shape[axes - 1]).astype(bool)
    return tuple(parts) if len(parts) > 1 or rng.integers(2) else parts[0]


@needs_jit
@pytest.mark.parametrize("seed", range(200))
def test_it_adds_what_numpy_adds(seed):
    rng = np.random.default_rng(seed)
    dtype = rng.choice(["float32", "float64", "int64"])
    shape = tuple(rng.integers(1, 6, int(rng.integers(1, 4))).tolist())
    out = (8 * rng.standard_normal(shape)).astype(dtype)
    index = index_of(rng, shape)
    values = (8 * rng.standard_normal(out[index].shape)).astype(dtype)
    if rng.integers(3) == 0 and values.ndim:
        values = values[:1]  # broadcasts
    order = out.copy() if rng.integers(4) else np.asfortranarray(out)
    expected = out.copy()
    np.add.at(expected, index, values)
    scatter.add_at.twin(order, index, values)
    np.testing.assert_array_equal(order, expected)


@needs_jit
def test_places_that_are_not_there():
    out = np.zeros((3, 2), np.float32)
    for index in (np.array([3]), np.array([-4]), (slice(None), np.array([0, 2]))):
        with pytest.raises(IndexError):
            scatter.add_at.twin(out, index, np.ones(2, np.float32))
    scatter.add_at.twin(out, np.zeros(0, int), np.ones((0, 2), np.float32))
    np.testing.assert_array_equal(out, 0)
