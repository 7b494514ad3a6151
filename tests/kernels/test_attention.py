"""The compiled passes of attention, and products of many matrices, against their NumPy forms."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, attention, blas, threads

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is not there or NPNN_JIT=0: no compiled form to test")


@needs_jit
@pytest.mark.parametrize("seed", range(20))
def test_compiled_passes_equal_the_numpy_ones(num_threads, monkeypatch, seed):
    """Sizes of one tile and of several, with hidden keys, a bias, causal or not."""
    monkeypatch.setattr(threads, "PARALLEL_THRESHOLD", 1)
    rng = np.random.default_rng(seed)
    B, E, D = rng.integers(1, 9, 3)
    L, S = rng.integers(1, [40, 260][seed % 2], 2)
    q, k, v, dy = (rng.standard_normal(s).astype(np.float32) for s in ((B, L, E), (B, S, E), (B, S, D), (B, L, D)))
    shapes = [(B, L, S), (1, L, S), (0, 0, 0)]  # of each item, the same for all, none
    hidden = rng.random(shapes[rng.integers(3)]) < 0.3
    bias = rng.standard_normal(shapes[rng.integers(3)]).astype(np.float32)
    monkeypatch.setattr(attention, "PIECE", int(rng.choice([8, 1 << 17])))
    causal, with_bias = bool(rng.integers(2)), bias.size > 0
    given = q, k, v, hidden, bias, causal
    wide = [a.astype(np.float64) if a.dtype == np.float32 else a for a in given[:5]] + [causal]
    found, expected = attention.attend.twin(*given), attention.attend.reference(*wide)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    found = attention.attend_backward.twin(*given, *found, dy, with_bias)
    expected = attention.attend_backward.reference(*wide, *expected, dy.astype(np.float64), with_bias)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("form", ["reference", pytest.param("twin", marks=needs_jit)])
def test_a_query_that_sees_no_key_gets_nothing(form):
    q = np.ones((1, 2, 3), np.float32)
    hidden = np.array([[[True, True], [False, False]]])
    bias = np.empty((0, 0, 0), np.float32)
    given = q, q, q, hidden, bias, False
    y, log_sums = getattr(attention.attend, form)(*given)
    np.testing.assert_allclose(y[0], [[0, 0, 0], [1, 1, 1]])
    np.testing.assert_allclose(log_sums, [[0, 3 + np.log(2)]], rtol=1e-6)
    dq, dk, dv, _ = getattr(attention.attend_backward, form)(*given, y, log_sums, q, False)
    assert not dq.any()
    assert not dk.any()
    np.testing.assert_allclose(dv, np.full((1, 2, 3), 0.5), rtol=1e-6)


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
