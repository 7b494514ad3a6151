"""The register tiles: every remainder of rows, columns and inner dimension."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit
from npnn.kernels._jit import jit
from npnn.kernels.scratch import scratch
from npnn.kernels.tiles import product, transpose

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is switched off: nothing uses the tiles")


@jit
def _product(a, b, c, add):
    product(a, b, c, add)


@needs_jit
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 16, 17, 31, 32, 33, 64, 100])
def test_product_of_every_remainder(n, dtype):
    rng = np.random.default_rng(0)
    for m in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 17):
        for k in (0, 1, 2, 5, 8):
            a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
            c = np.full((m + 1, n + 1), 7, dtype)
            _product(np.asfortranarray(a), b, c[:m, :n], False)
            np.testing.assert_allclose(c[:m, :n], a @ b, rtol=1e-4, atol=1e-5)
            _product(a, b, c[:m, :n], True)
            np.testing.assert_allclose(c[:m, :n], 2 * (a @ b), rtol=1e-4, atol=1e-5)
            assert (c[m:] == 7).all()
            assert (c[:, n:] == 7).all()


@needs_jit
@pytest.mark.parametrize("terms", [0, 1, 3])
def test_sum_of_products(terms):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((terms, 9, 5)), rng.standard_normal((terms, 5, 34))
    c = np.ones((9, 34))
    _product(a, b, c, True)
    np.testing.assert_allclose(c, 1 + (a @ b).sum(axis=0), rtol=1e-12, atol=1e-12)
    _product(a[::-1], b[::-1], c, False)
    np.testing.assert_allclose(c, (a @ b).sum(axis=0), rtol=1e-12, atol=1e-12)


@needs_jit
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (8, 8), (7, 9), (16, 24), (17, 35)])
def test_transpose(shape, dtype):
    a = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    b = np.zeros((shape[1] + 1, shape[0] + 1), dtype)
    transpose(a, b[:-1, :-1])
    np.testing.assert_array_equal(b[:-1, :-1], a.T)
    assert (b[-1] == 0).all()
    assert (b[:, -1] == 0).all()


def test_scratch_arrays_are_apart_aligned_and_used_again():
    a, b = scratch("float32", (3, 5), (2,))
    a[...], b[...] = 1, 2
    assert a.sum() == 15
    assert all(array.ctypes.data % 64 == 0 for array in (a, b))
    (c,) = scratch("float64", (4,))
    assert c.ctypes.data == a.ctypes.data
