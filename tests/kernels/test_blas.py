"""Matrix products: one core or several, with and without a bias, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit
from npnn.kernels.blas import affine, batched_matmul, column_sums, matmul
from tests.parity import random_input

needs_numba = pytest.mark.skipif(not _jit.enabled(), reason="numba is missing or switched off: there is no twin")

SIZES = [
    (1, 1, 1),
    (2, 3, 5),
    (17, 1, 64),
    (1, 64, 3),
    (3, 17, 1),
    (33, 65, 34),
    (65, 7, 9),
    (7, 100, 10),
    (0, 3, 4),
    (3, 0, 4),
    (3, 4, 0),
]
TOLERANCE = {"float32": {"rtol": 1e-5, "atol": 1e-5}, "float64": {"rtol": 1e-12, "atol": 1e-12}}


def in_order(array, order):
    if order == "sliced":
        wide = np.zeros((2 * array.shape[0], 3 * array.shape[1]), array.dtype)[::2, ::3]
        wide[...] = array
        return wide
    return np.array(array, order=order)


@needs_numba
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F", "sliced"])
@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_matmul(num_threads, m, k, n, order, dtype):
    for trans_a in (False, True):
        for trans_b in (False, True):
            a = in_order(random_input((k, m) if trans_a else (m, k), dtype), order)
            b = in_order(random_input((n, k) if trans_b else (k, n), dtype, seed=1), order)
            expected = (a.T if trans_a else a) @ (b.T if trans_b else b)
            actual = matmul.twin(a, b, trans_a, trans_b)
            np.testing.assert_allclose(actual, expected, **TOLERANCE[dtype])
            assert actual.dtype == expected.dtype
            np.testing.assert_array_equal(actual, matmul.twin(a, b, trans_a, trans_b))
            np.testing.assert_allclose(matmul.reference(a, b, trans_a, trans_b), expected, **TOLERANCE[dtype])


@needs_numba
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_affine_on_several_cores(num_threads, m, k, n, dtype):
    check_affine(m, k, n, dtype)


@needs_numba
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "k", "n"), [*SIZES, (800, 2, 20), (800, 20, 2)])
def test_affine_on_one_core(m, k, n, dtype):
    check_affine(m, k, n, dtype)


def check_affine(m, k, n, dtype):
    x, weight, bias = random_input((m, k), dtype), random_input((n, k), dtype, 1), random_input((n,), dtype, 2)
    actual = affine.twin(x, weight, bias)
    np.testing.assert_allclose(actual, x @ weight.T + bias, **TOLERANCE[dtype])
    np.testing.assert_allclose(affine.reference(x, weight, bias), x @ weight.T + bias, **TOLERANCE[dtype])
    np.testing.assert_array_equal(actual, affine.twin(x, weight, bias))
    assert actual.dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F", "sliced"])
def test_column_sums(order, dtype):
    for shape in [(0, 3), (3, 0), (1, 5), (800, 20), (600, 500)]:
        a = in_order(random_input(shape, dtype), order)
        sums = column_sums(a)
        np.testing.assert_allclose(sums, a.sum(axis=0, dtype=np.float64), rtol=1e-5, atol=1e-3)
        assert sums.dtype == dtype
        assert sums.flags.writeable


def test_integers_and_mixed_dtypes_are_left_to_numpy(num_threads):
    a, b = random_input((40, 30), "int64"), random_input((30, 20), "float32")
    np.testing.assert_array_equal(matmul(a, a, False, True), a @ a.T)
    np.testing.assert_allclose(matmul(a, b, False, False), a @ b)


@needs_numba
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(12))
def test_stacks_of_matrices_in_any_order_of_memory(num_threads, seed, dtype):
    """Heads, whose leading axes do not follow each other, transposed stacks, slices, one leading axis or three."""
    rng = np.random.default_rng(seed)
    lead = tuple(int(n) for n in rng.integers(1, 4, int(rng.integers(1, 4))))
    m, k, n = (int(size) for size in rng.integers(1, 40, 3))

    def stack(rows, columns):
        axes = rng.permutation(len(lead) + 2)  # the order of the axes in memory
        shape = (*lead, rows, columns)
        values = rng.standard_normal([shape[axis] for axis in axes]).astype(dtype).transpose(np.argsort(axes))
        if rng.random() < 0.3:
            values = np.repeat(values, 2, axis=-1)[..., ::2]
        return values

    for trans_a in (False, True):
        for trans_b in (False, True):
            a, b = stack(*((k, m) if trans_a else (m, k))), stack(*((n, k) if trans_b else (k, n)))
            expected = (a.swapaxes(-1, -2) if trans_a else a) @ (b.swapaxes(-1, -2) if trans_b else b)
            found = batched_matmul.twin(a, b, trans_a, trans_b)
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, **TOLERANCE[dtype])
