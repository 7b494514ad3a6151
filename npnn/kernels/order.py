"""The same numbers in another order of memory: blocks at a time, so that a cache line that was read is used up.

A copy between two orders, such as (N, C, H, W) and (N, H, W, C), is a transposition of (C, H W) for each of N, once
axes that follow each other in both orders are taken together.  Read row by row it would fetch a whole line of memory
for every number; a block of 64 x 16 numbers stays in the first cache.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel

__all__ = ["contiguous", "copy_in_order", "triangle"]

prange = range  # numba reads this name as its parallel range

_FEW = 1 << 20  # numbers, up to which NumPy's copy is as fast: they fit into the caches
_ROWS, _COLUMNS = 64, 16  # of a block: whole cache lines of both


def contiguous(x: NDArray[Any]) -> NDArray[Any]:
    """x in the order of its indices: itself if it is so already, else a copy."""
    if x.flags.c_contiguous:
        return x
    y = np.empty(x.shape, x.dtype)
    copy_in_order(y, x)
    return y


@kernel
def copy_in_order(y: NDArray[Any], x: NDArray[Any]) -> None:
    """y ← x, of one shape, each in its own order of memory."""
    np.copyto(y, x)


@copy_in_order.fast
def copy_in_order(y: NDArray[Any], x: NDArray[Any]) -> None:
    plan = _plan(y, x) if y.size > _FEW and y.dtype == x.dtype and y.itemsize in (4, 8) and y.shape == x.shape else None
    if plan is None:
        return copy_in_order.reference(y, x)
    kind = np.int32 if y.itemsize == 4 else np.int64
    to, source = _memory(y).view(kind), _memory(x).view(kind)
    return threads.run(_copy, threads.split(4 * y.size), to, source, *plan)


def _memory(a: NDArray[Any]) -> NDArray[Any]:
    """All of a dense array as one row, in the order of memory."""
    return a.transpose(sorted(range(a.ndim), key=lambda i: -a.strides[i])).reshape(-1)


def _dense(a: NDArray[Any]) -> bool:
    """True if an array has each element of its memory once, whatever their order."""
    expected = a.itemsize
    for n, stride in sorted(((n, s) for n, s in zip(a.shape, a.strides, strict=True) if n > 1), key=lambda p: p[1]):
        if stride != expected:
            return False
        expected *= n
    return True


def _plan(y: NDArray[Any], x: NDArray[Any]) -> tuple[int, ...] | None:
    """How to go through both: two outer axes and the two of the transposition, sizes and steps; None if that is not it."""
    if not (_dense(y) and _dense(x)):
        return None
    size = y.itemsize
    axes = sorted((i for i in range(y.ndim) if y.shape[i] > 1), key=lambda i: -y.strides[i])
    merged: list[list[int]] = []  # [length, step in y, step in x], the fastest of y last
    for i in axes:
        n, to, source = y.shape[i], y.strides[i] // size, x.strides[i] // size
        if merged and merged[-1][1] == n * to and merged[-1][2] == n * source:
            merged[-1] = [merged[-1][0] * n, to, source]
        else:
            merged.append([n, to, source])
    rows = next((axis for axis in merged[:-1] if axis[2] == 1), None)  # the fastest of x
    if rows is None or len(merged) > 4:
        return None
    columns = merged[-1]
    outer = [axis for axis in merged[:-1] if axis is not rows]
    outer = [[1, 0, 0]] * (2 - len(outer)) + outer
    return (*outer[0], *outer[1], rows[0], rows[1], columns[0], columns[2])


@jit(parallel=True)
def _copy(chunks, y, x, n0, y0, x0, n1, y1, x1, rows, y_step, columns, x_step):  # type: ignore[no-untyped-def]
    u = np.uint64  # an index that cannot be negative needs no look at its sign
    blocks = (rows + _ROWS - 1) // _ROWS
    work = n0 * n1 * blocks
    for chunk in prange(chunks):
        for item in range(work * chunk // chunks, work * (chunk + 1) // chunks):
            a, rest = item // (n1 * blocks), item % (n1 * blocks)
            b, block = rest // blocks, rest % blocks
            to, source = u(a * y0 + b * y1), u(a * x0 + b * x1)
            first, last = block * _ROWS, min(rows, block * _ROWS + _ROWS)
            for start in range(0, columns, _COLUMNS):
                stop = min(columns, start + _COLUMNS)
                for r in range(first, last):
                    here, there = to + u(r) * u(y_step), source + u(r)
                    for c in range(start, stop):
                        y[here + u(c)] = x[there + u(c) * u(x_step)]


@kernel
def triangle(x: NDArray[Any], diagonal: int, lower: bool) -> NDArray[Any]:
    """x on and below a diagonal (or on and above it), 0 elsewhere.   (*, M, N)"""
    return np.tril(x, diagonal) if lower else np.triu(x, diagonal)


@triangle.fast
def triangle(x: NDArray[Any], diagonal: int, lower: bool) -> NDArray[Any]:
    if not x.size or x.dtype.kind not in "fi":
        return triangle.reference(x, diagonal, lower)
    y = np.empty(x.shape, x.dtype)
    rows = math.prod(x.shape[:-2]), *x.shape[-2:]
    threads.run(
        _triangle, threads.split(x.size), np.ascontiguousarray(x).reshape(rows), diagonal, lower, y.reshape(rows)
    )
    return y


@jit(parallel=True)
def _triangle(chunks, x, diagonal, lower, y):  # type: ignore[no-untyped-def]
    A, M, N = x.shape
    for chunk in prange(chunks):
        for place in range(A * M * chunk // chunks, A * M * (chunk + 1) // chunks):
            a, i = divmod(place, M)
            source, out = x[a, i], y[a, i]
            edge = min(max(i + diagonal + lower, 0), N)  # the first that is above
            first, last = (0, edge) if lower else (edge, N)
            out[:] = 0
            for j in range(first, last):
                out[j] = source[j]
