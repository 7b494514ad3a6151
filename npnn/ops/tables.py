"""Covariances, and the tables of all pairs, choices and powers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from npnn.errors import ShapeError
from npnn.ops.arithmetic import pow
from npnn.ops.joining import meshgrid, stack
from npnn.ops.linalg import matmul
from npnn.ops.matrices import diagonal
from npnn.ops.promotion import as_float
from npnn.ops.reductions import sum
from npnn.tensor import Tensor, of_array
from npnn.views import Size

__all__ = ["broadcast_shapes", "cartesian_prod", "combinations", "corrcoef", "cov", "vander"]


def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """C = Σ wₙ (xₙ - μ) (xₙ - μ)ᵀ / N.   (K, n), a row for each quantity, a column for each observation -> (K, K)

    w is 1, or ``fweights`` (how often an observation was made) times ``aweights`` (how much it counts); μ is
    the mean with these weights.  N = Σ w - correction Σ w a / Σ w, not below 0, where a is ``aweights`` or 1.
    One row gives a number.   Errors: ShapeError for more than two axes.
    """
    if input.array.ndim > 2:
        raise ShapeError(f"cov expects a matrix, or one row, got shape {input.shape}")
    x = as_float(input if input.array.ndim == 2 else input.reshape(1, -1))
    kind = x.array.dtype
    w = np.ones(x.array.shape[1], kind)
    for weights in (fweights, aweights):
        if weights is not None:
            w = w * weights.array.astype(kind)
    total = w.sum()
    share = total if aweights is None else (w * aweights.array).sum()
    norm = np.asarray(max(float(total - correction * share / total), 0.0), kind)
    weight = of_array(w.astype(kind))
    away = x - sum(x * weight, 1, True) / float(total)
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing is left to divide by: inf and nan, as in torch
        c = matmul(away * weight, away.t()) / of_array(norm)
    return c if input.array.ndim == 2 else c.reshape(())


def corrcoef(input: Tensor) -> Tensor:
    """The covariance divided by both standard deviations, from -1 to 1.   (K, n) -> (K, K)"""
    c = cov(input)
    if not c.array.ndim:
        return c / c
    deviation = diagonal(c).sqrt()
    return (c / deviation.unsqueeze(1) / deviation.unsqueeze(0)).clamp(-1, 1)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """Every choice of one element of each row, the last changing first.   n rows -> (product of their lengths, n)"""
    if len(tensors) == 1:
        return tensors[0]
    return stack([grid.reshape(-1) for grid in meshgrid(*tensors)], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """Every choice of r elements of a row, in order.   (n,) -> (n over r, r)   Errors: ShapeError for another shape."""
    if input.array.ndim != 1:
        raise ShapeError(f"combinations expects one row, got shape {input.shape}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    chosen = list(choose(range(input.array.shape[0]), r))
    return input[of_array(np.array(chosen, np.int64).reshape(len(chosen), r))]


def vander(x: Tensor, N: int | None = None, *, increasing: bool = False) -> Tensor:
    """The powers of each element, x^(N - 1) to 1, or the other way round.   (n,) -> (n, N), N = n unless given"""
    if x.array.ndim != 1:
        raise ShapeError(f"vander expects one row, got shape {x.shape}")
    count = x.array.shape[0] if N is None else N
    powers = np.arange(count) if increasing else np.arange(count)[::-1].copy()
    return pow(x.unsqueeze(1), of_array(powers.astype(x.array.dtype)))


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that arrays of these shapes have together.   Errors: RuntimeError if they do not go together."""
    given = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    try:
        return Size(np.broadcast_shapes(*given))
    except ValueError as error:
        raise RuntimeError(f"the shapes {', '.join(map(str, given))} do not broadcast") from error
