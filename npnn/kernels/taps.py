"""Weighted sums of rows that are named by number, other rows and weights for each result: an image looked at in places."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel

__all__ = ["weighted_rows", "weighted_rows_backward"]

Array = NDArray[Any]
prange = range  # numba reads this name as its parallel range


@kernel
def weighted_rows(x: Array, index: Array, weight: Array) -> Array:
    """y[n, p] = Σ_t weight[n, p, t] x[n, index[n, p, t]].   (N, R, C), (N, P, T), (N, P, T) -> (N, P, C)"""
    picked = np.take_along_axis(x, index.reshape(len(x), -1, 1), 1)
    return (picked.reshape(*index.shape, x.shape[2]) * weight[..., None]).sum(2)


@weighted_rows.fast
def weighted_rows(x: Array, index: Array, weight: Array) -> Array:
    y = np.zeros((*index.shape[:2], x.shape[2]), x.dtype)
    work = index.size * x.shape[2]
    threads.run(_sums, threads.split(2 * work), *map(np.ascontiguousarray, (x, index, weight)), y)
    return y


@jit(parallel=True)
def _sums(chunks, x, index, weight, y):  # type: ignore[no-untyped-def]
    N, P, T = index.shape
    for chunk in prange(chunks):
        for place in range(N * P * chunk // chunks, N * P * (chunk + 1) // chunks):
            n, p = divmod(place, P)
            out = y[n, p]
            for t in range(T):
                w, source = weight[n, p, t], x[n, index[n, p, t]]
                if w != 0:
                    for c in range(out.size):
                        out[c] += w * source[c]


@kernel
def weighted_rows_backward(dy: Array, x: Array, index: Array, weight: Array) -> tuple[Array, Array]:
    """dx[n, index[n, p, t]] += weight[n, p, t] dy[n, p] and dweight[n, p, t] = Σ dy[n, p] x[n, index[n, p, t]]"""
    picked = np.take_along_axis(x, index.reshape(len(x), -1, 1), 1).reshape(*index.shape, x.shape[2])
    dx = np.zeros_like(x)
    np.add.at(dx, (np.arange(len(x))[:, None, None], index), dy[:, :, None] * weight[..., None])
    return dx, (picked * dy[:, :, None]).sum(-1)


@weighted_rows_backward.fast
def weighted_rows_backward(dy: Array, x: Array, index: Array, weight: Array) -> tuple[Array, Array]:
    dx, dw = np.zeros(x.shape, x.dtype), np.empty(weight.shape, weight.dtype)
    chunks = min(
        threads.split(4 * index.size * x.shape[2]), max(len(x), 1)
    )  # each has whole images: no two add to one row
    threads.run(_sums_backward, chunks, *map(np.ascontiguousarray, (dy, x, index, weight)), dx, dw)
    return dx, dw


@jit(parallel=True, fastmath={"contract", "reassoc"})
def _sums_backward(chunks, dy, x, index, weight, dx, dw):  # type: ignore[no-untyped-def]
    N, P, T = index.shape
    for chunk in prange(chunks):
        for n in range(N * chunk // chunks, N * (chunk + 1) // chunks):
            for p in range(P):
                given = dy[n, p]
                for t in range(T):
                    w, row = weight[n, p, t], index[n, p, t]
                    source, target = x[n, row], dx[n, row]
                    total = 0 * w
                    for c in range(given.size):
                        total += given[c] * source[c]
                        target[c] += w * given[c]
                    dw[n, p, t] = total
