"""Sums of rows and rows of one number: against NumPy in float64, at random shapes and in any order of memory."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, reduce, threads

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def drawn(rng, dtype, axes=4, most=20_000):
    shape = [int(np.exp(rng.uniform(0, np.log(60)))) for _ in range(rng.integers(1, axes + 1))]
    while np.prod(shape) > most:
        shape[int(np.argmax(shape))] //= 2
    return rng.standard_normal(shape).astype(dtype)


@needs_jit
@DTYPES
@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (5000, 3), (7, 4096), (7, 4097), (0, 4), (4, 0), (300, 255)])
def test_twins_equal_their_numpy_forms(num_threads, dtype, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    right = x.astype(np.float64).sum(axis=1)
    bound = {"float32": 2e-7, "float64": 1e-15}[dtype] * (np.abs(x).astype(np.float64).sum(axis=1) + 1)
    assert (np.abs(reduce.row_sums.twin(x) - right) <= bound * 8).all()
    np.testing.assert_array_equal(
        reduce.spread_rows.twin(right.astype(dtype), 6), reduce.spread_rows.reference(right.astype(dtype), 6)
    )


@DTYPES
@pytest.mark.parametrize("seed", range(60))
def test_sums_over_any_axes_of_any_array(dtype, seed):
    rng = np.random.default_rng(seed)
    x = drawn(rng, dtype)
    if rng.random() < 0.3:
        x = x.transpose(rng.permutation(x.ndim))
    axes = tuple(np.flatnonzero(rng.random(x.ndim) < 0.6).tolist()) or (x.ndim - 1,)
    if rng.random() < 0.5:
        axes = tuple(range(int(rng.integers(0, x.ndim)), x.ndim))
    for keepdims in (False, True):
        got, right = reduce.sums(x, axes, keepdims), x.astype(np.float64).sum(axis=axes, keepdims=keepdims)
        assert got.shape == right.shape
        assert got.dtype == dtype
        scale = np.abs(x).astype(np.float64).sum(axis=axes, keepdims=keepdims) + 1
        assert (np.abs(got - right) <= {"float32": 2e-6, "float64": 1e-14}[dtype] * scale).all()


@DTYPES
@pytest.mark.parametrize("seed", range(40))
def test_a_copy_has_the_numbers_and_memory_of_its_own(dtype, seed):
    rng = np.random.default_rng(seed)
    some = drawn(rng, dtype, axes=3, most=500)
    wide = tuple(n if rng.random() < 0.5 else 1 for n in some.shape)
    few = some[tuple(slice(0, n) for n in wide)]
    x = np.broadcast_to(few[..., None], (*some.shape, int(rng.integers(1, 40))))
    got = reduce.copied(x)
    np.testing.assert_array_equal(got, x)
    assert got.flags.writeable
    assert not np.shares_memory(got, few)
    if 0 in x.strides:
        assert got.flags.c_contiguous


def test_a_copy_of_nothing():
    for shape in ((0, 3), (3, 0), (2, 0, 4)):
        assert reduce.copied(np.broadcast_to(np.zeros(1), shape)).shape == shape


def test_the_order_of_memory_stays():
    x = np.zeros((3, 4, 5)).transpose(2, 0, 1)
    assert reduce.copied(x).strides == x.strides


@needs_jit
def test_the_result_does_not_depend_on_the_number_of_threads():
    before = threads.get_num_threads()
    x = np.random.default_rng(0).standard_normal((50, 30_000)).astype("float32")
    found = []
    for n in (1, 2, 3):
        threads.set_num_threads(n)
        found.append(reduce.sums(x, (1,), False).tobytes() + reduce.sums(x, (0, 1), False).tobytes())
    threads.set_num_threads(before)
    assert len(set(found)) == 1
