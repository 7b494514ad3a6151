"""Convolution channel by channel: each group has one channel in, as in depthwise convolutions.

    y[n, i, j, o] = b[o] + Σ_{k, l}  x[n, i·s + k·d - p, j·s + l·d - p, o // M] · w[o, k, l],   M outputs for each channel

There is no sum over channels, so a matrix product would multiply by columns of one number.  Arrays are
channels-last: the channels of a pixel lie side by side, and so do the pixels of a row and the rows of an image.  Once
rows are padded with the zeros that the kernel sees, one tap of it is one product of long vectors,

    y[p] += x[p + offset] w[p mod T]        p counts all numbers of some rows, T is a multiple of the channels,

whatever the number of channels.  (At the end of a row p runs through the padding: what comes out there is left away.)
That is for few channels; others fill registers by themselves, and with a stride the pixels that a tap sees are not
side by side: both are read where they lie (``channelwise_rows``).
Some rows at a time are added up, three taps at once, while they stay in the nearest cache.
Source: Howard et al., MobileNets, 2017, section 3.1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import channelwise_rows, threads
from npnn.kernels._jit import jit, kernel
from npnn.kernels.blas import column_sums
from npnn.kernels.im2col import Geometry, windows
from npnn.kernels.softmax_rows import LANES

__all__ = ["backward_input", "backward_weight", "forward"]

prange = range  # numba reads this name as its parallel range

LONG = 512  # numbers, from which on a row is worth a loop of its own
FEW = 8  # channels, from which on they fill registers well enough

Array = NDArray[Any]


def _taps(w: Array) -> Array:
    """(O, KH, KW, 1) -> (KH, KW, O), so that a tap's weights lie side by side."""
    return np.ascontiguousarray(w[..., 0].transpose(1, 2, 0))


def _moves(geometry: Geometry) -> tuple[int, ...]:
    (sh, sw), (top, left), _, (dh, dw), _ = geometry
    return sh, sw, top, left, dh, dw


def _repeated(x: Array, o: int) -> Array:
    """Each channel as often as it has outputs."""
    times = o // max(x.shape[3], 1)
    return x if times == 1 else np.repeat(x, times, axis=3)


def _chunks(y: Array, taps: int) -> int:
    return threads.split(y.size * taps // 8)  # 8 multiply-adds in one elementary time


def _tiles(w: Array) -> Array:
    """(O, KH, KW, 1) -> (KH KW, T): each tap's weights, repeated so often that registers are full."""
    o, count, times = len(w), w[0].size, _repeats(len(w))
    return np.broadcast_to(_taps(w).reshape(count, 1, o), (count, times, o)).reshape(count, times * o)


def _repeats(o: int) -> int:
    """So often that T is a multiple of a register's numbers, and long; but some taps stay in the nearest cache."""
    least = LANES // math.gcd(o, LANES)
    return least * max(1, LONG // max(o * least, 1))


def _by_rows(o: int, geometry: Geometry) -> bool:
    """True where rows are added up pixel by pixel: a register of channels at a time, or with a stride."""
    return o >= FEW or geometry.stride[0] * geometry.stride[1] > 1


def _padded(x: Array, size: tuple[int, int], reach: tuple[int, int], shift: tuple[int, int]) -> Array:
    """(N, H, W, C) -> (N, OH + reach, OW + reach, C): pixel (i, j) is x[i + shift, j + shift], zero outside of x."""
    rows, columns = size[0] + reach[0], size[1] + reach[1]
    (n, h, w, c), (top, left) = x.shape, shift
    if (rows, columns, top, left) == (h, w, 0, 0):
        return np.ascontiguousarray(x)
    out = np.zeros((n, rows, columns, c), x.dtype)
    part = x[:, max(top, 0) : max(top + rows, 0), max(left, 0) : max(left + columns, 0)]
    i, j = max(-top, 0), max(-left, 0)
    out[:, i : i + part.shape[1], j : j + part.shape[2]] = part
    return out


def _places(kernel_size: tuple[int, ...], geometry: Geometry, row: int) -> Array:
    """Where each tap looks, in pixels of padded rows: for output 0 of the first row, and so for all."""
    down, right = (np.arange(k) * d for k, d in zip(kernel_size, geometry.dilation, strict=True))
    return (down[:, None] * row + right).ravel()


def _reach(kernel_size: tuple[int, ...], geometry: Geometry) -> tuple[int, int]:
    """How far the last tap looks beyond the first."""
    (kh, kw), (dh, dw) = kernel_size, geometry.dilation
    return (kh - 1) * dh, (kw - 1) * dw


@kernel
def forward(x: Array, w: Array, b: Array | None, geometry: Geometry) -> Array:
    """(N, H, W, C), (O, KH, KW, 1), (O,) -> (N, OH, OW, O)"""
    seen = windows(_repeated(x, len(w)), w.shape[1:3], geometry)  # (N, OH, OW, KH, KW, O)
    y = np.einsum("nijklo,klo->nijo", seen, _taps(w))
    return y if b is None else y + b


@forward.fast
def forward(x: Array, w: Array, b: Array | None, geometry: Geometry) -> Array:
    y = np.empty((len(x), *geometry.output_size(x.shape[1:3], w.shape[1:3]), len(w)), x.dtype)
    if not y.size:
        return y
    x = _repeated(x, len(w))
    if _by_rows(len(w), geometry):
        bias = np.zeros(len(w), x.dtype) if b is None else b
        channelwise_rows.forward(np.ascontiguousarray(x), _taps(w), bias, y, geometry, _chunks(y, w[0].size))
        return y
    top, left = geometry.before
    source = _padded(x, y.shape[1:3], _reach(w.shape[1:3], geometry), (-top, -left))
    _correlate(source, _places(w.shape[1:3], geometry, source.shape[2]), _tiles(w), b, y)
    return y


def _correlate(source: Array, places: Array, tiles: Array, b: Array | None, y: Array) -> None:
    """y[n, i, j] = b + Σ_t source[n, (i, j) + place_t] w_t, places counted in pixels of padded rows."""
    o = y.shape[3]
    bias = np.zeros(tiles.shape[1], y.dtype)
    if b is not None:
        bias.reshape(-1, o)[...] = b
    flat, rows = source.reshape(len(source), source[0].size), y.reshape(*y.shape[:2], y.shape[2] * o)
    threads.run(_add_taps, _chunks(y, len(tiles)), flat, places * o, tiles, bias, rows, source.shape[2] * o)


@jit
def _rows_at_once(row):  # type: ignore[no-untyped-def]
    """How many rows of so many numbers stay in the nearest cache."""
    return max(1, 2048 // max(row, 1))


@jit(fastmath={"contract"})
def _add_three(out, a, b, c, u, v, w):  # type: ignore[no-untyped-def]
    """out += a u + b v + c w, where u, v and w begin anew every T numbers."""
    for start in range(0, out.size, u.size):
        stop = min(start + u.size, out.size)
        y, p, q, r = out[start:stop], a[start:stop], b[start:stop], c[start:stop]
        for t in range(y.size):
            y[t] += p[t] * u[t] + q[t] * v[t] + r[t] * w[t]


@jit(fastmath={"contract"})
def _add_one(out, a, u):  # type: ignore[no-untyped-def]
    for start in range(0, out.size, u.size):
        stop = min(start + u.size, out.size)
        y, p = out[start:stop], a[start:stop]
        for t in range(y.size):
            y[t] += p[t] * u[t]


@jit(parallel=True)
def _add_taps(chunks, source, places, tiles, bias, y, row):  # type: ignore[no-untyped-def]
    N, OH, inside = y.shape
    at_once = _rows_at_once(row)
    blocks = (OH + at_once - 1) // at_once
    for chunk in prange(chunks):
        room = np.empty(at_once * row, y.dtype)
        for block in range(N * blocks * chunk // chunks, N * blocks * (chunk + 1) // chunks):
            n, i = block // blocks, block % blocks * at_once
            rows = min(at_once, OH - i)
            size = (rows - 1) * row + inside
            out = room[:size]
            for start in range(0, size, bias.size):
                part = out[start : start + bias.size]
                for t in range(part.size):
                    part[t] = bias[t]
            t, first = 0, i * row
            while t + 3 <= len(places):
                a = source[n, first + places[t] : first + places[t] + size]
                b = source[n, first + places[t + 1] : first + places[t + 1] + size]
                c = source[n, first + places[t + 2] : first + places[t + 2] + size]
                _add_three(out, a, b, c, tiles[t], tiles[t + 1], tiles[t + 2])
                t += 3
            while t < len(places):
                _add_one(out, source[n, first + places[t] : first + places[t] + size], tiles[t])
                t += 1
            for k in range(rows):
                full, some = y[n, i + k], out[k * row : k * row + inside]
                for t in range(inside):
                    full[t] = some[t]


@kernel
def backward_input(dy: Array, w: Array, size: tuple[int, int], geometry: Geometry) -> Array:
    """dx: each output's gradient, times the tap, goes to the pixel that the tap saw.

    (N, OH, OW, O), (O, KH, KW, 1) -> (N, H, W, C)
    """
    sh, sw, top, left, dh, dw = _moves(geometry)
    (_, _), (bottom, right), taps = geometry.before, geometry.after, _taps(w)
    n, oh, ow, o = dy.shape
    dx = np.zeros((n, size[0] + top + bottom, size[1] + left + right, o), dy.dtype)
    for k in range(taps.shape[0]):
        for j in range(taps.shape[1]):
            dx[:, k * dh : k * dh + sh * oh : sh, j * dw : j * dw + sw * ow : sw] += dy * taps[k, j]
    return _summed(dx[:, top : top + size[0], left : left + size[1]], geometry.groups)


def _summed(dx: Array, c: int) -> Array:
    """(N, H, W, O) -> (N, H, W, C): the outputs that one channel had."""
    if dx.shape[3] == c:
        return np.ascontiguousarray(dx)
    return dx.reshape(*dx.shape[:3], c, dx.shape[3] // c).sum(axis=4)


@backward_input.fast
def backward_input(dy: Array, w: Array, size: tuple[int, int], geometry: Geometry) -> Array:
    """Without a stride dx is the correlation of dy with the kernel turned round: a tap looks back where it was seen from."""
    (n, _, _, o), kernel_size = dy.shape, w.shape[1:3]
    dx = np.empty((n, *size, o), dy.dtype)
    if not dx.size or not dy.size:
        dx[...] = 0
    elif _by_rows(o, geometry):
        chunks = _chunks(dy, w[0].size)
        channelwise_rows.backward_input(np.ascontiguousarray(dy), _taps(w), dx, geometry, chunks)
    else:
        (down, right), (top, left) = _reach(kernel_size, geometry), geometry.before
        source = _padded(dy, size, (down, right), (top - down, left - right))
        places = _places(kernel_size, geometry, source.shape[2])
        _correlate(source, places, np.ascontiguousarray(_tiles(w)[::-1]), None, dx)
    return _summed(dx, geometry.groups)


@kernel
def backward_weight(x: Array, dy: Array, kernel_size: tuple[int, int], geometry: Geometry) -> tuple[Array, Array]:
    """dw and db.   (N, H, W, C), (N, OH, OW, O) -> (O, KH, KW, 1), (O,)"""
    seen = windows(_repeated(x, dy.shape[3]), kernel_size, geometry)
    dw = np.einsum("nijklo,nijo->okl", seen, dy)
    return np.ascontiguousarray(dw)[..., None], dy.sum(axis=(0, 1, 2))


@backward_weight.fast
def backward_weight(x: Array, dy: Array, kernel_size: tuple[int, int], geometry: Geometry) -> tuple[Array, Array]:
    (n, oh, ow, o), count = dy.shape, kernel_size[0] * kernel_size[1]
    if not dy.size or not x.size:
        return np.zeros((o, *kernel_size, 1), x.dtype), dy.sum(axis=(0, 1, 2))
    x, chunks = _repeated(x, o), _chunks(dy, count)
    if _by_rows(o, geometry):
        pixels, given = np.ascontiguousarray(x), np.ascontiguousarray(dy)
        taps, db = channelwise_rows.backward_weight(pixels, given, kernel_size, geometry, chunks)
        return np.ascontiguousarray(taps.transpose(2, 0, 1))[..., None], db
    top, left = geometry.before
    source = _padded(x, (oh, ow), _reach(kernel_size, geometry), (-top, -left))
    width, times = source.shape[2], _repeats(o)
    if ow * o < LONG:  # rows are too short one by one: with zeros for what a tap sees beyond the end of each
        dy = _padded(dy, (oh, width), (0, 0), (0, 0))
    dw = np.zeros((chunks, count, times * o), x.dtype)
    flat, places = source.reshape(n, source[0].size), _places(kernel_size, geometry, width) * o
    given = np.ascontiguousarray(dy).reshape(n, oh, dy.shape[2] * o)
    threads.run(_multiply_taps, chunks, flat, given, places, dw, (width * o, ow * o))
    summed = dw.reshape(chunks, count, times, o).sum(axis=(0, 2))  # (KH KW, O)
    return np.ascontiguousarray(summed.T).reshape(o, *kernel_size, 1), column_sums(given.reshape(-1, o))


@jit(fastmath={"contract"})
def _sum_products(total, a, dy):  # type: ignore[no-untyped-def]
    """total += Σ a dy, over every T-th number."""
    for start in range(0, dy.size, total.size):
        stop = min(start + total.size, dy.size)
        y, p = dy[start:stop], a[start:stop]
        for t in range(y.size):
            total[t] += p[t] * y[t]


@jit(parallel=True)
def _multiply_taps(chunks, source, dy, places, dw, sizes):  # type: ignore[no-untyped-def]
    row, inside = sizes
    N, OH, given_row = dy.shape
    at_once = _rows_at_once(row) if given_row == row else 1
    blocks = (OH + at_once - 1) // at_once
    for chunk in prange(chunks):
        for block in range(N * blocks * chunk // chunks, N * blocks * (chunk + 1) // chunks):
            n, i = block // blocks, block % blocks * at_once
            rows = min(at_once, OH - i)
            size = (rows - 1) * row + inside
            given = dy[n, i : i + rows].reshape(rows * given_row)[:size]
            for t in range(len(places)):
                first = i * row + places[t]
                _sum_products(dw[chunk, t], source[n, first : first + size], given)
