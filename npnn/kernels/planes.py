"""The loops of normalization for images whose channels come first, where the positions of a channel lie side by side.

An image is (C, M) here: each channel a plane of M numbers.  Sums along a plane are taken in blocks of ``BLOCK``,
within a block in the precision of the data, across blocks in float64.
"""

from __future__ import annotations

import numpy as np

from npnn.kernels._jit import jit

__all__ = ["BLOCK", "combine", "moments", "products", "scale_and_shift"]

prange = range  # numba reads this name as its parallel range

BLOCK = 512
_SUMS = {"reassoc", "contract"}  # sums along a plane may run on several partial sums at once


@jit(parallel=True, fastmath=_SUMS)
def moments(chunks, x, means, deviations):  # type: ignore[no-untyped-def]
    """The mean and the squared deviations of each block, shifted by its first number.   (N, C, M) -> (N, blocks, C)"""
    N, C, _ = x.shape
    for chunk in prange(chunks):
        for plane in range(N * C * chunk // chunks, N * C * (chunk + 1) // chunks):
            n, c = plane // C, plane % C
            row = x[n, c]
            for k in range(means.shape[1]):
                part = row[BLOCK * k : BLOCK * (k + 1)]
                first, s, q = part[0], x.dtype.type(0), x.dtype.type(0)
                for m in range(part.size):
                    d = part[m] - first
                    s += d
                    q += d * d
                share = 1 / np.float64(part.size)
                means[n, k, c] = first + s * share
                deviations[n, k, c] = q - s * (s * share)


@jit(parallel=True, fastmath={"contract"})
def scale_and_shift(chunks, x, vectors, y):  # type: ignore[no-untyped-def]
    """y = (x - centre) scale + shift.   (N, C, M), (3, samples, C) -> (N, C, M)"""
    N, C, _ = x.shape
    samples = vectors.shape[1]
    for chunk in prange(chunks):
        for plane in range(N * C * chunk // chunks, N * C * (chunk + 1) // chunks):
            n, c = plane // C, plane % C
            b = n * samples // N
            row, out = x[n, c], y[n, c]
            centre, scale, shift = vectors[0, b, c], vectors[1, b, c], vectors[2, b, c]
            for m in range(row.size):
                out[m] = (row[m] - centre) * scale + shift


@jit(parallel=True, fastmath=_SUMS)
def products(chunks, dy, x, centre, sums, products):  # type: ignore[no-untyped-def]
    """Σ dy and Σ dy (x - centre) over each plane.   (N, C, M) twice, (samples, C) -> (N, C) twice"""
    N, C, _ = x.shape
    samples = len(centre)
    for chunk in prange(chunks):
        for plane in range(N * C * chunk // chunks, N * C * (chunk + 1) // chunks):
            n, c = plane // C, plane % C
            e = centre[n * samples // N, c]
            total, product = 0.0, 0.0
            for start in range(0, x.shape[2], BLOCK):
                row, grad = x[n, c, start : start + BLOCK], dy[n, c, start : start + BLOCK]
                s, p = x.dtype.type(0), x.dtype.type(0)
                for m in range(row.size):
                    s += grad[m]
                    p += grad[m] * (row[m] - e)
                total += s
                product += p
            sums[n, c], products[n, c] = total, product


@jit(parallel=True, fastmath={"contract"})
def combine(chunks, dy, x, vectors, dx):  # type: ignore[no-untyped-def]
    """dx = f dy + g (x - e) + h, the vectors (4, samples, C) being e, f, g and h."""
    N, C, _ = x.shape
    samples = vectors.shape[1]
    for chunk in prange(chunks):
        for plane in range(N * C * chunk // chunks, N * C * (chunk + 1) // chunks):
            n, c = plane // C, plane % C
            b = n * samples // N
            e, f, g, h = vectors[0, b, c], vectors[1, b, c], vectors[2, b, c], vectors[3, b, c]
            row, grad, out = x[n, c], dy[n, c], dx[n, c]
            for m in range(row.size):
                out[m] = f * grad[m] + (g * (row[m] - e) + h)
