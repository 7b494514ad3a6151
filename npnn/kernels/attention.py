"""Attention, a tile of scores at a time:   s = q kᵀ + bias,   p = softmax(s),   y = p v

The scores of all queries with all keys are never held: a tile of queries with all the keys that they see stays in the
processor's second cache for all that is done with it.  For the way back y and the logarithm of each row's Σ eˢ are
enough: p = e^(s - ln Σ eˢ) is computed again.

    dv = pᵀ dy        ds = p (dy vᵀ - Σ dy y)        dq = ds k        dk = dsᵀ q

q (B, L, E), already scaled; k (B, S, E), v (B, S, D); hidden (B, L, S) bool or empty: keys that a query does not see;
bias (B, L, S) or empty: added to the scores; both may be (1, L, S), the same for all.  Causal: query l sees keys
0 to l.  A query that sees no key gets 0.
Source: Rabe & Staats, Self-attention does not need O(n²) memory, 2021; Dao and others, FlashAttention, 2022.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel
from npnn.kernels.exponential import exp_of_negative
from npnn.kernels.product import library_held, multiply
from npnn.kernels.softmax_rows import largest

__all__ = ["attend", "attend_backward"]

prange = range  # numba reads this name as its parallel range

Array = NDArray[Any]

PIECE = 1 << 17  # scores at once in NumPy, whose calls cost more
TILE = 1 << 14  # scores at once: 64 KiB
FEWEST = 96  # queries at once, however many keys there are: products want as many


def _scores(q: Array, k: Array, hidden: Array, bias: Array, causal: bool, items: slice, rows: slice) -> Array:
    """The scores of some queries of some items; -inf where a key is hidden."""
    s = q[items, rows] @ k[items].swapaxes(1, 2)
    if bias.size:
        s += bias[items if len(bias) > 1 else slice(None), rows]
    if hidden.size:
        np.copyto(s, -np.inf, where=hidden[items if len(hidden) > 1 else slice(None), rows])
    if causal:
        np.copyto(s, -np.inf, where=np.arange(k.shape[1]) > np.arange(q.shape[1])[rows, None])
    return s  # type: ignore[no-any-return]


def _pieces(q: Array, k: Array) -> Iterator[tuple[slice, slice]]:
    """(items, queries) with few enough scores for NumPy: what is held is a piece, not the whole."""
    B, L, S = len(q), q.shape[1], k.shape[1]
    rows = max(1, min(L, PIECE // max(S, 1)))
    items = max(1, PIECE // max(rows * S, 1))
    for i in range(0, B, items):
        for r in range(0, L, rows):
            yield slice(i, i + items), slice(r, r + rows)


@kernel
def attend(q: Array, k: Array, v: Array, hidden: Array, bias: Array, causal: bool) -> tuple[Array, Array]:
    """y (B, L, D), and ln Σ eˢ of each query (B, L)."""
    y, log_sums = np.empty((*q.shape[:2], v.shape[2]), q.dtype), np.empty(q.shape[:2], q.dtype)
    for items, rows in _pieces(q, k):
        s = _scores(q, k, hidden, bias, causal, items, rows)
        top = s.max(-1, keepdims=True, initial=-np.inf)
        np.copyto(top, 0, where=np.isneginf(top))
        p = np.exp(s - top)
        sums = p.sum(-1, keepdims=True)
        np.copyto(sums, 1, where=sums == 0)
        y[items, rows] = (p / sums) @ v[items]
        log_sums[items, rows] = (np.log(sums) + top)[..., 0]
    return y, log_sums


@attend.fast
def attend(q: Array, k: Array, v: Array, hidden: Array, bias: Array, causal: bool) -> tuple[Array, Array]:
    if not _fits(q, k, v, bias):
        return attend.reference(q, k, v, hidden, bias, causal)
    y, log_sums = np.empty((*q.shape[:2], v.shape[2]), q.dtype), np.empty(q.shape[:2], q.dtype)
    with library_held():
        chunks = threads.split(_work(q, k, v))
        threads.run(_attend, chunks, q, k, v, hidden, bias, causal, y, log_sums)
    return y, log_sums


def _fits(q: Array, k: Array, v: Array, bias: Array) -> bool:
    """True for what the compiled loops take: numbers of one kind in the order of their indices, and not nothing."""
    arrays = (q, k, v, bias)
    fitting = q.dtype.char in "fd" and all(a.dtype == q.dtype and a.flags.c_contiguous for a in arrays)
    return fitting and min(q.size, k.size, v.size) > 0


def _work(q: Array, k: Array, v: Array) -> int:
    return q.shape[0] * q.shape[1] * k.shape[1] * (q.shape[2] + v.shape[2] + 16) // 4


@jit
def _tile_scores(q, k, hidden, bias, causal, b, start, stop, seen, s):  # type: ignore[no-untyped-def]
    """s ← the scores of queries start to stop with the first ``seen`` keys, where they are hidden -inf."""
    multiply(q[b, start:stop], k[b, 0:seen], s, True, False)
    if bias.size:
        for l in range(stop - start):  # noqa: E741
            for i in range(seen):
                s[l, i] += bias[b % len(bias), start + l, i]
    if hidden.size:
        for l in range(stop - start):  # noqa: E741
            for i in range(seen):
                if hidden[b % len(hidden), start + l, i]:
                    s[l, i] = -np.inf


@jit(parallel=True, fastmath={"reassoc", "contract"}, error_model="numpy")
def _attend(chunks, q, k, v, hidden, bias, causal, y, log_sums):  # type: ignore[no-untyped-def]
    B, L, _ = q.shape
    S = k.shape[1]
    rows = min(L, max(FEWEST, TILE // S))
    blocks = (L + rows - 1) // rows
    of = q.dtype.type
    zero = of(0)
    for chunk in prange(chunks):
        memory = np.empty(rows * S, q.dtype)
        for block in range(B * blocks * chunk // chunks, B * blocks * (chunk + 1) // chunks):
            b, start = block // blocks, block % blocks * rows
            stop = min(L, start + rows)
            wide = min(S, stop) if causal else S
            s = memory[: (stop - start) * wide].reshape(stop - start, wide)
            _tile_scores(q, k, hidden, bias, causal, b, start, stop, wide, s)
            for l in range(stop - start):  # noqa: E741
                seen = min(wide, start + l + 1) if causal else wide
                row = s[l]
                for i in range(seen, wide):
                    row[i] = zero
                top = largest(row[:seen])
                if top == -np.inf:
                    top = zero
                total = zero
                for i in range(seen):
                    row[i] = exp_of_negative(row[i] - top)
                    total += row[i]
                if total == zero:
                    total = of(1)
                share = of(1) / total
                for i in range(seen):
                    row[i] *= share
                log_sums[b, start + l] = of(math.log(total)) + top
            multiply(s, v[b, 0:wide], y[b, start:stop], False, False)


@kernel
def attend_backward(
    q: Array, k: Array, v: Array, hidden: Array, bias: Array, causal: bool, y: Array, log_sums: Array, dy: Array,
    with_bias: bool,
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """dq, dk, dv, and ds, which is the gradient of the bias, if it is asked for (else empty)."""
    dq, dk, dv = np.empty_like(q), np.zeros_like(k), np.zeros_like(v)
    dbias = np.empty((*q.shape[:2], k.shape[1]) if with_bias else (0, 0, 0), q.dtype)
    for items, rows in _pieces(q, k):
        dyr = dy[items, rows]
        p = np.exp(_scores(q, k, hidden, bias, causal, items, rows) - log_sums[items, rows, None])
        ds = p * (dyr @ v[items].swapaxes(1, 2) - (dyr * y[items, rows]).sum(-1, keepdims=True))
        dq[items, rows] = ds @ k[items]
        dk[items] += ds.swapaxes(1, 2) @ q[items, rows]
        dv[items] += p.swapaxes(1, 2) @ dyr
        if with_bias:
            dbias[items, rows] = ds
    return dq, dk, dv, dbias


@attend_backward.fast
def attend_backward(
    q: Array, k: Array, v: Array, hidden: Array, bias: Array, causal: bool, y: Array, log_sums: Array, dy: Array,
    with_bias: bool,
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    if not _fits(q, k, v, bias) or dy.dtype != q.dtype:
        return attend_backward.reference(q, k, v, hidden, bias, causal, y, log_sums, dy, with_bias)
    dq, dk, dv = np.empty_like(q), np.zeros_like(k), np.zeros_like(v)
    dbias = np.zeros((*q.shape[:2], k.shape[1]) if with_bias else (0, 0, 0), q.dtype)
    with library_held():
        chunks = min(len(q), threads.split(_work(q, k, v)))
        given = (q, k, v, hidden, bias, causal, y, log_sums, np.ascontiguousarray(dy))
        threads.run(_attend_backward, chunks, *given, dq, dk, dv, dbias)
    return dq, dk, dv, dbias


@jit(parallel=True, fastmath={"reassoc", "contract"}, error_model="numpy")
def _attend_backward(chunks, q, k, v, hidden, bias, causal, y, log_sums, dy, dq, dk, dv, dbias):  # type: ignore[no-untyped-def]
    B, L, _ = q.shape
    S, D = k.shape[1], v.shape[2]
    rows = min(L, max(FEWEST, TILE // S))
    zero = q.dtype.type(0)
    for chunk in prange(chunks):
        memory, more = np.empty(rows * S, q.dtype), np.empty(rows * S, q.dtype)
        for b in range(B * chunk // chunks, B * (chunk + 1) // chunks):  # dk and dv of an item belong to one thread
            for start in range(0, L, rows):
                stop = min(L, start + rows)
                wide = min(S, stop) if causal else S
                p = memory[: (stop - start) * wide].reshape(stop - start, wide)
                ds = more[: (stop - start) * wide].reshape(stop - start, wide)
                _tile_scores(q, k, hidden, bias, causal, b, start, stop, wide, p)
                multiply(dy[b, start:stop], v[b, 0:wide], ds, True, False)
                for l in range(stop - start):  # noqa: E741
                    seen = min(wide, start + l + 1) if causal else wide
                    along, shift = zero, log_sums[b, start + l]
                    for i in range(D):
                        along += dy[b, start + l, i] * y[b, start + l, i]
                    for i in range(seen):
                        p[l, i] = exp_of_negative(p[l, i] - shift)
                        ds[l, i] = p[l, i] * (ds[l, i] - along)
                    for i in range(seen, wide):
                        p[l, i] = ds[l, i] = zero
                    if dbias.size:
                        for i in range(seen):
                            dbias[b, start + l, i] = ds[l, i]
                multiply(p.T, dy[b, start:stop], dv[b, 0:wide], False, True)
                multiply(ds, k[b, 0:wide], dq[b, start:stop], False, False)
                multiply(ds.T, q[b, start:stop], dk[b, 0:wide], False, True)
