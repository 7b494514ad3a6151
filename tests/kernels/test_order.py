"""Copies between orders of memory, by blocks, beside NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, order, threads


@pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")
@pytest.mark.parametrize("seed", range(40))
def test_copies_equal_numpys(num_threads, monkeypatch, seed):
    """Any order of the axes of both, sizes of 1, arrays with gaps, several dtypes."""
    monkeypatch.setattr(threads, "PARALLEL_THRESHOLD", 1)
    monkeypatch.setattr(order, "_FEW", 0)
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, [90, 20, 9][seed % 3], [2, 4, 5][seed % 3])
    dtype = rng.choice(["float32", "float64", "int64", "uint8"])

    def laid_out(gap):
        axes = rng.permutation(len(shape))
        a = (100 * rng.standard_normal(shape[axes])).astype(dtype).transpose(np.argsort(axes))
        return np.repeat(a, 2, axis=0)[::2] if gap else a

    y, x = laid_out(False), laid_out(rng.random() < 0.2)
    order.copy_in_order.twin(y, x)
    np.testing.assert_array_equal(y, x)
    expected = np.ascontiguousarray(x)
    found = order.contiguous(x)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)


def test_what_is_in_order_is_not_copied():
    x = np.ones((3, 4))
    assert order.contiguous(x) is x
