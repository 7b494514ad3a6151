"""The functions inside compiled loops, to the last places, in float32 and in float64."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit
from npnn.kernels._jit import jit
from npnn.kernels.exponential import exp_of_negative, exp_parts, log1p, normal_tail

pytestmark = pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")


@jit
def _exponentials(x, y):
    for i in range(x.size):
        y[i] = exp_of_negative(x[i])


@jit
def _from_parts(x, y):
    for i in range(x.size):
        m, power = exp_parts(x[i])
        y[i] = m * power + (power - 1)


@jit
def _logarithms(x, y):
    for i in range(x.size):
        y[i] = log1p(x[i])


@jit
def _tails(x, y):
    for i in range(x.size):
        y[i] = normal_tail(x[i])


def values(loop, x, dtype):
    x = x.astype(dtype)
    y = np.empty_like(x)
    loop(x, y)
    return x.astype(np.longdouble), y


small = np.geomspace(1e-30, 1, 1000)


@pytest.mark.parametrize(("dtype", "lowest", "close"), [("float32", 87, 2e-7), ("float64", 708, 3.5e-16)])
def test_exponential(dtype, lowest, close):
    x, y = values(_exponentials, -np.concatenate([np.linspace(0, lowest, 100_001), small]), dtype)
    np.testing.assert_allclose(y, np.exp(x), rtol=close)
    x, y = values(_from_parts, np.concatenate([np.linspace(-1, 1, 10_001), small, -small]), dtype)
    np.testing.assert_allclose(y, np.expm1(x), rtol=2 * close)
    edge = np.array([0.0, -0.0, -lowest - 0.5, -1e30, -np.inf, np.nan])
    np.testing.assert_array_equal(values(_exponentials, edge, dtype)[1], [1, 1, 0, 0, 0, np.nan])


@pytest.mark.parametrize(("dtype", "close"), [("float32", 2e-7), ("float64", 4.5e-16)])
def test_logarithm(dtype, close):
    x, y = values(_logarithms, np.concatenate([np.linspace(0, 1, 100_001), small]), dtype)
    np.testing.assert_allclose(y, np.log1p(x), rtol=close)
    assert np.isnan(values(_logarithms, np.array([np.nan]), dtype)[1][0])


@pytest.mark.parametrize(("dtype", "close"), [("float32", 2e-7), ("float64", 2e-15)])
def test_tail_of_the_normal_distribution(dtype, close):
    from scipy.special import erfcx, ndtr

    x, y = values(_tails, np.concatenate([np.linspace(0, 37, 20_001), small]), dtype)
    x = x.astype(np.float64)
    np.testing.assert_allclose(y * np.exp(-x * x / 2), ndtr(-x), rtol=0, atol=close)
    if dtype == "float64":
        np.testing.assert_allclose(y, erfcx(x / np.sqrt(2)) / 2, rtol=close)
    assert values(_tails, np.array([np.inf]), dtype)[1][0] == 0
