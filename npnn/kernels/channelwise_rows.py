"""Channel-by-channel convolution with a stride, where channels fill registers by themselves: pixels are read where they lie.

What ``channelwise`` does by sorting pixels into phases, which costs a copy of the image, is done here pixel by pixel: a tap
of the kernel is a product of the channels of a pixel, and each row of the result is added up by itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit
from npnn.kernels.im2col import Geometry

__all__ = ["backward_input", "backward_weight", "forward"]

prange = range  # numba reads this name as its parallel range

Array = NDArray[Any]


def _moves(geometry: Geometry) -> tuple[int, ...]:
    (sh, sw), (top, left), _, (dh, dw), _ = geometry
    return sh, sw, top, left, dh, dw


def forward(x: Array, taps: Array, bias: Array, y: Array, geometry: Geometry, chunks: int) -> None:
    """y ← the convolution.   (N, H, W, C), (KH, KW, C), (C,), (N, OH, OW, C)"""
    threads.run(_forward, chunks, x, taps, bias, y, _moves(geometry))


def backward_input(dy: Array, taps: Array, dx: Array, geometry: Geometry, chunks: int) -> None:
    """dx ← the gradient.   (N, OH, OW, C), (KH, KW, C), (N, H, W, C)"""
    threads.run(_backward_input, chunks, dy, taps, dx, _moves(geometry))


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
