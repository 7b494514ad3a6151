"""Softmax and its logarithm, row by row: p = e^(x - max x) / Σ e^(x - max x), so that nothing overflows.

A row stays in the processor's first cache for all its passes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel
from npnn.kernels.exponential import exp_of_negative

__all__ = ["LANES", "largest", "softmax", "softmax_backward"]

prange = range  # numba reads this name as its parallel range

LANES = 16  # as many numbers as a vector register holds


@kernel
def softmax(x: NDArray[Any], log: bool) -> NDArray[Any]:
    """p, or log p = x - max x - log Σ e^(x - max x).   (M, D) -> (M, D)"""
    with np.errstate(invalid="ignore", divide="ignore"):  # infinities give nan, quietly, and nothing gives nothing
        y = x - x.max(axis=1, keepdims=True, initial=-np.inf)
        e = np.exp(y)
        total = e.sum(axis=1, keepdims=True)
        return y - np.log(total) if log else e / total


@softmax.fast
def softmax(x: NDArray[Any], log: bool) -> NDArray[Any]:
    if x.dtype.char not in "fd" or not x.size:
        return softmax.reference(x, log)
    y = np.empty(x.shape, x.dtype)
    threads.run(_softmax, threads.split(4 * x.size), np.ascontiguousarray(x), log, y)
    return y


@jit(parallel=True, fastmath={"reassoc", "contract"})
def _softmax(chunks, x, log, y):  # type: ignore[no-untyped-def]
    (M, D), of = x.shape, x.dtype.type
    for chunk in prange(chunks):
        lanes = np.empty(LANES, x.dtype)
        for m in range(M * chunk // chunks, M * (chunk + 1) // chunks):
            row, out, total = x[m], y[m], of(0)
            top = largest(row, lanes)
            for i in range(D):
                out[i] = exp_of_negative(row[i] - top)
                total += out[i]
            if log:
                rest = of(math.log(total))
                for i in range(D):
                    out[i] = (row[i] - top) - rest
            else:
                share = of(1) / total
                for i in range(D):
                    out[i] *= share


@jit
def largest(row, lanes):  # type: ignore[no-untyped-def]
    """The largest element that is not a NaN; each lane looks after every 16th, so that they run side by side."""
    lanes[:] = -np.inf
    whole = row.size - row.size % LANES
    for start in range(0, whole, LANES):
        piece = row[start : start + LANES]
        for j in range(LANES):
            lanes[j] = piece[j] if piece[j] > lanes[j] else lanes[j]
    top = lanes.max()
    for i in range(whole, row.size):
        top = row[i] if row[i] > top else top
    return top


@kernel
def softmax_backward(dy: NDArray[Any], y: NDArray[Any], log: bool) -> NDArray[Any]:
    """dx = p (dy - Σ dy p) from p = y, or dx = dy - p Σ dy from log p = y.   (M, D), (M, D) -> (M, D)"""
    if log:
        return dy - np.exp(y) * dy.sum(axis=1, keepdims=True)
    return y * (dy - (dy * y).sum(axis=1, keepdims=True))


@softmax_backward.fast
def softmax_backward(dy: NDArray[Any], y: NDArray[Any], log: bool) -> NDArray[Any]:
    if y.dtype.char not in "fd":
        return softmax_backward.reference(dy, y, log)
    dx = np.empty(y.shape, y.dtype)
    threads.run(_softmax_backward, threads.split(4 * y.size), np.ascontiguousarray(dy), y, log, dx)
    return dx


@jit(parallel=True, fastmath={"reassoc", "contract"})
def _softmax_backward(chunks, dy, y, log, dx):  # type: ignore[no-untyped-def]
    (M, D), of = y.shape, y.dtype.type
    for chunk in prange(chunks):
        for m in range(M * chunk // chunks, M * (chunk + 1) // chunks):
            row, grad, out, total = y[m], dy[m], dx[m], of(0)
            if log:
                for i in range(D):
                    total += grad[i]
                for i in range(D):
                    out[i] = grad[i] - exp_of_negative(of(0) if row[i] > 0 else row[i]) * total
            else:
                for i in range(D):
                    total += grad[i] * row[i]
                for i in range(D):
                    out[i] = row[i] * (grad[i] - total)
