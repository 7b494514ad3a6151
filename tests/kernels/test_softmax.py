"""The cross-entropy kernel and the compiled exponential against their NumPy forms."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit
from npnn.kernels.softmax import cross_entropy, log_softmax

needs_numba = pytest.mark.skipif(not _jit.enabled(), reason="numba is missing or switched off: there is no twin")

SIZES = [(0, 5), (1, 1), (1, 2), (2, 3), (7, 17), (33, 10), (5, 5000), (700, 2)]
TOLERANCE = {"float32": {"rtol": 1e-5, "atol": 1e-6}, "float64": {"rtol": 1e-12, "atol": 1e-14}}


def case(shape, dtype, seed=0):
    rng = np.random.default_rng([seed, *shape])
    z = (3 * rng.standard_normal(shape)).astype(dtype)
    target = rng.integers(0, shape[1], shape[0])
    target[::5] = -100
    return z, target, rng.uniform(0.5, 2, shape[1]).astype(dtype)


@needs_numba
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_twins_agree(num_threads, shape, dtype, weighted, smoothing):
    z, target, weight = case(shape, dtype)
    weight = weight if weighted else weight[:0]
    expected = cross_entropy.reference(z, target, weight, -100, smoothing)
    actual = cross_entropy.twin(z, target, weight, -100, smoothing)
    for mine, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, **TOLERANCE[dtype])
        assert np.asarray(mine).dtype == np.asarray(theirs).dtype
    again = cross_entropy.twin(z, target, weight, -100, smoothing)
    for first, second in zip(actual, again, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("form", ["reference", pytest.param("twin", marks=needs_numba)])
def test_the_first_invalid_target_is_found(num_threads, form):
    z, target, weight = case((33, 10), "float32")
    for position, value in [(32, 10), (20, -1), (6, 10**15), (6, -(10**15))]:
        target[position] = value
        assert getattr(cross_entropy, form)(z, target, weight, -100, 0.0)[-1] == position
    assert getattr(cross_entropy, form)(z, target % 10, weight, -100, 0.0)[-1] == -1


@pytest.mark.parametrize("form", ["reference", pytest.param("twin", marks=needs_numba)])
def test_sums(form):
    z, target, weight = case((33, 10), "float32")
    losses, dz, total, total_weight, _ = getattr(cross_entropy, form)(z, target, weight, -100, 0.1)
    counts = target != -100
    assert total == pytest.approx(losses.sum(), rel=1e-5)
    assert total_weight == pytest.approx(weight[target[counts]].sum(), rel=1e-6)
    np.testing.assert_allclose(dz.sum(axis=1), np.zeros(33), atol=1e-5)  # a shift of all scores changes nothing
    assert not dz[~counts].any()


def test_log_softmax():
    z = np.array([[1e30, 0.0], [0.0, 0.0], [-1e30, -1e30]])
    np.testing.assert_allclose(log_softmax(z), [[0, -1e30], [-np.log(2)] * 2, [-np.log(2)] * 2])
    assert log_softmax(np.zeros((0, 3))).shape == (0, 3)
