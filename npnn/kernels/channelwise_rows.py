"""Channel-by-channel convolution where a pixel's channels fill registers: each row of the result is added up by itself.

A row of outputs falls into segments in which the same taps of the kernel see the image: at its ends some see the
padding.  ``channel_taps`` adds up a segment.  In backward_input, with a stride s > 1, each s-th pixel is seen by the
same taps: then every phase of a row is a row of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit
from npnn.kernels.channel_taps import TAPS, add_taps, sum_taps
from npnn.kernels.im2col import Geometry

__all__ = ["backward_input", "backward_weight", "forward"]

prange = range  # numba reads this name as its parallel range

Array = NDArray[Any]


def _moves(geometry: Geometry) -> tuple[int, ...]:
    (sh, sw), (top, left), _, (dh, dw), _ = geometry
    return sh, sw, top, left, dh, dw


def forward(x: Array, taps: Array, bias: Array, y: Array, geometry: Geometry, chunks: int) -> None:
    """y ← the convolution.   (N, H, W, C), (KH, KW, C), (C,), (N, OH, OW, C)"""
    threads.run(_forward, chunks, x, taps, bias, np.zeros_like(bias), y, _moves(geometry))


def backward_input(dy: Array, taps: Array, dx: Array, geometry: Geometry, chunks: int) -> None:
    """dx ← the gradient.   (N, OH, OW, C), (KH, KW, C), (N, H, W, C)"""
    threads.run(_backward_input, chunks, dy, taps, np.zeros(taps.shape[2], taps.dtype), dx, _moves(geometry))


def backward_weight(
    x: Array, dy: Array, kernel_size: tuple[int, int], geometry: Geometry, chunks: int
) -> tuple[Array, Array]:
    """The gradients of the taps and of the bias.   (N, H, W, C), (N, OH, OW, C) -> (KH, KW, C), (C,)"""
    dw = np.zeros((chunks, *kernel_size, x.shape[3]), x.dtype)
    db = np.zeros((chunks, x.shape[3]), x.dtype)
    threads.run(_backward_weight, chunks, x, dy, dw, db, _moves(geometry))
    return dw.sum(axis=0), db.sum(axis=0)


@jit
def _inside(n, size, stride, shift):  # type: ignore[no-untyped-def]
    """The first and last + 1 of j = 0 .. n - 1 for which j · stride + shift is in 0 .. size - 1."""
    lo = 0 if shift >= 0 else (-shift + stride - 1) // stride
    hi = 0 if size <= shift else (size - shift + stride - 1) // stride
    return min(lo, n), max(min(hi, n), min(lo, n))


@jit
def _row(like, out, out_step, n, rows, columns, step, start, zeros, places, summing):  # type: ignore[no-untyped-def]
    """One row of n pixels at the address ``out``, from all taps that see it.

    rows (2, K): for each row of the kernel that sees the image the addresses of the image's row and of its weights.
    columns (4, L): for each of its columns the pixel that output 0 would see, the weights' place, and the first
    and last + 1 of the outputs that see the image.  Places and steps are in bytes.
    ``start`` and ``zeros`` are addresses; ``summing``: the gradients of the weights, not the outputs, are added up.
    """
    channels, j = like.shape[like.ndim - 1], 0
    while j < n:
        stop = n
        for c in range(columns.shape[1]):  # up to where another set of columns sees the image
            if columns[2, c] > j:
                stop = min(stop, columns[2, c])
            elif columns[3, c] > j:
                stop = min(stop, columns[3, c])
        first, count = start, 0
        for k in range(rows.shape[1]):
            for c in range(columns.shape[1]):
                if columns[2, c] <= j < columns[3, c]:
                    places[2 * count] = rows[0, k] + columns[0, c] + j * step
                    places[2 * count + 1] = rows[1, k] + columns[1, c]
                    count += 1
                    if count == TAPS:
                        _segment(
                            like, out + j * out_step, out_step, places, count, step, stop - j, channels, first, summing
                        )
                        first, count = 0, 0
        if count > 0:
            _segment(like, out + j * out_step, out_step, places, count, step, stop - j, channels, first, summing)
        elif first != 0 and not summing:
            places[0], places[1] = start, zeros
            _segment(like, out + j * out_step, out_step, places, 1, 0, stop - j, channels, start, summing)
        j = stop


@jit
def _segment(like, out, out_step, places, count, step, n, channels, start, summing):  # type: ignore[no-untyped-def]
    if summing:
        sum_taps(like, out, out_step, places, count, step, n, channels)
    else:
        add_taps(like, out, out_step, places, count, step, n, channels, start)


@jit
def _columns(taps, n, size, stride, before, dilation, pixel):  # type: ignore[no-untyped-def]
    """The columns of _row for outputs that look at pixels with a stride; ``pixel`` bytes each."""
    columns = np.empty((4, taps), np.int64)
    for c in range(taps):
        shift = c * dilation - before
        columns[0, c], columns[1, c] = shift * pixel, c * pixel
        columns[2, c], columns[3, c] = _inside(n, size, stride, shift)
    return columns


@jit
def _rows_seen(x, w, n, i, sh, top, dh, rows):  # type: ignore[no-untyped-def]
    """The rows of _row for row i of the outputs of image n: how many, and their addresses."""
    count = 0
    for k in range(w.shape[0]):
        ih = i * sh + k * dh - top
        if 0 <= ih < x.shape[1]:
            rows[0, count] = x.ctypes.data + n * x.strides[0] + ih * x.strides[1]
            rows[1, count] = w.ctypes.data + k * w.strides[0]
            count += 1
    return count


@jit(parallel=True)
def _forward(chunks, x, taps, bias, zeros, y, moves):  # type: ignore[no-untyped-def]
    sh, sw, top, left, dh, dw = moves
    N, OH, OW, _ = y.shape
    pixel = x.strides[2]
    for chunk in prange(chunks):
        places, rows = np.empty(2 * TAPS, np.int64), np.empty((2, taps.shape[0]), np.int64)
        columns = _columns(taps.shape[1], OW, x.shape[2], sw, left, dw, pixel)
        for row in range(N * OH * chunk // chunks, N * OH * (chunk + 1) // chunks):
            n, i = row // OH, row % OH
            seen = rows[:, : _rows_seen(x, taps, n, i, sh, top, dh, rows)]
            out = y.ctypes.data + n * y.strides[0] + i * y.strides[1]
            _row(y, out, pixel, OW, seen, columns, sw * pixel, bias.ctypes.data, zeros.ctypes.data, places, False)


@jit(parallel=True)
def _backward_input(chunks, dy, taps, zeros, dx, moves):  # type: ignore[no-untyped-def]
    sh, sw, top, left, dh, dw = moves
    N, H, W, _ = dx.shape
    OH, OW, pixel = dy.shape[1], dy.shape[2], dx.strides[2]
    nothing = zeros.ctypes.data
    for chunk in prange(chunks):
        places, rows = np.empty(2 * TAPS, np.int64), np.empty((2, taps.shape[0]), np.int64)
        columns, phases = np.empty((4, taps.shape[1]), np.int64), min(sw, W)
        for phase in range(phases):
            count, wide = 0, (W - phase + sw - 1) // sw
            for c in range(taps.shape[1]):
                shift, rest = divmod(phase + left - c * dw, sw)
                if rest == 0:
                    columns[0, count], columns[1, count] = shift * pixel, c * pixel
                    columns[2, count], columns[3, count] = _inside(wide, OW, 1, shift)
                    count += 1
            some = columns[:, :count]
            for row in range(N * H * chunk // chunks, N * H * (chunk + 1) // chunks):
                n, ih = row // H, row % H
                seen = 0
                for k in range(taps.shape[0]):
                    i, rest = divmod(ih + top - k * dh, sh)
                    if rest == 0 and 0 <= i < OH:
                        rows[0, seen] = dy.ctypes.data + n * dy.strides[0] + i * dy.strides[1]
                        rows[1, seen] = taps.ctypes.data + k * taps.strides[0]
                        seen += 1
                out = dx.ctypes.data + n * dx.strides[0] + ih * dx.strides[1] + phase * pixel
                _row(dx, out, sw * pixel, wide, rows[:, :seen], some, pixel, nothing, nothing, places, False)


@jit(parallel=True)
def _backward_weight(chunks, x, dy, dw, db, moves):  # type: ignore[no-untyped-def]
    sh, sw, top, left, dh, dilation = moves
    N, OH, OW, C = dy.shape
    pixel = x.strides[2]
    for chunk in prange(chunks):
        places, rows = np.empty(2 * TAPS, np.int64), np.empty((2, dw.shape[1]), np.int64)
        columns = _columns(dw.shape[2], OW, x.shape[2], sw, left, dilation, pixel)
        total = db[chunk]
        for row in range(N * OH * chunk // chunks, N * OH * (chunk + 1) // chunks):
            n, i = row // OH, row % OH
            for j in range(OW):
                given = dy[n, i, j]
                for c in range(C):
                    total[c] += given[c]
            seen = rows[:, : _rows_seen(x, dw[chunk], n, i, sh, top, dh, rows)]
            out = dy.ctypes.data + n * dy.strides[0] + i * dy.strides[1]
            _row(dy, out, pixel, OW, seen, columns, sw * pixel, 0, 0, places, True)
