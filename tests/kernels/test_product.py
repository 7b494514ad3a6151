"""Products of any shape inside compiled kernels: each order of loops, and the library's, against NumPy's in float64."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, product
from npnn.kernels._jit import jit
from npnn.kernels.product import _by_library, line, multiply

pytestmark = pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")


@jit
def _times(a, b, c, turned, add):
    multiply(a, b, c, turned, add)


@jit
def _times_by_library(a, b, c, turned, add):
    parts = a[0 : len(a), 0 : a.shape[1]], b[0 : len(b), 0 : b.shape[1]], c[0 : len(c), 0 : c.shape[1]]
    _by_library(parts[0], parts[1], parts[2], turned, add)


@jit
def _ahead(x):
    y = line(x)
    total = 0.0
    for i in range(y.size):
        total += (i + 1) * y[i]
    return total


def gapped(array):
    """The same matrix as a part of a larger one, so that there are gaps between its rows."""
    larger = np.full((array.shape[0] + 1, array.shape[1] + 3), np.nan, array.dtype)
    larger[:-1, :-3] = array
    return larger[:-1, :-3]


def draw(rng):
    """A shape of any of the kinds: few or many rows, short or long sums, few or many columns."""
    sizes = [1, 2, 3, 5, 8, 31, 33, 64, 100, 257, 400, 800]
    while True:
        m, k, n = (int(rng.choice([0, *sizes], p=[0.02] + [0.98 / len(sizes)] * len(sizes))) for _ in range(3))
        if m * k * n < 4_000_000:
            return m, k, n


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(60))
def test_any_shape(seed, dtype):
    rng = np.random.default_rng(seed)
    m, k, n = draw(rng)
    a, b, c = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n), (m, n)))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    bound = (
        4
        * np.finfo(dtype).eps
        * (np.sqrt(k) + 4)
        * (1 + np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=0))
    )
    for turned in (False, True):
        given = np.ascontiguousarray(b.T) if turned else b
        for first in (a, np.asfortranarray(a), gapped(a), np.repeat(np.asfortranarray(a), 2, axis=0)[::2]):
            for add in (False, True):
                out = gapped(c)
                second = gapped(given) if seed % 2 else given
                _times(first, second, out, turned, add)
                assert (np.abs(out - exact - (c if add else 0)) <= bound).all()
                _times_by_library(first, second, out, turned, False)
                assert (np.abs(out - exact) <= bound).all()
                assert np.isnan(out.base[-1]).all()
                assert np.isnan(out.base[:, -3:]).all()


@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 100, 50), (5, 200, 30), (5, 7, 30), (300, 9, 4), (300, 800, 700), (3, 1000, 9)]
)
def test_what_is_not_a_number_stays_in_its_rows_and_columns(m, k, n):
    a, b = np.ones((m, k)), np.ones((k, n))
    a[-1, k // 2], b[k // 3, -1] = np.nan, np.inf
    out = np.empty((m, n))
    for turned in (False, True):
        _times(a, np.ascontiguousarray(b.T) if turned else b, out, turned, False)
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(out, a @ b)


def test_every_order_of_loops_is_reached():
    """The shapes above choose among them; were a limit moved, one might be tested no more."""
    seen = set()
    for seed in range(60):
        m, k, n = draw(np.random.default_rng(seed))
        for turned in (False, True):
            if turned and k >= product.LONG * m:
                seen.add("dots of a row" if m == 1 else "dots")
            elif turned or (m > product.HEIGHT and k * n > product.LARGE):
                seen.add("panels turned" if turned else "panels")
            else:
                seen.add("row" if m == 1 else "as it lies")
    assert seen >= {"dots", "panels turned", "row", "as it lies"}


def test_line():
    x = np.arange(12.0).reshape(3, 4)
    assert _ahead(x[1]) == (x[1] * [1, 2, 3, 4]).sum()
    assert _ahead(x[:, 1:3][2]) == 9 * 1 + 10 * 2
