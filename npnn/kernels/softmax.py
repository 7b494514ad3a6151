"""Softmax and cross-entropy on the rows of a matrix, with the largest element taken out so that nothing overflows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel

__all__ = ["cross_entropy", "log_softmax"]

prange = range  # numba reads this name as its parallel range


def log_softmax(z: NDArray[Any]) -> NDArray[Any]:
    """log p = z - max z - log Σ exp(z - max z), along the last axis."""
    if not z.size:
        return z
    with np.errstate(invalid="ignore"):  # an infinite logit gives nan, quietly
        shifted = z - z.max(axis=-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


@kernel
def cross_entropy(
    z: NDArray[Any], target: NDArray[Any], weight: NDArray[Any], ignore_index: int, smoothing: float
) -> tuple[NDArray[Any], NDArray[Any], float, float, int]:
    """The loss of each row of logits z (M, C) for its class in target (M,), and its gradient.

    With p = softmax(z), ε = smoothing and class weights w (C,), or none if ``weight`` is empty:

        q = (1 - ε) w_y [c = y] + (ε/C) w_c      loss = -Σ_c q_c log p_c      dz = (Σ_c q_c) p - q

    Rows whose target is ignore_index have loss 0 and gradient 0.  Returns the losses (M,), dz (M, C),
    the sum of the losses, the sum of w_y over the rows that count, and the position of the first target
    that is no class, or -1.
    """
    M, C = z.shape
    counts = target != ignore_index
    invalid = np.flatnonzero(counts & ((target < 0) | (target >= C)))
    if invalid.size:
        return np.zeros(M, z.dtype), np.zeros_like(z), 0.0, 0.0, int(invalid[0])
    w = weight if weight.size else np.ones(C, z.dtype)
    rows, y = np.flatnonzero(counts), target[counts]
    losses, dz = np.zeros(M, z.dtype), np.zeros((M, C), z.dtype)
    log_p = log_softmax(z[rows])
    here = np.arange(len(rows))
    p = np.exp(log_p)
    losses[rows] = -(1 - smoothing) * w[y] * log_p[here, y]
    dz[rows] = ((1 - smoothing) * w[y])[:, None] * p
    dz[rows, y] -= (1 - smoothing) * w[y]
    if smoothing:
        share = (smoothing / C) * w
        losses[rows] -= (log_p * share).sum(axis=1)
        dz[rows] += share.sum() * p - share
    return losses, dz, float(losses.sum(dtype=np.float64)), float(w[y].sum(dtype=np.float64)), -1


@cross_entropy.fast
def cross_entropy(z, target, weight, ignore_index, smoothing):  # type: ignore[no-untyped-def]
    M, C = z.shape
    chunks = threads.split(8 * z.size)  # an exponential is worth about eight elementary operations
    losses, dz, sums = np.empty(M, z.dtype), np.empty((M, C), z.dtype), np.empty((chunks, 3))
    threads.run(_cross_entropy, chunks, z, target, weight, ignore_index, smoothing, losses, dz, sums)
    if chunks == 1:
        total, total_weight, first_invalid = sums[0].tolist()
    else:
        total, total_weight, first_invalid = sums[:, 0].sum(), sums[:, 1].sum(), sums[:, 2].min()
    return losses, dz, total, total_weight, -1 if first_invalid >= M else int(first_invalid)


@jit(parallel=True)
def _cross_entropy(chunks, z, target, weight, ignore_index, smoothing, losses, dz, sums):  # type: ignore[no-untyped-def]
    M, C = z.shape
    for chunk in prange(chunks):
        total, total_weight, first_invalid = 0.0, 0.0, M
        for i in range(M * chunk // chunks, M * (chunk + 1) // chunks):
            y = target[i]
            if y < 0 or y >= C or y == ignore_index:
                if y != ignore_index:
                    first_invalid = min(first_invalid, i)
                losses[i] = 0
                dz[i] = 0
                continue
            top = z[i, 0]
            for c in range(1, C):
                top = max(top, z[i, c])
            normaliser = 0.0
            for c in range(C):
                e = math.exp(z[i, c] - top)
                dz[i, c] = e
                normaliser += e
            log_normaliser = math.log(normaliser)
            w_y = weight[y] if weight.size else 1.0
            q_y = (1 - smoothing) * w_y
            loss = q_y * (top - z[i, y] + log_normaliser)
            mass = q_y
            if smoothing > 0:
                for c in range(C):
                    q_c = smoothing / C * (weight[c] if weight.size else 1.0)
                    loss += q_c * (top - z[i, c] + log_normaliser)
                    mass += q_c
            scale = mass / normaliser
            for c in range(C):
                dz[i, c] *= scale
            if smoothing > 0:
                for c in range(C):
                    dz[i, c] -= smoothing / C * (weight[c] if weight.size else 1.0)
            dz[i, y] -= q_y
            losses[i] = loss
            total += loss
            total_weight += w_y
        sums[chunk, 0], sums[chunk, 1], sums[chunk, 2] = total, total_weight, first_invalid
