"""Softmax and its logarithm, row by row: p = e^(x - max x) / Σ e^(x - max x), so that nothing overflows.

A row stays in the processor's first cache for all its passes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import by_precision, jit, kernel
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
        room = np.empty((D + LANES - 1) // LANES * LANES, x.dtype)
        for m in range(M * chunk // chunks, M * (chunk + 1) // chunks):
            row, out = x[m], y[m]
            top = largest(row)
            total = _exponentials(row, top, room)
            if log:
                rest = of(math.log(total))
                for i in range(D):
                    out[i] = (row[i] - top) - rest
            else:
                share = of(1) / total
                for i in range(D):
                    out[i] = room[i] * share


@jit(fastmath={"reassoc", "contract"})
def _exponentials(row, top, room):  # type: ignore[no-untyped-def]
    """room <- e^(row - top), and their sum.  Zeros make room's length one of whole registers: no number is left over."""
    for i in range(row.size):
        room[i] = row[i] - top
    for i in range(row.size, room.size):
        room[i] = -np.inf
    total = row.dtype.type(0)
    for i in range(room.size):
        room[i] = exp_of_negative(room[i])
        total += room[i]
    return total


@jit
def _largest_single(row):  # type: ignore[no-untyped-def]
    bits, top = row.view(np.int32), np.int32(-(2**31))
    for i in range(bits.size):
        key = bits[i] ^ ((bits[i] >> np.int32(31)) & np.int32(2**31 - 1))
        top = key if key > top else top
    return np.int32(top ^ ((top >> np.int32(31)) & np.int32(2**31 - 1))).view(np.float32)


@jit
def _largest_double(row):  # type: ignore[no-untyped-def]
    bits, top = row.view(np.int64), np.int64(-(2**63))
    for i in range(bits.size):
        key = bits[i] ^ ((bits[i] >> np.int64(63)) & np.int64(2**63 - 1))
        top = key if key > top else top
    return np.int64(top ^ ((top >> np.int64(63)) & np.int64(2**63 - 1))).view(np.float64)


#: Compared are the bits, as integers, with those of negative numbers turned round: that is the same order, and a maximum
#: of integers is taken for many at once, that of numbers, because of NaN, is not.
_largest_of_many = by_precision(_largest_single, _largest_double)


@jit
def largest(row):  # type: ignore[no-untyped-def]
    """The largest element; a NaN counts as larger or smaller than all numbers, depending on its sign, or not at all."""
    if row.size >= 4 * LANES:
        return _largest_of_many(row)
    top = row.dtype.type(-np.inf)
    for i in range(row.size):
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
        room = np.empty((D + LANES - 1) // LANES * LANES, y.dtype)
        for m in range(M * chunk // chunks, M * (chunk + 1) // chunks):
            row, grad, out, total = y[m], dy[m], dx[m], of(0)
            if log:
                for i in range(D):
                    total += grad[i]
                _exponentials(row, of(0), room)
                for i in range(D):
                    out[i] = grad[i] - room[i] * total
            else:
                for i in range(D):
                    total += grad[i] * row[i]
                for i in range(D):
                    out[i] = row[i] * (grad[i] - total)
