"""The sums over all ways of connectionist temporal classification, forwards (α) and backwards (β) in time.

With the labels l' (a blank before, between and behind them), α_t(s) sums over the ways to reach l'_s at time t, β_t(s)
over those to go on from there, both with y_t(l'_s), all as logarithms.  A way stays, goes on by one, or by two, over a
blank between unlike labels.
Source: Graves et al., Connectionist temporal classification, 2006, section 4.1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel

__all__ = ["ways", "ways_backward"]

Array = NDArray[Any]
prange = range  # numba reads this name as its parallel range


@kernel
def ways(log_y: Array, spread: Array, jumps: Array, lengths: Array, counts: Array) -> tuple[Array, Array]:
    """α and -ln of the sum over all ways.   log y (T, N, C), l' and where it is jumped to (N, S), (N,) -> (N, T, S), (N,)"""
    T, N, _ = log_y.shape
    S = spread.shape[1]
    inside = np.arange(S) < (2 * counts + 1)[:, None]
    alpha = np.full((N, T, S), -np.inf, log_y.dtype)
    with np.errstate(invalid="ignore"):
        for t in range(T):
            emitted = np.where(inside, np.take_along_axis(log_y[t], spread, 1), -np.inf)
            alpha[:, t] = np.where(np.arange(S) < 2, 0, -np.inf) if t == 0 else _arrived(alpha[:, t - 1], jumps)
            alpha[:, t] += emitted
    losses = np.where((lengths == 0) & (counts == 0), 0.0, np.inf)
    rows = np.flatnonzero(lengths)
    ends, last = alpha[rows, lengths[rows] - 1], 2 * counts[rows]
    before = np.where(last > 0, ends[np.arange(len(rows)), last - 1], -np.inf)
    losses[rows] = -np.logaddexp(ends[np.arange(len(rows)), last], before)
    return alpha, losses.astype(log_y.dtype)


def _arrived(before: Array, jumps: Array) -> Array:
    """The sum over the steps that lead to each place: 0, 1 and, where it may be jumped to, 2.   (N, S)"""
    after = before.copy()
    after[:, 1:] = np.logaddexp(after[:, 1:], before[:, :-1])
    after[:, 2:] = np.logaddexp(after[:, 2:], np.where(jumps[:, 2:], before[:, :-2], -np.inf))
    return after


@ways.fast
def ways(log_y: Array, spread: Array, jumps: Array, lengths: Array, counts: Array) -> tuple[Array, Array]:
    T, N, _ = log_y.shape
    alpha, losses = np.full((N, T, spread.shape[1]), -np.inf, log_y.dtype), np.empty(N, log_y.dtype)
    work = 20 * alpha.size
    threads.run(_ways, threads.split(work), np.ascontiguousarray(log_y), spread, jumps, lengths, counts, alpha, losses)
    return alpha, losses


@jit
def _sum3(a, b, c):  # type: ignore[no-untyped-def]
    """ln(eᵃ + eᵇ + eᶜ)"""
    if b > a:
        a, b = b, a
    if c > a:
        a, c = c, a
    if a == -math.inf:
        return a
    total = a * 0 + 1  # in the dtype of a
    if b != -math.inf:
        total += math.exp(b - a)
    if c != -math.inf:
        total += math.exp(c - a)
    return a + math.log(total)


@jit(parallel=True)
def _ways(chunks, log_y, spread, jumps, lengths, counts, alpha, losses):  # type: ignore[no-untyped-def]
    N = len(counts)
    for chunk in prange(chunks):
        for n in range(N * chunk // chunks, N * (chunk + 1) // chunks):
            T, last = lengths[n], 2 * counts[n]
            if T == 0:
                losses[n] = 0.0 if last == 0 else math.inf
                continue
            a, labels = alpha[n], spread[n]
            for s in range(min(2, last + 1)):
                a[0, s] = log_y[0, n, labels[s]]
            for t in range(1, T):
                for s in range(last + 1):
                    one = a[t - 1, s - 1] if s > 0 else -math.inf
                    two = a[t - 1, s - 2] if jumps[n, s] else -math.inf
                    a[t, s] = _sum3(a[t - 1, s], one, two) + log_y[t, n, labels[s]]
            losses[n] = -_sum3(a[T - 1, last], a[T - 1, last - 1] if last > 0 else -math.inf, -math.inf)


@kernel
def ways_backward(
    log_y: Array, spread: Array, jumps: Array, lengths: Array, counts: Array, alpha: Array, losses: Array
) -> Array:
    """∂ℓ/∂(log y)_t(k) = y_t(k) - Σ_{s: l'_s = k} α_t(s) β_t(s) eˡ / y_t(k), 0 behind a sequence's end.   (T, N, C)"""
    T, N, _ = log_y.shape
    S = spread.shape[1]
    rows, last = np.arange(N), 2 * counts
    inside = np.arange(S) < (last + 1)[:, None]
    start = np.full((N, S), -np.inf, log_y.dtype)
    start[rows, last] = 0
    start[rows[last > 0], last[last > 0] - 1] = 0
    # read from the end, β is an α of the labels from the end: a place is jumped to from where one jumps to
    leaps = np.zeros_like(jumps)
    leaps[:, :-2] = jumps[:, 2:]
    beta = np.full((N, S), -np.inf, log_y.dtype)
    dx = np.exp(log_y)
    for t in range(T - 1, -1, -1):
        emitted = np.where(inside, np.take_along_axis(log_y[t], spread, 1), -np.inf)
        with np.errstate(invalid="ignore"):
            gone = _arrived(beta[:, ::-1], leaps[:, ::-1])[:, ::-1]
            beta = np.where((lengths - 1 == t)[:, None], start, gone) + emitted
            share = np.exp(alpha[:, t] + beta - emitted + losses[:, None])
        np.subtract.at(dx[t], (rows[:, None], spread), np.where(np.isfinite(emitted), share, 0))
    dx[np.arange(T)[:, None] >= lengths] = 0
    return dx


@ways_backward.fast
def ways_backward(
    log_y: Array, spread: Array, jumps: Array, lengths: Array, counts: Array, alpha: Array, losses: Array
) -> Array:
    dx = np.zeros(log_y.shape, log_y.dtype)
    given = np.ascontiguousarray(log_y), spread, jumps, lengths, counts, alpha, losses
    threads.run(_ways_backward, threads.split(30 * alpha.size), *given, dx)
    return dx


@jit(parallel=True)
def _ways_backward(chunks, log_y, spread, jumps, lengths, counts, alpha, losses, dx):  # type: ignore[no-untyped-def]
    N, S, C = len(counts), spread.shape[1], log_y.shape[2]
    for chunk in prange(chunks):
        beta, later = np.empty(S, log_y.dtype), np.empty(S, log_y.dtype)
        for n in range(N * chunk // chunks, N * (chunk + 1) // chunks):
            last, labels = 2 * counts[n], spread[n]
            for t in range(lengths[n] - 1, -1, -1):
                y, out = log_y[t, n], dx[t, n]
                for k in range(C):
                    out[k] = math.exp(y[k])
                for s in range(last + 1):
                    if t == lengths[n] - 1:
                        going = 0.0 if s >= last - 1 else -math.inf
                    else:
                        one = later[s + 1] if s < last else -math.inf
                        two = later[s + 2] if s + 2 <= last and jumps[n, s + 2] else -math.inf
                        going = _sum3(later[s], one, two)
                    k = labels[s]
                    beta[s] = going + y[k]
                    if y[k] != -math.inf:
                        out[k] -= math.exp(alpha[n, t, s] + going + losses[n])
                beta, later = later, beta
