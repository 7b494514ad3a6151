"""Sums and products from the beginning of an axis up to each place, and the differences that undo them."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn import dtypes
from npnn.function import Function
from npnn.kernels.scan import running_product, running_product_backward, running_sum
from npnn.ops.joining import cat
from npnn.ops.promotion import cast
from npnn.ops.reductions import single_axis, sum
from npnn.tensor import Tensor

__all__ = ["cumprod", "cumsum", "diff", "logcumsumexp", "trapezoid", "trapz"]


class CumSum(Function):
    """yᵢ = x₀ + ... + xᵢ.   dxᵢ = dyᵢ + ... + dyₙ"""

    def forward(self, x, dim):
        self.dim = dim
        return running_sum(x, dim, False)

    def backward(self, dy):
        return running_sum(dy, self.dim, True), None

    def again(self, v):
        return running_sum(v, self.dim, False)


class CumProd(Function):
    """y_i = Π x_j over j <= i.   dx_j = y_{j-1} s_j, with s_j = dy_j + x_{j+1} s_{j+1}: exact where some are 0"""

    def forward(self, x, dim):
        self.x, self.y, self.dim = x, running_product(x, dim), dim
        return self.y

    def backward(self, dy):
        return running_product_backward(dy, self.x, self.y, self.dim), None


def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The running product along one axis."""
    input = cast(input, dtype or (input.array.dtype if input.array.dtype.kind == "f" else dtypes.int64))
    axis = single_axis(dim, input.array.ndim)
    return CumProd.apply(input, axis) if input.array.ndim else input.clone()


class LogCumSumExp(Function):
    """y_i = ln Σ exp x_j over j <= i.   dx_j = exp(x_j - y_j) s_j, with s_j = dy_j + exp(y_j - y_{j+1}) s_{j+1}"""

    def forward(self, x, dim):
        self.x, self.dim = x, dim
        self.y = np.logaddexp.accumulate(x, axis=dim)
        return self.y

    def backward(self, dy):
        x, y = np.moveaxis(self.x, self.dim, 0), np.moveaxis(self.y, self.dim, 0)
        s = np.array(np.moveaxis(dy, self.dim, 0), order="C")
        with np.errstate(invalid="ignore"):
            share = np.exp(y[:-1] - y[1:])
            for j in range(len(x) - 2, -1, -1):
                s[j] += share[j] * s[j + 1]
            s *= np.exp(x - y)
        return np.moveaxis(s, 0, self.dim), None


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """ln of the running sum of exp(input) along one axis."""
    axis = single_axis(dim, input.array.ndim)
    return LogCumSumExp.apply(input, axis) if input.array.ndim else input.clone()


def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The differences of neighbours along an axis, n times:  y_i = x_{i+1} - x_i; of booleans, whether they differ.

    ``prepend`` and ``append`` are put before and after x first.   Errors: RuntimeError for a number or a negative n.
    """
    if not input.array.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    axis = single_axis(dim, input.array.ndim)
    if n and not (prepend is None and append is None):
        input = cat([part for part in (prepend, input, append) if part is not None], axis)
    for _ in range(n):
        rest = max(input.array.shape[axis] - 1, 0)
        later, earlier = input.narrow(axis, input.array.shape[axis] - rest, rest), input.narrow(axis, 0, rest)
        input = later ^ earlier if input.array.dtype == bool else later - earlier
    return input


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integral of y along an axis by trapezoids, at the places x or ``dx`` apart."""
    n = y.array.shape[dim]
    pairs = (y.narrow(dim, 1, n - 1) + y.narrow(dim, 0, n - 1)) / 2
    return sum(pairs * (dx if x is None else diff(x, dim=dim if x.array.ndim > 1 else 0)), dim)


trapz = trapezoid


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The running sum along one axis."""
    if dtype is not None:
        input = cast(input, dtype)
    elif input.array.dtype.kind != "f":
        input = cast(input, dtypes.int64)
    axis = single_axis(dim, input.array.ndim)
    return CumSum.apply(input, axis) if input.array.ndim else input
