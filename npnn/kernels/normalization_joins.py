"""From sums over parts of images to means, variances and the vectors that normalization applies."""

from __future__ import annotations

import math

import numpy as np

from npnn.kernels._jit import jit

__all__ = ["join_moments", "join_products"]


@jit
def join_moments(parts, M, block, weight, bias, groups, eps, mean, var, vectors):  # type: ignore[no-untyped-def]
    """The parts' means and deviations as those of the groups, and with them what each channel is shifted and scaled by.

    parts (2, B, P, C): of M positions, k in a row, the rows in blocks; maybe of several images one after the other
    -> mean and var (B, C), vectors (3, B, k, C): centre, scale, shift
    """
    _, B, P, C = parts.shape
    k, size = vectors.shape[2], C // groups
    rows = (M + k - 1) // k
    blocks = (rows + block - 1) // block
    positions = M * (P // (k * blocks))
    counts = np.empty(P)
    for p in range(P):
        first, last = p // k % blocks * block, min((p // k % blocks + 1) * block, rows) - 1
        counts[p] = last - first + (1 if last * k + p % k < M else 0)  # the last row may be shorter
    for b in range(B):
        mu, v = mean[b], var[b]
        mu[:], v[:] = 0, 0
        for p in range(P):
            share = counts[p] / positions
            for c in range(C):
                mu[c] += share * parts[0, b, p, c]
        for p in range(P):
            for c in range(C):
                d = parts[0, b, p, c] - mu[c]
                v[c] += (parts[1, b, p, c] + counts[p] * d * d) / positions
        for g in range(groups if size > 1 else 0):
            centre = mu[g * size : (g + 1) * size].mean()
            spread = 0.0
            for c in range(g * size, (g + 1) * size):
                spread += (v[c] + (mu[c] - centre) * (mu[c] - centre)) / size
            mu[g * size : (g + 1) * size] = centre
            v[g * size : (g + 1) * size] = spread
        for c in range(C):
            scale = weight[c] / math.sqrt(v[c] + eps)
            vectors[0, b, 0, c] = mu[c]
            vectors[1, b, 0, c] = scale
            # float32 does not hold all of the mean: the rest goes into the shift
            vectors[2, b, 0, c] = bias[c] - (mu[c] - vectors[0, b, 0, c]) * scale
        _repeat(vectors[:, b])


@jit
def _repeat(vectors):  # type: ignore[no-untyped-def]
    """The vectors of one position for each of the k positions of a row.   (V, k, C)"""
    V, k, C = vectors.shape
    for v in range(V):
        for i in range(1, k):
            for c in range(C):
                vectors[v, i, c] = vectors[v, 0, c]


@jit
def join_products(parts, M, weight, mean, var, groups, eps, dw, db, vectors):  # type: ignore[no-untyped-def]
    """dw and db, and the vectors e, f, g, h (4, B, k, C) such that dx = f dy + g (x - e) + h."""
    _, B, P, C = parts.shape
    size = C // groups
    total, product, r = np.empty(C), np.empty(C), np.empty(C)
    for b in range(B):
        total[:], product[:] = 0, 0
        for p in range(P):
            for c in range(C):
                total[c] += parts[0, b, p, c]
                product[c] += parts[1, b, p, c]
        for c in range(C):
            vectors[0, b, 0, c] = mean[b, c]
            product[c] -= (mean[b, c] - vectors[0, b, 0, c]) * total[c]  # what float32 does not hold of the mean
            r[c] = 1 / math.sqrt(var[b, c] + eps)
            dw[c] += product[c] * r[c]
            db[c] += total[c]
        for group in range(groups):
            first, second = 0.0, 0.0
            for c in range(group * size, (group + 1) * size):
                first += weight[c] * total[c] / (M * size)
                second += weight[c] * product[c] / (M * size)
            for c in range(group * size, (group + 1) * size):
                slope = -second * r[c] * r[c] * r[c]
                vectors[1, b, 0, c] = weight[c] * r[c]
                vectors[2, b, 0, c] = slope
                vectors[3, b, 0, c] = -first * r[c] - slope * (mean[b, c] - vectors[0, b, 0, c])
        _repeat(vectors[:, b])
