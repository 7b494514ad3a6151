"""Sums of rows, and rows of one number: what a reduction over the last axes is, forward and backward.

The numbers of a row are added side by side, as many as a register holds, in blocks of ``BLOCK``; across blocks in
float64.  Blocks do not depend on the number of threads, so neither does the result.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel

__all__ = ["copied", "row_sums", "spread_rows", "sums"]

prange = range  # numba reads this name as its parallel range

BLOCK = 4096
_FEW = 2048  # numbers, up to which NumPy is done before a compiled loop has been called


def sums(x: NDArray[Any], axes: tuple[int, ...], keepdims: bool) -> NDArray[Any]:
    """x.sum(axes, keepdims=keepdims): by row_sums where the axes are the last ones in memory, all or some of them."""
    kept = x.ndim - len(axes)
    if x.size <= _FEW or x.dtype.char not in "fd" or not x.flags.c_contiguous or axes != tuple(range(kept, x.ndim)):
        return x.sum(axis=axes, keepdims=keepdims)
    shape = x.shape[:kept] + (1,) * (x.ndim - kept) if keepdims else x.shape[:kept]
    rows = math.prod(x.shape[:kept])
    if rows == x.size:
        return x.reshape(shape).copy()
    if rows > 1:
        return row_sums(x.reshape(rows, -1)).reshape(shape)
    flat, whole = x.reshape(-1), x.size - x.size % BLOCK
    total = row_sums(flat[:whole].reshape(-1, BLOCK)).sum(dtype=np.float64) + flat[whole:].sum(dtype=np.float64)
    return np.full(shape, total, x.dtype)


def copied(x: NDArray[Any]) -> NDArray[Any]:
    """A copy of x in its memory order; where x repeats numbers along its last axes, without reading them again."""
    if 0 not in x.strides:
        return x.copy("K")
    last = x.ndim
    while last and x.strides[last - 1] == 0:
        last -= 1
    if x.size <= _FEW or last == x.ndim or x.dtype.kind != "f":
        return x.copy("C")
    some = x.reshape(*x.shape[:last], -1)[..., 0]  # a view, as the axes that repeat are one
    if some.size == x.size or not some.flags.c_contiguous:
        return x.copy("C")
    return spread_rows(some.reshape(-1), x.size // some.size).reshape(x.shape)


@kernel
def row_sums(x: NDArray[Any]) -> NDArray[Any]:
    """y_m = Σ_d x_md.   (M, D) -> (M,)"""
    return x.sum(axis=1)


@row_sums.fast
def row_sums(x: NDArray[Any]) -> NDArray[Any]:
    y = np.empty(len(x), x.dtype)
    threads.run(_row_sums, threads.split(x.size), x, y)
    return y


@jit(parallel=True, fastmath={"reassoc", "contract"})
def _row_sums(chunks, x, y):  # type: ignore[no-untyped-def]
    M, D = x.shape
    for chunk in prange(chunks):
        for m in range(M * chunk // chunks, M * (chunk + 1) // chunks):
            row, total = x[m], 0.0
            for start in range(0, D, BLOCK):
                part = row[start : start + BLOCK]
                some = x.dtype.type(0)
                for d in range(part.size):
                    some += part[d]
                total += some
            y[m] = total


@kernel
def spread_rows(v: NDArray[Any], D: int) -> NDArray[Any]:
    """y_md = v_m.   (M,) -> (M, D)"""
    return np.repeat(v[:, None], D, axis=1)


@spread_rows.fast
def spread_rows(v: NDArray[Any], D: int) -> NDArray[Any]:
    y = np.empty((len(v), D), v.dtype)
    threads.run(_spread_rows, threads.split(y.size), v, y)
    return y


@jit(parallel=True)
def _spread_rows(chunks, v, y):  # type: ignore[no-untyped-def]
    M, D = y.shape
    for chunk in prange(chunks):
        for m in range(M * chunk // chunks, M * (chunk + 1) // chunks):
            row, value = y[m], v[m]
            for d in range(D):
                row[d] = value
