"""Quantiles along an axis: the value that a share of the others does not exceed."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.ops.reductions import single_axis
from npnn.tensor import Tensor, _from_array

__all__ = ["nanquantile", "quantile"]


def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The value below which the fraction q of the elements lies; between two of them as ``interpolation`` says.

    For several q the result has them along a new first axis.  Errors: RuntimeError for a q outside 0 to 1.
    """
    return _quantile(input, q, dim, keepdim, interpolation, False)


def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """quantile of the elements that are not nan."""
    return _quantile(input, q, dim, keepdim, interpolation, True)


def _quantile(input: Tensor, q: Any, dim: Any, keepdim: bool, interpolation: str, skip: bool) -> Tensor:
    fractions = np.asarray(q.array if isinstance(q, Tensor) else q, np.float64)
    if fractions.size and not ((fractions >= 0) & (fractions <= 1)).all():
        raise RuntimeError("quantile() q values must be in the range [0, 1]")
    x = input.reshape(-1) if dim is None else input.movedim(dim, 0)
    ordered = x.sort(0).values
    missing = np.isnan(x.array).sum(0)
    n = x.array.shape[0] - (missing if skip else 0)
    found = []
    for fraction in fractions.reshape(-1):
        rank = fraction * (n - 1)
        low, high = np.floor(rank), np.ceil(rank)
        weight = {"linear": rank - low, "lower": 0.0, "higher": 1.0, "midpoint": np.where(high > low, 0.5, 0.0),
                  "nearest": np.round(rank) - low}[interpolation]  # fmt: skip
        at = [
            _from_array(np.broadcast_to(np.maximum(k, 0).astype(np.int64), x.array.shape[1:])[None])
            for k in (low, high)
        ]
        a, b = (ordered.gather(0, i).squeeze(0) for i in at)
        y = a + (b - a) * _from_array(np.asarray(weight, x.array.dtype))
        if not skip and missing.any():
            y = y.masked_fill(_from_array(np.asarray(missing > 0)), float("nan"))
        found.append(y)
    shape = x.array.shape[1:]
    if keepdim:
        shape = (
            (1,) * input.array.ndim
            if dim is None
            else [1 if a == single_axis(dim, input.array.ndim) else m for a, m in enumerate(input.array.shape)]
        )
    found = [y.reshape(shape) for y in found]
    return _stacked(found) if fractions.ndim else found[0]


def _stacked(parts: list[Tensor]) -> Tensor:
    from npnn.ops.joining import stack

    return stack(parts)
