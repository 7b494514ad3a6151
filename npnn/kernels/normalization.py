"""Batch, group and instance normalisation of images, forward and backward.

Arrays are (N, M, C): images, positions, channels; in memory the channels of a position lie side by side,
or the positions of a channel, for which the loops are in planes.py.  Means and variances are those of a
sample.  Batch normalisation has one sample, the whole batch, and a group for each channel; group and
instance normalisation have a sample for each image.

Each element of an image is read once to form the sums, and once more to be normalised.  Sums over
positions are taken in blocks of ``BLOCK``: within a block in the precision of the data, across blocks
in float64.  The blocks do not depend on the number of threads, so neither does the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import planes, threads
from npnn.kernels._jit import jit, kernel
from npnn.kernels.normalization_joins import join_moments, join_products
from npnn.kernels.order import contiguous

__all__ = ["in_planes", "normalise", "normalise_backward", "scale_and_shift"]

prange = range  # numba reads this name as its parallel range

BLOCK = 128
WIDTH, FEWEST = 512, 16
_SHORT = 16  # positions: with fewer the loops run over the channels

Arrays = tuple[NDArray[Any], ...]


def _group_mean(v: NDArray[Any], groups: int) -> NDArray[Any]:
    """The mean over positions and channels of each group, given to each of its channels.   (B, M, C) -> (B, 1, C)"""
    B, M, C = v.shape
    mean = v.reshape(B, M, groups, C // groups).mean(axis=(1, 3))  # (B, G)
    return np.repeat(mean, C // groups, axis=1)[:, None]


@kernel
def normalise(
    x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any], groups: int, eps: float, samples: int
) -> Arrays:
    """y = γ (x - μ) / √(σ² + ε) + β, with μ and σ² over each group of channels of each sample.

    (N, M, C), (C,), (C,) -> y (N, M, C); μ and σ² (B, C) in float64, B the number of samples, 1 or N.
    There must be at least one position.
    """
    wide = x.astype(np.float64).reshape(samples, -1, x.shape[2])
    mean = _group_mean(wide, groups)
    var = _group_mean(np.square(wide - mean), groups)
    y = (wide - mean) / np.sqrt(var + eps) * weight + bias
    return y.reshape(x.shape).astype(x.dtype), mean[:, 0], var[:, 0]


@normalise.fast
def normalise(
    x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any], groups: int, eps: float, samples: int
) -> Arrays:
    """The variance as E[x²] - E[x]² would lose its digits where the mean is large beside the spread.

    So each block is shifted by its own first row, with s = Σ(x - x₀) and q = Σ(x - x₀)² over its n
    rows; its squared deviation is q - s²/n, where q is at most n + 1 times as large, whatever the
    data.  The blocks' means and deviations are then put together in float64.

    Source: Chan, Golub & LeVeque, Algorithms for computing the sample variance, 1983.
    """
    (N, M, C), chunks = x.shape, threads.split(x.size)
    mean, var = np.empty((2, samples, C))
    rules = weight, bias, groups, eps, mean, var
    if in_planes(x):
        x = x.transpose(0, 2, 1)
        parts = np.empty((2, N, -(-M // planes.BLOCK), C))
        threads.run(planes.moments, chunks, x, parts[0], parts[1])
        vectors = np.empty((3, samples, 1, C), x.dtype)
        join_moments(parts.reshape(2, samples, -1, C), M, planes.BLOCK, *rules, vectors)
        y = np.empty(x.shape, x.dtype)
        threads.run(planes.scale_and_shift, chunks, x, vectors[:, :, 0], y)
        return y.transpose(0, 2, 1), mean, var
    wide, k = _wide(x, samples)
    parts = np.empty((2, samples, _blocks(N * M // samples, k), k * C))  # means, squared deviations
    threads.run(_block_moments, chunks, wide, parts[0], parts[1])
    vectors = np.empty((3, samples, k, C), x.dtype)
    join_moments(parts.reshape(2, samples, -1, C), N * M // samples, BLOCK, *rules, vectors)
    y = np.empty(x.shape, x.dtype)
    threads.run(_scale_and_shift, chunks, wide, vectors.reshape(3, samples, k * C), y.reshape(wide.shape))
    return y, mean, var


@jit(parallel=True)
def _block_moments(chunks, x, means, deviations):  # type: ignore[no-untyped-def]
    B, blocks, C = means.shape
    rows = (x.shape[1] + C - 1) // C
    for chunk in prange(chunks):
        s, q = np.empty(C, x.dtype), np.empty(C, x.dtype)
        for block in range(B * blocks * chunk // chunks, B * blocks * (chunk + 1) // chunks):
            b, k = divmod(block, blocks)
            lo, hi = BLOCK * k, min(BLOCK * (k + 1), rows)
            first = x[b, lo * C : (lo + 1) * C]
            s[:], q[:] = 0, 0
            for m in range(lo + 1, hi):
                row = x[b, m * C : (m + 1) * C]  # the last one may be shorter
                for c in range(row.size):
                    d = row[c] - first[c]
                    s[c] += d
                    q[c] += d * d
            whole = x.shape[1] - (hi - 1) * C  # columns that reach down to the last row
            for c in range(C):
                n = hi - lo if c < whole else hi - lo - 1
                share = 1 / np.float64(n) if n > 0 else 0.0
                means[b, k, c] = first[c] + s[c] * share if n > 0 else 0.0
                deviations[b, k, c] = q[c] - s[c] * (s[c] * share)


@kernel
def normalise_backward(
    dy: NDArray[Any],
    x: NDArray[Any],
    weight: NDArray[Any],
    mean: NDArray[Any],
    var: NDArray[Any],
    groups: int,
    eps: float,
    samples: int,
) -> Arrays:
    """dx, dγ and dβ.   dy, x (N, M, C), (C,), (B, C), (B, C) -> (N, M, C), (C,), (C,)

    With r = 1 / √(σ² + ε), x̂ = (x - μ) r and ⟨ ⟩ the mean over a sample's group:

        dβ = Σ dy        dγ = Σ dy x̂        dx = r (γ dy - ⟨γ dy⟩ - x̂ ⟨γ dy x̂⟩)

    The last line holds because moving x also moves μ and σ.
    """
    shape, dy, x = x.shape, dy.reshape(samples, -1, x.shape[2]), x.reshape(samples, -1, x.shape[2])
    r = 1 / np.sqrt(var + eps)[:, None]
    normal = (x - mean[:, None]) * r
    g = weight * dy.astype(np.float64)
    dx = r * (g - _group_mean(g, groups) - normal * _group_mean(g * normal, groups))
    dw, db = (dy * normal).sum(axis=(0, 1)), dy.sum(axis=(0, 1), dtype=np.float64)
    return dx.reshape(shape).astype(x.dtype), dw.astype(x.dtype), db.astype(x.dtype)


@normalise_backward.fast
def normalise_backward(dy, x, weight, mean, var, groups, eps, samples):  # type: ignore[no-untyped-def]
    (N, M, C), dtype, chunks = x.shape, x.dtype, threads.split(x.size)
    positions, (dw, db) = N * M // samples, np.zeros((2, C))
    rules = positions, weight, mean, var, groups, eps, dw, db
    if in_planes(x):
        x, centre, parts = x.transpose(0, 2, 1), mean.astype(dtype), np.empty((2, N, C))
        dy = contiguous(dy.transpose(0, 2, 1))
        threads.run(planes.products, chunks, dy, x, centre, parts[0], parts[1])
        vectors, dx = np.empty((4, samples, 1, C), dtype), np.empty(x.shape, dtype)
        join_products(parts.reshape(2, samples, -1, C), *rules, vectors)
        threads.run(planes.combine, chunks, dy, x, vectors[:, :, 0], dx)
        return dx.transpose(0, 2, 1), dw.astype(dtype), db.astype(dtype)
    (dy, k), (x, _), dx = _wide(dy, samples), _wide(x, samples), np.empty(x.shape, dtype)
    centre = np.empty((samples, k, C), dtype)
    centre[...] = mean[:, None]
    parts = np.empty((2, samples, _blocks(positions, k), k * C), dtype)  # Σ dy, Σ dy (x - centre)
    threads.run(_block_products, chunks, dy, x, centre.reshape(samples, k * C), parts[0], parts[1])
    vectors = np.empty((4, samples, k, C), dtype)
    join_products(parts.reshape(2, samples, -1, C), *rules, vectors)
    threads.run(_combine, chunks, dy, x, vectors.reshape(4, samples, k * C), dx.reshape(x.shape))
    return dx, dw.astype(dtype), db.astype(dtype)


@jit(parallel=True)
def _block_products(chunks, dy, x, centre, sums, products):  # type: ignore[no-untyped-def]
    B, blocks, C = sums.shape
    rows = (x.shape[1] + C - 1) // C
    for chunk in prange(chunks):
        for block in range(B * blocks * chunk // chunks, B * blocks * (chunk + 1) // chunks):
            b, k = divmod(block, blocks)
            s, p, e = sums[b, k], products[b, k], centre[b]
            s[:], p[:] = 0, 0
            for m in range(BLOCK * k, min(BLOCK * (k + 1), rows)):
                dy_row, x_row = dy[b, m * C : (m + 1) * C], x[b, m * C : (m + 1) * C]
                for c in range(x_row.size):
                    s[c] += dy_row[c]
                    p[c] += dy_row[c] * (x_row[c] - e[c])


@jit(parallel=True)
def _combine(chunks, dy, x, vectors, dx):  # type: ignore[no-untyped-def]
    _, B, C = vectors.shape
    M = (x.shape[1] + C - 1) // C
    for chunk in prange(chunks):
        for row in range(B * M * chunk // chunks, B * M * (chunk + 1) // chunks):
            b, part = row // M, slice(row % M * C, (row % M + 1) * C)
            dy_row, x_row, dx_row = dy[b, part], x[b, part], dx[b, part]
            e, f, g, h = vectors[0, b], vectors[1, b], vectors[2, b], vectors[3, b]
            for c in range(x_row.size):
                dx_row[c] = f[c] * dy_row[c] + (g[c] * (x_row[c] - e[c]) + h[c])


@kernel
def scale_and_shift(x: NDArray[Any], centre: NDArray[Any], scale: NDArray[Any], shift: NDArray[Any]) -> NDArray[Any]:
    """y = (x - centre) · scale + shift.   (N, M, C), three of (C,) -> (N, M, C)"""
    return (x - centre) * scale + shift


@scale_and_shift.fast
def scale_and_shift(x: NDArray[Any], centre: NDArray[Any], scale: NDArray[Any], shift: NDArray[Any]) -> NDArray[Any]:
    chunks = threads.split(x.size)
    if in_planes(x):
        x = x.transpose(0, 2, 1)
        vectors, y = np.empty((3, 1, x.shape[1]), x.dtype), np.empty(x.shape, x.dtype)
        vectors[0], vectors[1], vectors[2] = centre, scale, shift
        threads.run(planes.scale_and_shift, chunks, x, vectors, y)
        return y.transpose(0, 2, 1)
    y, (wide, k) = np.empty(x.shape, x.dtype), _wide(x, 1)
    vectors = np.empty((3, 1, k, x.shape[2]), x.dtype)
    vectors[0], vectors[1], vectors[2] = centre, scale, shift
    threads.run(_scale_and_shift, chunks, wide, vectors.reshape(3, 1, -1), y.reshape(wide.shape))
    return y


@jit(parallel=True)
def _scale_and_shift(chunks, x, vectors, y):  # type: ignore[no-untyped-def]
    _, B, C = vectors.shape
    M = (x.shape[1] + C - 1) // C
    for chunk in prange(chunks):
        for row in range(B * M * chunk // chunks, B * M * (chunk + 1) // chunks):
            b, part = row // M, slice(row % M * C, (row % M + 1) * C)
            x_row, y_row, centre, scale, shift = x[b, part], y[b, part], vectors[0, b], vectors[1, b], vectors[2, b]
            for c in range(x_row.size):
                y_row[c] = (x_row[c] - centre[c]) * scale[c] + shift[c]


def in_planes(x: NDArray[Any]) -> bool:
    """True for images (N, M, C) whose channels come first in memory, each a plane long enough for loops along it."""
    _, M, C = x.shape
    return M >= _SHORT and C > 1 and x.transpose(0, 2, 1).flags.c_contiguous


def _wide(x: NDArray[Any], samples: int) -> tuple[NDArray[Any], int]:
    """Each sample's positions one after the other, and how many of them make a row of the loops.

    The loops over channels are short in early layers: so neighbouring positions count as further channels,
    as many as fit into WIDTH, but FEWEST rows must be left.  The last one may be shorter.

    (N, M, C) -> (samples, N·M·C / samples)
    """
    C = max(1, x.shape[2])
    wide = contiguous(x).reshape(samples, x.size // samples)
    return wide, max(1, min(WIDTH // C, wide.shape[1] // C // FEWEST))


def _blocks(positions: int, k: int) -> int:
    """How many blocks of rows there are, k positions in a row."""
    rows = (positions + k - 1) // k
    return (rows + BLOCK - 1) // BLOCK
