"""The compiled passes of attention, and products of many matrices, against their NumPy forms."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, attention, blas, threads

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")


@needs_jit
@pytest.mark.parametrize("seed", range(12))
def test_passes_equal_the_numpy_ones(num_threads, monkeypatch, seed):
    monkeypatch.setattr(threads, "PARALLEL_THRESHOLD", 1)
    rng = np.random.default_rng(seed)
    B, L, S = rng.integers(1, 40, 3)
    first = int(rng.choice([-1, 0, 3]))
    s = (4 * rng.standard_normal((B, L, S))).astype(np.float32)
    s[rng.random(s.shape) < 0.1] = -np.inf
    s[..., 0] = 1  # each query sees a key
    dp, along = (rng.standard_normal(shape).astype(np.float32) for shape in ((B, L, S), (B, L)))
    fast, plain = s.copy(), s.astype(np.float64)
    sums, expected = attention.weights.twin(fast, first), attention.weights.reference(plain, first)
    np.testing.assert_allclose(sums, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fast, plain, rtol=1e-5, atol=1e-7)
    fast, plain, found, wanted = s.copy(), s.astype(np.float64), dp.copy(), dp.astype(np.float64)
    attention.score_gradients.twin(fast, found, sums, along, first)
    attention.score_gradients.reference(plain, wanted, expected, along.astype(np.float64), first)
    np.testing.assert_allclose(fast, plain, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["reference", pytest.param("twin", marks=needs_jit)])
def test_a_query_that_sees_no_key_gets_nothing(form):
    s = np.full((1, 2, 3), -np.inf, np.float32)
    s[0, 1] = 0
    sums = getattr(attention.weights, form)(s, -1)
    np.testing.assert_allclose(s[0], [[0, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(sums, [[0, np.log(3)]])


@needs_jit
@pytest.mark.parametrize("seed", range(30))
def test_products_equal_numpys(num_threads, monkeypatch, seed):
    monkeypatch.setattr(threads, "PARALLEL_THRESHOLD", 1)
    rng = np.random.default_rng(seed)
    lead = tuple(rng.integers(1, 4, int(rng.integers(1, 3))).tolist())
    m, k, n = (int(x) for x in rng.integers(0, 9, 3))
    trans_a, trans_b = (bool(x) for x in rng.integers(0, 2, 2))
    dtype = rng.choice(["float32", "float64"])

    def operand(rows, columns):
        x = rng.standard_normal((*lead, rows, columns)).astype(dtype)
        kind = rng.integers(4)
        if kind == 0:
            x = np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)
        elif kind == 1:
            x = np.repeat(x, 2, axis=-1)[..., ::2]
        elif kind == 2:
            x = np.concatenate([x, x], axis=-1)[..., :columns]
        return x

    a, b = operand(*((k, m) if trans_a else (m, k))), operand(*((n, k) if trans_b else (k, n)))
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    found = blas.batched_matmul.twin(a, b, trans_a, trans_b)
    expected = blas.batched_matmul.reference(a, b, trans_a, trans_b)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
