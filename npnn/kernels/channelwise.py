"""Convolution channel by channel: each group has one channel in, as in depthwise convolutions.

    y[n, i, j, o] = b[o] + Σ_{k, l}  x[n, i·s + k·d - p, j·s + l·d - p, o // M] · w[o, k, l],   M outputs for each channel

There is no sum over channels, so a matrix product would multiply by columns of one number.  Arrays are
channels-last: the channels of a pixel lie side by side, and so do the pixels of a row and the rows of an image.  Once
rows are padded with the zeros that the kernel sees, one tap of it is one product of long vectors,

    y[p] += x[p + offset] w[p mod T]        p counts all numbers of some rows, T is a multiple of the channels,

whatever the number of channels.  (At the end of a row p runs through the padding: what comes out there is left away.)
With a stride s > 1 the pixels are first sorted into s × s phases: in each a tap sees pixels side by side; channels that
fill registers by themselves are read where they lie (``channelwise_rows``).
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
from npnn.kernels.phases import placed, plan_of, sorted_pixels
from npnn.kernels.softmax_rows import LANES

__all__ = ["backward_input", "backward_weight", "forward"]

prange = range  # numba reads this name as its parallel range

LONG = 512  # numbers, from which on a row is worth a loop of its own

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


def _where_they_lie(geometry: Geometry, o: int) -> bool:
    """True where a pixel's channels fill registers: several, or one if pixels would have to be sorted into phases."""
    return o % LANES == 0 and (geometry.stride[1] > 1 or o > LANES)


def _full(o: int, geometry: Geometry) -> int:
    """How many channels to compute with: with a stride so many more that they fill registers, if these are few."""
    wide = -(-o // LANES) * LANES
    return wide if geometry.stride[1] > 1 and 3 * wide <= 4 * o else o


def _widened(a: Array, axis: int, wide: int) -> Array:
    """With zeros for the channels that were added."""
    out = np.zeros((*a.shape[:axis], wide, *a.shape[axis + 1 :]), a.dtype)
    out[(slice(None),) * axis + (slice(a.shape[axis]),)] = a
    return out


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
    wide = _full(len(w), geometry)
    if wide != len(w):
        x, w = _widened(_repeated(x, len(w)), 3, wide), _widened(w, 0, wide)
        b = None if b is None else _widened(b, 0, wide)
        y[...] = forward(x, w, b, geometry._replace(groups=wide))[..., : y.shape[3]]
        return y
    if _where_they_lie(geometry, len(w)):
        bias = np.zeros(len(w), x.dtype) if b is None else b
        x = np.ascontiguousarray(_repeated(x, len(w)))
        channelwise_rows.forward(x, _taps(w), bias, y, geometry, _chunks(y, w[0].size))
        return y
    plan, (_, sw) = plan_of(w.shape[1:3], geometry), geometry.stride
    source = sorted_pixels(_repeated(x, len(w)), (y.shape[1], y.shape[2]), plan, geometry.stride)
    phase = plan.phase[0][:, None] * sw + plan.phase[1]
    places = plan.place[0][:, None] * source.shape[3] + plan.place[1]
    _correlate(source, phase.ravel(), places.ravel(), w, b, y)
    return y


def _correlate(source: Array, phase: Array, places: Array, w: Array, b: Array | None, y: Array) -> None:
    """y[n, i, j] = b + Σ_t source[phase_t, n, (i, j) + place_t] w_t, places counted in pixels of padded rows."""
    o, tiles = y.shape[3], _tiles(w)
    bias = np.zeros(tiles.shape[1], y.dtype)
    if b is not None:
        bias.reshape(-1, o)[...] = b
    flat = source.reshape(*source.shape[:2], source[0, 0].size)
    taps = np.empty((len(tiles), 3), np.int64)
    taps[:, 0], taps[:, 1], taps[:, 2] = phase, places * o, np.arange(len(tiles))
    threads.run(
        _add_taps,
        _chunks(y, len(tiles)),
        flat,
        taps,
        tiles,
        bias,
        y.reshape(*y.shape[:2], y.shape[2] * o),
        source.shape[3] * o,
    )


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
def _add_taps(chunks, source, taps, tiles, bias, y, row):  # type: ignore[no-untyped-def]
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
            while t + 3 <= len(taps):
                p, q, r = taps[t], taps[t + 1], taps[t + 2]
                a = source[p[0], n, first + p[1] : first + p[1] + size]
                b = source[q[0], n, first + q[1] : first + q[1] + size]
                c = source[r[0], n, first + r[1] : first + r[1] + size]
                _add_three(out, a, b, c, tiles[p[2]], tiles[q[2]], tiles[r[2]])
                t += 3
            while t < len(taps):
                p = taps[t]
                _add_one(out, source[p[0], n, first + p[1] : first + p[1] + size], tiles[p[2]])
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
    """Phase by phase of dx: at pixel i of a phase a tap of that phase looks at output i - q."""
    (n, _, _, o), (sh, sw), plan = dy.shape, geometry.stride, plan_of(w.shape[1:3], geometry)
    wide = _full(o, geometry)
    if wide != o:
        dx = backward_input(_widened(dy, 3, wide), _widened(w, 0, wide), size, geometry._replace(groups=wide))
        return _summed(dx[..., :o], geometry.groups)
    if _where_they_lie(geometry, o):
        dx = np.empty((n, *size, o), dy.dtype)
        channelwise_rows.backward_input(np.ascontiguousarray(dy), _taps(w), dx, geometry, _chunks(dy, w[0].size))
        return _summed(dx, geometry.groups)
    dx = np.zeros((n, *size, o), dy.dtype) if sh * sw > 1 else np.empty((n, *size, o), dy.dtype)
    if not dx.size or not dy.size:
        dx[...] = 0
        return _summed(dx, geometry.groups)
    (down, right), (top, left) = plan.extent, plan.first
    for r in range(sh):
        for c in range(sw):
            rows, columns = plan.members[0][r], plan.members[1][c]
            part = dx[:, r::sh, c::sw]
            if not len(rows) or not len(columns) or not part.size:
                continue
            height, width = part.shape[1] + down, part.shape[2] + right
            source = placed(dy, height, width, -(down + top), -(right + left))
            places = (down - plan.place[0][rows])[:, None] * width + (right - plan.place[1][columns])
            found = part if part.flags.c_contiguous else np.empty(part.shape, dx.dtype)
            some = w[:, rows][:, :, columns]
            _correlate(source[None], np.zeros(places.size, np.int64), places.ravel(), some, None, found)
            if found is not part:
                part[...] = found
    return _summed(dx, geometry.groups)


@kernel
def backward_weight(x: Array, dy: Array, kernel_size: tuple[int, int], geometry: Geometry) -> tuple[Array, Array]:
    """dw and db.   (N, H, W, C), (N, OH, OW, O) -> (O, KH, KW, 1), (O,)"""
    seen = windows(_repeated(x, dy.shape[3]), kernel_size, geometry)
    dw = np.einsum("nijklo,nijo->okl", seen, dy)
    return np.ascontiguousarray(dw)[..., None], dy.sum(axis=(0, 1, 2))


@backward_weight.fast
def backward_weight(x: Array, dy: Array, kernel_size: tuple[int, int], geometry: Geometry) -> tuple[Array, Array]:
    (n, oh, ow, o), (_, sw) = dy.shape, geometry.stride
    if not dy.size or not x.size:
        return np.zeros((o, *kernel_size, 1), x.dtype), dy.sum(axis=(0, 1, 2))
    wide = _full(o, geometry)
    if wide != o:
        pixels, given = _widened(_repeated(x, o), 3, wide), _widened(dy, 3, wide)
        dw, db = backward_weight(pixels, given, kernel_size, geometry._replace(groups=wide))
        return dw[:o], db[:o]
    plan, count = plan_of(kernel_size, geometry), kernel_size[0] * kernel_size[1]
    if _where_they_lie(geometry, o):
        pixels, given = (np.ascontiguousarray(a) for a in (_repeated(x, o), dy))
        taps, db = channelwise_rows.backward_weight(pixels, given, kernel_size, geometry, _chunks(dy, count))
        return np.ascontiguousarray(taps.transpose(2, 0, 1))[..., None], db
    source = sorted_pixels(_repeated(x, o), (oh, ow), plan, geometry.stride)
    width, times, chunks = source.shape[3], _repeats(o), _chunks(dy, count)
    if ow * o < LONG:  # rows are too short one by one: with zeros for what a tap sees beyond the end of each
        dy = placed(dy, oh, width, 0, 0)
    phase = plan.phase[0][:, None] * sw + plan.phase[1]
    places = plan.place[0][:, None] * width + plan.place[1]
    taps = np.stack([phase.ravel(), places.ravel() * o], axis=1)
    dw = np.zeros((chunks, count, times * o), x.dtype)
    flat = source.reshape(*source.shape[:2], source[0, 0].size)
    given = np.ascontiguousarray(dy).reshape(n, oh, dy.shape[2] * o)
    threads.run(_multiply_taps, chunks, flat, given, taps, dw, (width * o, ow * o))
    summed = dw.reshape(chunks, count, times, o).sum(axis=(0, 2))  # (KH KW, O)
    return np.ascontiguousarray(summed.T).reshape(o, *kernel_size, 1), column_sums(
        np.ascontiguousarray(dy).reshape(-1, o)
    )


@jit(fastmath={"contract"})
def _sum_products(total, a, dy):  # type: ignore[no-untyped-def]
    """total += Σ a dy, over every T-th number."""
    for start in range(0, dy.size, total.size):
        stop = min(start + total.size, dy.size)
        y, p = dy[start:stop], a[start:stop]
        for t in range(y.size):
            total[t] += p[t] * y[t]


@jit(parallel=True)
def _multiply_taps(chunks, source, dy, taps, dw, sizes):  # type: ignore[no-untyped-def]
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
            for t in range(len(taps)):
                first = i * row + taps[t, 1]
                _sum_products(dw[chunk, t], source[taps[t, 0], n, first : first + size], given)
