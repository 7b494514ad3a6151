"""Pooling: the largest element, or the sum, of each window of an image.

Images are channels-last here, (N, H, W, C): a window's channels lie side by side, so that each loop
over channels runs on whole vector registers.

The windows are given by two tables of ranges, one for each axis: output row ``oh`` looks at the
image rows ``range(*rows[oh])``, output column ``ow`` at the columns ``range(*cols[ow])``.  So one
kernel serves every stride, padding, dilation and the adaptive layers, whose windows differ in size.
(The loops count by themselves: a range whose step is not known costs a division for each window.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel

__all__ = ["max_pool", "max_pool_backward", "sum_pool", "sum_pool_backward"]

prange = range  # numba reads this name as its parallel range

FEW = 4  # channels: loops over fewer cost more than what they do, so that each channel goes by itself


def _cells(rows: NDArray[Any], cols: NDArray[Any]) -> Iterator[tuple[NDArray[Any], ...]]:
    """The windows' first cells, then their second ones, and so on.

    Each time: the image rows (OH, 1) and columns (1, OW) of that cell, and whether the window has
    it at all, (OH, OW).
    """
    height, width = (max((len(range(*r)) for r in table.tolist()), default=0) for table in (rows, cols))
    for i in range(height):
        for j in range(width):
            h, w = rows[:, :1] + i * rows[:, 2:], (cols[:, :1] + j * cols[:, 2:]).T
            inside = (h < rows[:, 1:2]) & (w < cols[:, 1:2].T)
            yield np.where(inside, h, 0), np.where(inside, w, 0), inside[:, :, None]


def _lowest(dtype: np.dtype[Any]) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


@kernel
def max_pool(x: NDArray[Any], rows: NDArray[Any], cols: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The largest element of each window, and where in the image it is: its index h·W + w.

    A NaN counts as larger than everything: it must not be swallowed.  Of equal elements the first wins.
    (N, H, W, C) -> (N, OH, OW, C) and the same in int32
    """
    shape = (len(x), len(rows), len(cols), x.shape[3])
    y = np.full(shape, _lowest(x.dtype), x.dtype)
    index = np.empty(shape, np.int32)
    index[...] = (rows[:, :1] * x.shape[2] + cols[:, 0])[:, :, None]  # where all is -inf, the first cell
    for h, w, inside in _cells(rows, cols):
        cell = x[:, h, w]  # (N, OH, OW, C)
        better = inside & ((cell > y) | (cell != cell))
        np.copyto(y, cell, where=better)
        np.copyto(index, (h * x.shape[2] + w)[:, :, None], where=better, casting="same_kind")
    return y, index


@max_pool.fast
def max_pool(x: NDArray[Any], rows: NDArray[Any], cols: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    shape = (len(x), len(rows), len(cols), x.shape[3])
    y, index = np.empty(shape, x.dtype), np.empty(shape, np.int32)
    lowest = x.dtype.type(_lowest(x.dtype))
    threads.run(_max_pool, threads.split(x.size), np.ascontiguousarray(x), rows, cols, lowest, y, index)
    return y, index


@jit(parallel=True, error_model="numpy")
def _max_pool(chunks, x, rows, cols, lowest, y, index):  # type: ignore[no-untyped-def]
    N, OH, OW, C = y.shape
    W = x.shape[2]
    for chunk in prange(chunks):
        for row in range(N * OH * chunk // chunks, N * OH * (chunk + 1) // chunks):
            n, oh = divmod(row, OH)
            top, bottom, down = rows[oh, 0], rows[oh, 1], rows[oh, 2]
            for ow in range(OW):
                left, right, along = cols[ow, 0], cols[ow, 1], cols[ow, 2]
                first, empty = np.int32(top * W + left), top >= bottom or left >= right
                if C < FEW:
                    for c in range(C):
                        largest, place = lowest if empty else x[n, top, left, c], first
                        h = top
                        while h < bottom:
                            w = left
                            while w < right:
                                value = x[n, h, w, c]
                                better = (value > largest) | (value != value)
                                largest = value if better else largest
                                place = np.int32(h * W + w) if better else place
                                w += along
                            h += down
                        y[n, oh, ow, c], index[n, oh, ow, c] = largest, place
                    continue
                best, where = y[n, oh, ow], index[n, oh, ow]
                for c in range(C):
                    best[c] = lowest if empty else x[n, top, left, c]
                    where[c] = first
                h = top
                while h < bottom:
                    w = left + along if h == top else left
                    while w < right:
                        cell, here = x[n, h, w], np.int32(h * W + w)
                        for c in range(C):
                            better = (cell[c] > best[c]) | (cell[c] != cell[c])
                            best[c] = cell[c] if better else best[c]
                            where[c] = here if better else where[c]
                        w += along
                    h += down


@kernel
def max_pool_backward(dy: NDArray[Any], index: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Each window's gradient goes to the element that won.   (N, OH, OW, C), the same -> (N, H, W, C)"""
    N, _, _, C = dy.shape
    dx = np.zeros((N, *size, C), dy.dtype)
    n, c = np.ogrid[:N, :C]
    np.add.at(dx.reshape(N, size[0] * size[1], C), (n[:, None, None], index, c), dy)
    return dx


@max_pool_backward.fast
def max_pool_backward(dy: NDArray[Any], index: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    N, _, _, C = dy.shape
    dx = np.empty((N, *size, C), dy.dtype)
    pixels = dx.reshape(N, size[0] * size[1], C)
    threads.run(_max_pool_backward, threads.split(dx.size), np.ascontiguousarray(dy), index, pixels)
    return dx


@jit(parallel=True)
def _max_pool_backward(chunks, dy, index, dx):  # type: ignore[no-untyped-def]
    N, OH, OW, C = dy.shape
    for chunk in prange(chunks):
        for n in range(N * chunk // chunks, N * (chunk + 1) // chunks):
            image = dx[n]
            image[:] = 0
            for oh in range(OH):
                for ow in range(OW):
                    for c in range(C):
                        image[index[n, oh, ow, c], c] += dy[n, oh, ow, c]


@kernel
def sum_pool(x: NDArray[Any], rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[Any]:
    """The sum of each window.   (N, H, W, C) -> (N, OH, OW, C)"""
    y = np.zeros((len(x), len(rows), len(cols), x.shape[3]), x.dtype)
    for h, w, inside in _cells(rows, cols):
        np.add(y, x[:, h, w], out=y, where=inside)
    return y


@sum_pool.fast
def sum_pool(x: NDArray[Any], rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[Any]:
    y = np.empty((len(x), len(rows), len(cols), x.shape[3]), x.dtype)
    threads.run(_sum_pool, threads.split(x.size), np.ascontiguousarray(x), rows, cols, y)
    return y


@jit(parallel=True)
def _sum_pool(chunks, x, rows, cols, y):  # type: ignore[no-untyped-def]
    N, OH, OW, C = y.shape
    for chunk in prange(chunks):
        for row in range(N * OH * chunk // chunks, N * OH * (chunk + 1) // chunks):
            n, oh = divmod(row, OH)
            for ow in range(OW):
                if C < FEW:
                    for c in range(C):
                        some = x.dtype.type(0)
                        h = rows[oh, 0]
                        while h < rows[oh, 1]:
                            w = cols[ow, 0]
                            while w < cols[ow, 1]:
                                some += x[n, h, w, c]
                                w += cols[ow, 2]
                            h += rows[oh, 2]
                        y[n, oh, ow, c] = some
                    continue
                total = y[n, oh, ow]
                total[:] = 0
                h = rows[oh, 0]
                while h < rows[oh, 1]:
                    w = cols[ow, 0]
                    while w < cols[ow, 1]:
                        cell = x[n, h, w]
                        for c in range(C):
                            total[c] += cell[c]
                        w += cols[ow, 2]
                    h += rows[oh, 2]


@kernel
def sum_pool_backward(dy: NDArray[Any], rows: NDArray[Any], cols: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Each window's gradient goes to all its elements.   (N, OH, OW, C) -> (N, H, W, C)"""
    dx = np.zeros((len(dy), *size, dy.shape[3]), dy.dtype)
    for h, w, inside in _cells(rows, cols):
        np.add.at(dx, (slice(None), h, w), np.where(inside, dy, 0))
    return dx


@sum_pool_backward.fast
def sum_pool_backward(dy: NDArray[Any], rows: NDArray[Any], cols: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    dx = np.empty((len(dy), *size, dy.shape[3]), dy.dtype)
    threads.run(_sum_pool_backward, threads.split(dx.size), np.ascontiguousarray(dy), rows, cols, dx)
    return dx


@jit(parallel=True)
def _sum_pool_backward(chunks, dy, rows, cols, dx):  # type: ignore[no-untyped-def]
    N, OH, OW, C = dy.shape
    for chunk in prange(chunks):
        for n in range(N * chunk // chunks, N * (chunk + 1) // chunks):
            dx[n] = 0
            for oh in range(OH):
                for ow in range(OW):
                    if C < FEW:
                        for c in range(C):
                            share = dy[n, oh, ow, c]
                            h = rows[oh, 0]
                            while h < rows[oh, 1]:
                                w = cols[ow, 0]
                                while w < cols[ow, 1]:
                                    dx[n, h, w, c] += share
                                    w += cols[ow, 2]
                                h += rows[oh, 2]
                        continue
                    gradient = dy[n, oh, ow]
                    h = rows[oh, 0]
                    while h < rows[oh, 1]:
                        w = cols[ow, 0]
                        while w < cols[ow, 1]:
                            cell = dx[n, h, w]
                            for c in range(C):
                                cell[c] += gradient[c]
                            w += cols[ow, 2]
                        h += rows[oh, 2]
