"""What attention does to a tile of scores, between its matrix products: one pass over memory each way.

A tile is s (B, L, S): for each of L queries its scores with S keys.  With ``first`` not negative it is causal, and
its first query is number ``first`` of all: query l sees keys 0 to first + l.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel
from npnn.kernels.smooth import exp_of_negative
from npnn.kernels.softmax_rows import LANES, largest

__all__ = ["score_gradients", "weights"]

prange = range  # numba reads this name as its parallel range

Array = NDArray[Any]


def _hide(s: Array, first: int) -> None:
    if first >= 0:
        L, S = s.shape[1:]
        np.copyto(s, -np.inf, where=np.arange(S) > np.arange(first, first + L)[:, None])


@kernel
def weights(s: Array, first: int) -> Array:
    """s ← softmax(s) along the keys, in place; returns ln Σ eˢ, (B, L).  A query that sees no key gets weights of 0, and 0."""
    _hide(s, first)
    top = s.max(-1, keepdims=True, initial=-np.inf)
    np.copyto(top, 0, where=np.isneginf(top))
    s -= top
    np.exp(s, out=s)
    sums = s.sum(-1, keepdims=True)
    np.copyto(sums, 1, where=sums == 0)
    s /= sums
    return (np.log(sums) + top)[..., 0]  # type: ignore[no-any-return]


@weights.fast
def weights(s: Array, first: int) -> Array:
    if s.dtype != np.float32 or not s.size or not s.flags.c_contiguous:
        return weights.reference(s, first)
    log_sums = np.empty(s.shape[:2], s.dtype)
    threads.run(_weights, threads.split(4 * s.size), s, first, log_sums)
    return log_sums


@jit(parallel=True, fastmath={"reassoc", "contract"}, error_model="numpy")
def _weights(chunks, s, first, log_sums):  # type: ignore[no-untyped-def]
    B, L, S = s.shape
    zero = np.float32(0)
    for chunk in prange(chunks):
        lanes = np.empty(LANES, s.dtype)
        for r in range(B * L * chunk // chunks, B * L * (chunk + 1) // chunks):
            b, l = r // L, r % L  # noqa: E741
            seen = S if first < 0 else min(S, first + l + 1)
            row = s[b, l, :seen]
            for i in range(seen, S):
                s[b, l, i] = zero
            top = largest(row, lanes)
            if top == -np.inf:
                top = zero
            total = zero
            for i in range(seen):
                row[i] = exp_of_negative(row[i] - top)
                total += row[i]
            if total == zero:
                total = np.float32(1)
            share = np.float32(1) / total
            for i in range(seen):
                row[i] *= share
            log_sums[b, l] = np.float32(math.log(total)) + top


@kernel
def score_gradients(s: Array, dp: Array, log_sums: Array, along: Array, first: int) -> None:
    """s ← p = e^(s - ln Σ eˢ) and dp ← p (dp - along), in place.   (B, L, S), (B, L, S), (B, L), (B, L)"""
    _hide(s, first)
    with np.errstate(invalid="ignore"):
        s -= log_sums[..., None]
    np.exp(s, out=s)
    dp -= along[..., None]
    dp *= s


@score_gradients.fast
def score_gradients(s: Array, dp: Array, log_sums: Array, along: Array, first: int) -> None:
    if s.dtype != np.float32 or not s.size or not (s.flags.c_contiguous and dp.flags.c_contiguous):
        return score_gradients.reference(s, dp, log_sums, along, first)
    return threads.run(_score_gradients, threads.split(4 * s.size), s, dp, log_sums, along, first)


@jit(parallel=True)
def _score_gradients(chunks, s, dp, log_sums, along, first):  # type: ignore[no-untyped-def]
    B, L, S = s.shape
    zero = np.float32(0)
    for chunk in prange(chunks):
        for r in range(B * L * chunk // chunks, B * L * (chunk + 1) // chunks):
            b, l = r // L, r % L  # noqa: E741
            seen = S if first < 0 else min(S, first + l + 1)
            p, d, shift, less = s[b, l], dp[b, l], log_sums[b, l], along[b, l]
            for i in range(seen):
                p[i] = exp_of_negative(p[i] - shift)
                d[i] = p[i] * (d[i] - less)
            for i in range(seen, S):
                p[i] = d[i] = zero
