"""Softmax and cross-entropy on the rows of a matrix, with the largest element taken out so that nothing overflows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel
from npnn.kernels.exponential import exp_of_negative
from npnn.kernels.softmax_rows import largest

__all__ = ["cross_entropy", "log_softmax"]

prange = range  # numba reads this name as its parallel range

_BLOCK = 4096  # elements


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
    M = len(z)
    chunks = threads.split(8 * z.size)  # an exponential is worth about eight elementary operations
    losses, dz = np.empty(M, z.dtype), np.empty_like(z)
    if chunks == 1:
        sums = _cross_entropy_rows(0, M, z, target, weight, ignore_index, smoothing, losses, dz)
    else:
        parts = np.empty((chunks, 3))
        threads.run(_cross_entropy, chunks, z, target, weight, ignore_index, smoothing, losses, dz, parts)
        sums = (parts[:, 0].sum(), parts[:, 1].sum(), parts[:, 2].min())
    total, total_weight, first_invalid = sums
    return losses, dz, float(total), float(total_weight), int(first_invalid) if first_invalid < M else -1


@jit(parallel=True)
def _cross_entropy(chunks, z, target, weight, ignore_index, smoothing, losses, dz, sums):  # type: ignore[no-untyped-def]
    M = z.shape[0]
    for chunk in prange(chunks):
        lo, hi = M * chunk // chunks, M * (chunk + 1) // chunks
        sums[chunk, 0], sums[chunk, 1], sums[chunk, 2] = _cross_entropy_rows(
            lo, hi, z, target, weight, ignore_index, smoothing, losses, dz
        )


@jit(fastmath={"reassoc", "contract"})
def _total(row):  # type: ignore[no-untyped-def]
    """Σ of positive numbers, added side by side."""
    total = row.dtype.type(0)
    for c in range(row.size):
        total += row[c]
    return total


@jit
def _cross_entropy_rows(lo, hi, z, target, weight, ignore_index, smoothing, losses, dz):  # type: ignore[no-untyped-def]
    M, C = z.shape
    number = z.dtype.type
    keep, all_shares = number(1 - smoothing), number(0)
    share = np.empty(C if smoothing > 0 else 0, z.dtype)  # what each class gets of every label
    for c in range(share.size):
        share[c] = smoothing / C * (weight[c] if weight.size else number(1))
        all_shares += share[c]
    total, total_weight, first_invalid = 0.0, 0.0, M
    step = max(1, _BLOCK // max(1, C))  # so many rows at a time: a pass finds in cache what the last one left
    for start in range(lo, hi, step):
        stop = min(start + step, hi)
        for i in range(start, stop):
            y = target[i]
            if y < 0 or y >= C or y == ignore_index:
                if y != ignore_index:
                    first_invalid = min(first_invalid, i)
                for c in range(C):
                    dz[i, c] = 0
                continue
            top = largest(z[i])
            for c in range(C):
                dz[i, c] = z[i, c] - top
            loss = keep * (weight[y] if weight.size else number(1)) * -dz[i, y]
            for c in range(share.size):
                loss -= share[c] * dz[i, c]
            losses[i] = loss
        block = dz[start:stop].reshape((stop - start) * C)
        for i in range(block.size):
            block[i] = exp_of_negative(block[i])
        for i in range(start, stop):
            y = target[i]
            if y < 0 or y >= C or y == ignore_index:
                losses[i] = 0
                for c in range(C):
                    dz[i, c] = 0
                continue
            normaliser = _total(dz[i])
            w = weight[y] if weight.size else number(1)
            mass = keep * w + all_shares
            losses[i] += mass * math.log(normaliser)
            scale = mass / normaliser
            for c in range(C):
                dz[i, c] *= scale
            for c in range(share.size):
                dz[i, c] -= share[c]
            dz[i, y] -= keep * w
            total += losses[i]
            total_weight += w
    return total, total_weight, first_invalid
