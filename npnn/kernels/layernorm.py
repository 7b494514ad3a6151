"""Layer normalisation: each row of a matrix brought to mean 0 and variance 1 (or only to a mean square of 1).

A row stays in the processor's first cache while its mean, its variance and its result are computed,
so that memory is read and written once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel

__all__ = ["layer_norm", "layer_norm_backward"]

prange = range  # numba reads this name as its parallel range

BLOCK = 64  # rows whose share of the weights' gradient is summed in the precision of the data
_SUMS = {"reassoc", "contract"}  # sums along a row may run on several partial sums at once


@kernel
def layer_norm(
    x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any], eps: float, centred: bool
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """y = w (x - μ) r + b,  r = 1 / √(σ² + ε); μ = 0 unless ``centred``.   (M, D), (D,), (D,) -> (M, D), (M, 1), (M, 1)

    Returns y, μ and r.
    """
    mean = x.mean(axis=1, keepdims=True) if centred else np.zeros((len(x), 1), x.dtype)
    r = 1 / np.sqrt(np.square(x - mean).mean(axis=1, keepdims=True) + x.dtype.type(eps))
    return (x - mean) * r * weight + bias, mean, r


@layer_norm.fast
def layer_norm(x, weight, bias, eps, centred):  # type: ignore[no-untyped-def]
    y, (mean, r) = np.empty(x.shape, x.dtype), np.empty((2, len(x), 1), x.dtype)
    threads.run(_layer_norm, threads.split(4 * x.size), x, weight, bias, eps, centred, y, mean, r)
    return y, mean, r


@jit(parallel=True, fastmath=_SUMS)
def _layer_norm(chunks, x, weight, bias, eps, centred, y, mean, r):  # type: ignore[no-untyped-def]
    M, D = x.shape
    for chunk in prange(chunks):
        for m in range(M * chunk // chunks, M * (chunk + 1) // chunks):
            row, out = x[m], y[m]
            total, square = x.dtype.type(0), x.dtype.type(0)
            if centred:
                for i in range(D):
                    total += row[i]
            mean[m, 0] = mu = x.dtype.type(total / D)
            for i in range(D):
                square += (row[i] - mu) * (row[i] - mu)
            r[m, 0] = scale = x.dtype.type(1 / math.sqrt(square / D + eps))
            for i in range(D):
                out[i] = (row[i] - mu) * scale * weight[i] + bias[i]


@kernel
def layer_norm_backward(
    dy: NDArray[Any], x: NDArray[Any], weight: NDArray[Any], mean: NDArray[Any], r: NDArray[Any], centred: bool
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """dx, dw and db.   (M, D), (M, D), (D,), (M, 1), (M, 1) -> (M, D), (D,), (D,)

    With x̂ = (x - μ) r, g = w dy and ⟨ ⟩ the mean over a row: dx = r (g - ⟨g⟩ - x̂ ⟨g x̂⟩), where ⟨g⟩ is left
    out unless ``centred``; dw = Σ dy x̂, db = Σ dy over the rows.
    """
    normal, g = (x - mean) * r, weight * dy
    dx = g - normal * (g * normal).mean(axis=1, keepdims=True)
    if centred:
        dx -= g.mean(axis=1, keepdims=True)
    return dx * r, (dy * normal).sum(axis=0), dy.sum(axis=0)


@layer_norm_backward.fast
def layer_norm_backward(dy, x, weight, mean, r, centred):  # type: ignore[no-untyped-def]
    (M, D), dx = x.shape, np.empty(x.shape, x.dtype)
    dw, db = np.empty((2, -(-M // BLOCK), D), x.dtype)
    threads.run(_layer_norm_backward, threads.split(4 * x.size), dy, x, weight, mean, r, centred, dx, dw, db)
    return dx, dw.sum(axis=0), db.sum(axis=0)


@jit(parallel=True, fastmath=_SUMS)
def _layer_norm_backward(chunks, dy, x, weight, mean, r, centred, dx, dw, db):  # type: ignore[no-untyped-def]
    M, D = x.shape
    blocks = len(dw)
    for chunk in prange(chunks):
        for block in range(blocks * chunk // chunks, blocks * (chunk + 1) // chunks):
            w_sum, b_sum = dw[block], db[block]
            w_sum[:], b_sum[:] = 0, 0
            for m in range(BLOCK * block, min(BLOCK * (block + 1), M)):
                row, grad, out, mu, scale = x[m], dy[m], dx[m], mean[m, 0], r[m, 0]
                first, second = x.dtype.type(0), x.dtype.type(0)
                for i in range(D):
                    g = weight[i] * grad[i]
                    first += g
                    second += g * (row[i] - mu) * scale
                first = x.dtype.type(first / D) if centred else x.dtype.type(0)
                second = x.dtype.type(second / D)
                for i in range(D):
                    normal = (row[i] - mu) * scale
                    out[i] = (weight[i] * grad[i] - first - normal * second) * scale
                    w_sum[i] += grad[i] * normal
                    b_sum[i] += grad[i]
