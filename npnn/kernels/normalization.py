"""What batch, group and instance normalisation do to an image, and what layer normalisation does to a row.

The first three share four passes over arrays of shape (B, M, C): samples, positions, channels, with
channels side by side in memory.  Batch normalisation has a single sample, whose positions are
those of the whole batch; group normalisation has one per image.  A pass reads or writes each
element once, so that it costs what the memory costs.

Sums over positions are taken in blocks of ``BLOCK``, within a block in the precision of the data,
across blocks in float64.  The blocks do not depend on the number of threads, nor does the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel

__all__ = ["channel_moments", "channel_products", "scale_and_shift", "scale_two_and_shift"]

prange = range  # numba reads this name as its parallel range

BLOCK = 128
WIDTH = 512


def _widen(x: NDArray[Any]) -> NDArray[Any]:
    """Neighbouring positions as further channels: the loops over channels are short in early layers.

    (B, M, C) -> (B, M/k, k·C), where k is the power of two that brings k·C closest to WIDTH.
    """
    B, M, C = x.shape
    k = 1
    while k * C < WIDTH and M % (2 * k) == 0:
        k *= 2
    return np.ascontiguousarray(x).reshape(B, M // k, k * C)


def _narrow(v: NDArray[Any], C: int) -> NDArray[Any]:
    """Sums over blocks of the widened array, one for each of its k positions.   (B, P, k·C) -> (B, P·k, C)"""
    B, P, wide = v.shape
    return v.reshape(B, P * (wide // C), C)


def _repeat(wide: NDArray[Any], *vectors: NDArray[Any]) -> NDArray[Any]:
    """One value per channel as one per channel of the widened array.   V of (B, C) -> (V, B, k·C)"""
    B, C = vectors[0].shape
    out = np.empty((len(vectors), B, wide.shape[2] // C, C), wide.dtype)
    for repeated, v in zip(out, vectors, strict=True):
        repeated[...] = v[:, None]
    return out.reshape(len(vectors), B, wide.shape[2])


@kernel
def channel_moments(x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and variance (divided by M) over the positions, in float64.   (B, M, C) -> (B, C), (B, C)"""
    mean = x.mean(axis=1, dtype=np.float64)
    return mean, np.square(x - mean[:, None]).mean(axis=1)


@channel_moments.fast
def channel_moments(x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """One pass over x.  E[x²] - E[x]² would lose all digits where the mean is large beside the spread.

    So each block is shifted by its own first row, with s = Σ(x - x₀) and q = Σ(x - x₀)² over its n
    rows; its squared deviation is q - s²/n, where q is at most n + 1 times as large, whatever the
    data.  The blocks' means and deviations are then put together in float64.

    Source: Chan, Golub & LeVeque, Algorithms for computing the sample variance, 1983.
    """
    (B, M, C), wide = x.shape, _widen(x)
    blocks = -(-wide.shape[1] // BLOCK)
    mean, deviation = np.empty((2, B, blocks, wide.shape[2]))
    threads.run(_block_moments, threads.split(x.size), wide, mean, deviation)
    k = wide.shape[2] // C
    n = np.full((blocks, k), BLOCK)
    n[-1] = wide.shape[1] - BLOCK * (blocks - 1)
    mean, deviation, n = _narrow(mean, C), _narrow(deviation, C), n.reshape(-1, 1)
    total = (n * mean).sum(axis=1) / M
    deviation += n * np.square(mean - total[:, None])
    return total, deviation.sum(axis=1) / M


@jit(parallel=True)
def _block_moments(chunks, x, mean, deviation):  # type: ignore[no-untyped-def]
    B, blocks, C = mean.shape
    M = x.shape[1]
    for chunk in prange(chunks):
        s, q = np.empty(C, x.dtype), np.empty(C, x.dtype)
        for block in range(B * blocks * chunk // chunks, B * blocks * (chunk + 1) // chunks):
            b, k = divmod(block, blocks)
            lo, hi = BLOCK * k, min(BLOCK * (k + 1), M)
            first = x[b, lo]
            s[:], q[:] = 0, 0
            for m in range(lo + 1, hi):
                row = x[b, m]
                for c in range(C):
                    d = row[c] - first[c]
                    s[c] += d
                    q[c] += d * d
            share = 1 / np.float64(hi - lo)
            for c in range(C):
                part = s[c] * share
                mean[b, k, c] = first[c] + part
                deviation[b, k, c] = q[c] - part * s[c]


@kernel
def scale_and_shift(x: NDArray[Any], centre: NDArray[Any], scale: NDArray[Any], shift: NDArray[Any]) -> NDArray[Any]:
    """y = (x - centre) · scale + shift.   (B, M, C), three of (B, C) -> (B, M, C)"""
    return (x - centre[:, None]) * scale[:, None] + shift[:, None]


@scale_and_shift.fast
def scale_and_shift(x: NDArray[Any], centre: NDArray[Any], scale: NDArray[Any], shift: NDArray[Any]) -> NDArray[Any]:
    y, wide = np.empty(x.shape, x.dtype), _widen(x)
    vectors = _repeat(wide, centre, scale, shift)
    threads.run(_scale_and_shift, threads.split(x.size), wide, vectors, y.reshape(wide.shape))
    return y


@jit(parallel=True)
def _scale_and_shift(chunks, x, vectors, y):  # type: ignore[no-untyped-def]
    B, M, C = x.shape
    for chunk in prange(chunks):
        for row in range(B * M * chunk // chunks, B * M * (chunk + 1) // chunks):
            b, m = divmod(row, M)
            x_row, y_row, centre, scale, shift = x[b, m], y[b, m], vectors[0, b], vectors[1, b], vectors[2, b]
            for c in range(C):
                y_row[c] = (x_row[c] - centre[c]) * scale[c] + shift[c]


@kernel
def channel_products(dy: NDArray[Any], x: NDArray[Any], centre: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Σ dy and Σ dy (x - centre) over the positions, in float64.   two of (B, M, C), (B, C) -> two of (B, C)"""
    return dy.sum(axis=1, dtype=np.float64), (dy * (x - centre[:, None])).sum(axis=1, dtype=np.float64)


@channel_products.fast
def channel_products(dy: NDArray[Any], x: NDArray[Any], centre: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    (B, _, C), dy, x = x.shape, _widen(dy), _widen(x)
    sums, products = np.empty((2, B, -(-x.shape[1] // BLOCK), x.shape[2]), x.dtype)
    threads.run(_block_products, threads.split(x.size), dy, x, _repeat(x, centre)[0], sums, products)
    return tuple(_narrow(v, C).sum(axis=1, dtype=np.float64) for v in (sums, products))


@jit(parallel=True)
def _block_products(chunks, dy, x, centre, sums, products):  # type: ignore[no-untyped-def]
    B, blocks, C = sums.shape
    M = x.shape[1]
    for chunk in prange(chunks):
        for block in range(B * blocks * chunk // chunks, B * blocks * (chunk + 1) // chunks):
            b, k = divmod(block, blocks)
            s, p, e = sums[b, k], products[b, k], centre[b]
            s[:], p[:] = 0, 0
            for m in range(BLOCK * k, min(BLOCK * (k + 1), M)):
                dy_row, x_row = dy[b, m], x[b, m]
                for c in range(C):
                    s[c] += dy_row[c]
                    p[c] += dy_row[c] * (x_row[c] - e[c])


@kernel
def scale_two_and_shift(
    dy: NDArray[Any], x: NDArray[Any], centre: NDArray[Any], f: NDArray[Any], g: NDArray[Any], h: NDArray[Any]
) -> NDArray[Any]:
    """f · dy + g · (x - centre) + h.   two of (B, M, C), four of (B, C) -> (B, M, C)"""
    return f[:, None] * dy + (g[:, None] * (x - centre[:, None]) + h[:, None])


@scale_two_and_shift.fast
def scale_two_and_shift(
    dy: NDArray[Any], x: NDArray[Any], centre: NDArray[Any], f: NDArray[Any], g: NDArray[Any], h: NDArray[Any]
) -> NDArray[Any]:
    dx, dy, x = np.empty(x.shape, x.dtype), _widen(dy), _widen(x)
    vectors = _repeat(x, centre, f, g, h)
    threads.run(_scale_two_and_shift, threads.split(x.size), dy, x, vectors, dx.reshape(x.shape))
    return dx


@jit(parallel=True)
def _scale_two_and_shift(chunks, dy, x, vectors, dx):  # type: ignore[no-untyped-def]
    B, M, C = x.shape
    for chunk in prange(chunks):
        for row in range(B * M * chunk // chunks, B * M * (chunk + 1) // chunks):
            b, m = divmod(row, M)
            dy_row, x_row, dx_row = dy[b, m], x[b, m], dx[b, m]
            centre, f, g, h = vectors[0, b], vectors[1, b], vectors[2, b], vectors[3, b]
            for c in range(C):
                dx_row[c] = f[c] * dy_row[c] + (g[c] * (x_row[c] - centre[c]) + h[c])
