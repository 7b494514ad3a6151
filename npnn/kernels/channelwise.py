"""Convolution channel by channel: each group has one channel in, as in depthwise convolutions.

    y[n, i, j, o] = b[o] + Σ_{k, l}  x[n, i·s + k·d - p, j·s + l·d - p, o // M] · w[o, k, l],   M outputs for each channel

There is no sum over channels, so a matrix product would multiply by columns of one number.  Arrays are
channels-last: the channels of a pixel lie side by side, and one tap of the kernel is one product of vectors.
Each row of the result is added up by itself, tap by tap, while it stays in the nearest cache.
Source: Howard et al., MobileNets, 2017, section 3.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel
from npnn.kernels.im2col import Geometry, windows

__all__ = ["backward_input", "backward_weight", "forward"]

prange = range  # numba reads this name as its parallel range

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


@kernel
def forward(x: Array, w: Array, b: Array | None, geometry: Geometry) -> Array:
    """(N, H, W, C), (O, KH, KW, 1), (O,) -> (N, OH, OW, O)"""
    seen = windows(_repeated(x, len(w)), w.shape[1:3], geometry)  # (N, OH, OW, KH, KW, O)
    y = np.einsum("nijklo,klo->nijo", seen, _taps(w))
    return y if b is None else y + b


@forward.fast
def forward(x: Array, w: Array, b: Array | None, geometry: Geometry) -> Array:
    y = np.empty((len(x), *geometry.output_size(x.shape[1:3], w.shape[1:3]), len(w)), x.dtype)
    bias = np.zeros(len(w), x.dtype) if b is None else b
    x, taps = np.ascontiguousarray(_repeated(x, len(w))), _taps(w)
    threads.run(_forward, _chunks(y, taps[..., 0].size), x, taps, bias, y, _moves(geometry))
    return y


@jit
def _inside(n, size, stride, shift):  # type: ignore[no-untyped-def]
    """The first and last + 1 of j = 0 .. n - 1 for which j · stride + shift is in 0 .. size - 1."""
    lo = 0 if shift >= 0 else (-shift + stride - 1) // stride
    hi = 0 if size <= shift else (size - shift + stride - 1) // stride
    return min(lo, n), max(min(hi, n), min(lo, n))


@jit(fastmath={"contract"})
def _add_products(out, a, w, step_out, step_a):  # type: ignore[no-untyped-def]
    """out[j · step_out] += a[j · step_a] w, for all j: rows of channels, (J, C) and w (C,)."""
    n = min((len(out) + step_out - 1) // step_out, (len(a) + step_a - 1) // step_a)
    for j in range(n):
        y, x = out[j * step_out], a[j * step_a]
        for c in range(w.size):
            y[c] += x[c] * w[c]


@jit(parallel=True)
def _forward(chunks, x, taps, bias, y, moves):  # type: ignore[no-untyped-def]
    sh, sw, top, left, dh, dw = moves
    N, OH, OW, _ = y.shape
    for chunk in prange(chunks):
        for row in range(N * OH * chunk // chunks, N * OH * (chunk + 1) // chunks):
            n, i = row // OH, row % OH
            out = y[n, i]
            for j in range(OW):
                for c in range(bias.size):
                    out[j, c] = bias[c]
            for k in range(taps.shape[0]):
                ih = i * sh + k * dh - top
                if ih < 0 or ih >= x.shape[1]:
                    continue
                for m in range(taps.shape[1]):
                    shift = m * dw - left
                    lo, hi = _inside(OW, x.shape[2], sw, shift)
                    if hi > lo:
                        _add_products(out[lo:hi], x[n, ih, lo * sw + shift :], taps[k, m], 1, sw)


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
    dx, taps = np.empty((len(dy), *size, len(w)), dy.dtype), _taps(w)
    threads.run(_backward_input, _chunks(dy, taps[..., 0].size), np.ascontiguousarray(dy), taps, dx, _moves(geometry))
    return _summed(dx, geometry.groups)


@jit(parallel=True)
def _backward_input(chunks, dy, taps, dx, moves):  # type: ignore[no-untyped-def]
    sh, sw, top, left, dh, dw = moves
    N, H, W, _ = dx.shape
    zero = dx.dtype.type(0)
    for chunk in prange(chunks):
        for row in range(N * H * chunk // chunks, N * H * (chunk + 1) // chunks):
            n, ih = row // H, row % H
            out = dx[n, ih]
            for j in range(W):
                for c in range(out.shape[1]):
                    out[j, c] = zero
            for k in range(taps.shape[0]):
                i, rest = divmod(ih + top - k * dh, sh)
                if rest != 0 or i < 0 or i >= dy.shape[1]:
                    continue
                for m in range(taps.shape[1]):
                    shift = m * dw - left
                    lo, hi = _inside(dy.shape[2], W, sw, shift)
                    if hi > lo:
                        _add_products(out[lo * sw + shift :], dy[n, i, lo:hi], taps[k, m], sw, 1)


@kernel
def backward_weight(x: Array, dy: Array, kernel_size: tuple[int, int], geometry: Geometry) -> tuple[Array, Array]:
    """dw and db.   (N, H, W, C), (N, OH, OW, O) -> (O, KH, KW, 1), (O,)"""
    seen = windows(_repeated(x, dy.shape[3]), kernel_size, geometry)
    dw = np.einsum("nijklo,nijo->okl", seen, dy)
    return np.ascontiguousarray(dw)[..., None], dy.sum(axis=(0, 1, 2))


@backward_weight.fast
def backward_weight(x: Array, dy: Array, kernel_size: tuple[int, int], geometry: Geometry) -> tuple[Array, Array]:
    o, dy = dy.shape[3], np.ascontiguousarray(dy)
    chunks = _chunks(dy, kernel_size[0] * kernel_size[1])
    dw, db = np.zeros((chunks, *kernel_size, o), x.dtype), np.zeros((chunks, o), x.dtype)
    x = np.ascontiguousarray(_repeated(x, o))
    threads.run(_backward_weight, chunks, x, dy, dw, db, _moves(geometry))
    return np.ascontiguousarray(dw.sum(axis=0).transpose(2, 0, 1))[..., None], db.sum(axis=0)


@jit(fastmath={"contract"})
def _sum_products(total, a, b, step_a):  # type: ignore[no-untyped-def]
    """total += Σ_j a[j · step_a] b[j]:   (C,), (J', C), (J, C)"""
    for j in range(len(b)):
        x, y = a[j * step_a], b[j]
        for c in range(total.size):
            total[c] += x[c] * y[c]


@jit(parallel=True)
def _backward_weight(chunks, x, dy, dw, db, moves):  # type: ignore[no-untyped-def]
    sh, sw, top, left, dh, dilation = moves
    N, OH, OW, C = dy.shape
    for chunk in prange(chunks):
        for row in range(N * OH * chunk // chunks, N * OH * (chunk + 1) // chunks):
            n, i = row // OH, row % OH
            total = db[chunk]
            for j in range(OW):
                for c in range(C):
                    total[c] += dy[n, i, j, c]
            for k in range(dw.shape[1]):
                ih = i * sh + k * dh - top
                if ih < 0 or ih >= x.shape[1]:
                    continue
                for m in range(dw.shape[2]):
                    shift = m * dilation - left
                    lo, hi = _inside(OW, x.shape[2], sw, shift)
                    if hi > lo:
                        _sum_products(dw[chunk, k, m], x[n, ih, lo * sw + shift :], dy[n, i, lo:hi], sw)
