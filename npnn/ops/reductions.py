"""Sums, means and spreads over some or all axes.

``dim`` is an axis, several axes, or None for all; ``keepdim`` leaves the reduced axes with size 1.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from npnn import dtypes
from npnn.function import Function
from npnn.kernels.reduce import sums
from npnn.ops.joining import cat
from npnn.ops.promotion import as_float, cast
from npnn.tensor import Tensor, _from_array, of_array

__all__ = [
    "all", "any", "count_nonzero", "logsumexp", "mean", "nanmean", "nansum", "prod", "std", "std_mean", "sum",
    "var", "var_mean",
]  # fmt: skip

Dim = Any  # int, sequence of int, or None


def axes_of(dim: Dim, ndim: int) -> tuple[int, ...]:
    """``dim`` as a tuple of axes, counted from the front.

    Errors: IndexError for an axis out of range, RuntimeError for one named twice.
    """
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    axes = tuple([int(d) for d in dim] if isinstance(dim, (tuple, list)) else [int(dim)])
    limit = ndim if ndim else 1  # torch lets a number be reduced over axis 0 or -1
    for d in axes:
        if not -limit <= d < limit:
            raise IndexError(f"dimension out of range: expected {-limit} to {limit - 1}, got {d}")
    axes = tuple([d % limit for d in axes])
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"dim {dim!r} names an axis twice")
    return axes if ndim else ()


def single_axis(dim: Any, ndim: int) -> int:
    """One axis, counted from the front.  Errors: TypeError unless it is one whole number, IndexError out of range."""
    return axes_of(operator.index(dim), ndim or 1)[0]


def refuse_empty(name: str, x: Tensor, dim: Any) -> None:
    """Errors: IndexError, or RuntimeError for a largest of all elements, if there is nothing to choose from."""
    if not x.array.size and not math.prod([x.array.shape[a] for a in axes_of(dim, x.array.ndim)]):
        error = RuntimeError if dim is None and not name.startswith("arg") else IndexError
        raise error(f"{name} of nothing: the input has shape {x.array.shape}" + ("" if dim is None else f", dim={dim}"))


def with_axes(dy, axes, keepdim):
    """The gradient of a reduction with its lost axes back, of size 1, so that it broadcasts."""
    if keepdim:
        return dy
    shape = list(dy.shape)
    for axis in sorted(axes):
        shape.insert(axis, 1)
    return dy.reshape(shape)


class Sum(Function):
    """y = Σ x.   dx = dy, spread over the summed elements"""

    def forward(self, x, axes, keepdim):
        self.shape, self.axes, self.keepdim = x.shape, axes, keepdim
        return sums(x, axes, keepdim)

    def backward(self, dy):
        return np.broadcast_to(with_axes(dy, self.axes, self.keepdim), self.shape), None, None

    def derivative(self, dy):
        return with_axes(dy, self.axes, self.keepdim).expand(self.shape), None, None


class Mean(Function):
    """y = Σ x / n.   dx = dy / n, spread over the n elements"""

    def forward(self, x, axes, keepdim):
        self.shape, self.axes, self.keepdim = x.shape, axes, keepdim
        self.n = int(np.prod([x.shape[a] for a in axes]))
        if self.n == 0:  # the mean of nothing is nan, quietly, as in torch
            return np.full(x.sum(axis=axes, keepdims=keepdim).shape, np.nan, x.dtype)
        return np.divide(sums(x, axes, keepdim), self.n, dtype=x.dtype)

    def backward(self, dy):
        dy = with_axes(dy, self.axes, self.keepdim)
        return np.broadcast_to(dy / self.n if self.n else dy, self.shape), None, None

    def derivative(self, dy):
        dy = with_axes(dy, self.axes, self.keepdim)
        return (dy / self.n if self.n else dy).expand(self.shape), None, None


class Var(Function):
    """y = Σ (x - x̄)² / (n - correction).   dx = 2 (x - x̄) dy / (n - correction)"""

    def forward(self, x, axes, correction, keepdim):
        n = int(np.prod([x.shape[a] for a in axes]))
        with np.errstate(divide="ignore", invalid="ignore"):  # one value has no unbiased variance: nan, as in torch
            mean = x.sum(axis=axes, keepdims=True) / x.dtype.type(n)
            centred = x - mean
            scale = 1 / x.dtype.type(n - correction if n > correction else 0)
            self.x, self.mean, self.scale, self.axes, self.keepdim = x, mean, scale, axes, keepdim
            return (centred * centred).sum(axis=axes, keepdims=keepdim) * scale

    def backward(self, dy):
        return (self.x - self.mean) * (2 * self.scale * with_axes(dy, self.axes, self.keepdim)), None, None, None

    def derivative(self, dy):
        centred = self.x - self.x.mean(self.axes, keepdim=True)
        return centred * (2 * self.scale * with_axes(dy, self.axes, self.keepdim)), None, None, None


class Prod(Function):
    """y = Π x.   dx = dy y / x; where some x are 0, dy times the product of the other elements"""

    def forward(self, x, dim, keepdim):
        self.x, self.dim, self.keepdim = x, dim, keepdim
        self.y = np.asarray(x.prod(axis=dim, keepdims=keepdim))
        return self.y

    def backward(self, dy):
        if self.x.all():
            return with_axes(dy * self.y, (self.dim,), self.keepdim) / self.x, None, None
        x = np.moveaxis(self.x, self.dim, -1)
        before, after = np.ones_like(x), np.ones_like(x)
        before[..., 1:] = np.cumprod(x[..., :-1], axis=-1)
        after[..., :-1] = np.cumprod(x[..., :0:-1], axis=-1)[..., ::-1]
        others = np.moveaxis(before * after, -1, self.dim)
        return others * with_axes(dy, (self.dim,), self.keepdim), None, None

    def derivative(self, dy):
        n, others = self.x.shape[self.dim], []
        for i in range(n):  # the product of all but the i-th, which is exact where some are 0
            rest = [self.x.narrow(self.dim, 0, i), self.x.narrow(self.dim, i + 1, n - i - 1)]
            others.append(prod(cat(rest, self.dim), self.dim, True))
        return cat(others, self.dim) * with_axes(dy, (self.dim,), self.keepdim), None, None


class LogSumExp(Function):
    """y = ln Σ eˣ, with the largest x taken out first so that nothing overflows.   dx = eˣ⁻ʸ dy"""

    def forward(self, x, axes, keepdim):
        top = x.max(axis=axes, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, 0)
        with np.errstate(divide="ignore"):
            y = np.log(np.exp(x - top).sum(axis=axes, keepdims=True)) + top
        self.x, self.softmax, self.axes, self.keepdim = x, np.exp(x - y), axes, keepdim
        return y if keepdim else y.squeeze(axes)

    def backward(self, dy):
        return self.softmax * with_axes(dy, self.axes, self.keepdim), None, None

    def derivative(self, dy):
        softmax = (self.x - logsumexp(self.x, self.axes, True)).exp()
        return softmax * with_axes(dy, self.axes, self.keepdim), None, None


def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum; integers and booleans add up in int64."""
    if dtype is None and input.array.dtype.kind != "f":
        dtype = dtypes.int64
    if dtype is not None:
        input = cast(input, dtype)
    return Sum.apply(input, axes_of(dim, input.array.ndim), keepdim)


def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The arithmetic mean.  Errors: RuntimeError for integers."""
    if dtype is not None:
        input = cast(input, dtype)
    refuse_integers(input, "mean")
    return Mean.apply(input, axes_of(dim, input.array.ndim), keepdim)


def _spread_options(dim: Any, unbiased: Any, correction: Any) -> tuple[Any, Any]:
    """torch's two forms: var(dim, unbiased, keepdim) and var(unbiased), where the first of them is a truth value."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return dim, correction if correction is not None else int(unbiased)


def var(
    input: Tensor, dim: Dim = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> Tensor:
    """The variance, with Bessel's correction n - 1 unless ``unbiased=False`` or ``correction`` says otherwise."""
    refuse_integers(input, "var")
    dim, taken = _spread_options(dim, unbiased, correction)
    return Var.apply(input, axes_of(dim, input.array.ndim), taken, keepdim)


class RootOfVar(Function):
    """y = √v of a variance.   dv = dy / 2y, and 0 where y is 0, as in torch"""

    def forward(self, v):
        self.y = np.sqrt(v)
        return self.y

    def backward(self, dy):
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.y == 0, 0, dy / (2 * self.y))

    def derivative(self, dy):
        return (dy / (2 * self.y)).masked_fill(self.y == 0, 0)


def std(
    input: Tensor, dim: Dim = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> Tensor:
    """The standard deviation, the square root of var; its gradient is 0 where it is 0."""
    return RootOfVar.apply(var(input, dim, unbiased, keepdim, correction=correction))


def var_mean(
    input: Tensor, dim: Dim = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> tuple[Tensor, Tensor]:
    """The variance and the mean."""
    axes = None if isinstance(dim, bool) else dim
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, axes, keepdim)


def std_mean(
    input: Tensor, dim: Dim = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> tuple[Tensor, Tensor]:
    """The standard deviation and the mean."""
    axes = None if isinstance(dim, bool) else dim
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, axes, keepdim)


def count_nonzero(input: Tensor, dim: Dim = None) -> Tensor:
    """How many elements are not 0."""
    return _from_array(np.asarray(np.count_nonzero(input.array, axis=axes_of(dim, input.array.ndim))))


def nansum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of the elements that are not nan."""
    return sum(_without_nan(input), dim, keepdim, dtype=dtype)


def nanmean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of the elements that are not nan."""
    known = cast(_from_array(~np.isnan(input.array)), input.array.dtype)
    return sum(_without_nan(input), dim, keepdim, dtype=dtype) / sum(known, dim, keepdim)


def _without_nan(input: Tensor) -> Tensor:
    return input.masked_fill(_from_array(np.isnan(input.array)), 0)


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product of all elements or along one axis; integers multiply in int64."""
    if dtype is not None:
        input = cast(input, dtype)
    elif input.array.dtype.kind != "f":
        input = cast(input, dtypes.int64)
    if dim is None:
        return Prod.apply(input.reshape(-1), 0, False)
    axis = single_axis(dim, input.array.ndim)
    return Prod.apply(input, axis, keepdim) if input.array.ndim else input


def logsumexp(input: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """ln Σ exp(input), finite however large the input is."""
    input = as_float(input)
    return LogSumExp.apply(input, axes_of(dim, input.array.ndim), keepdim)


def all(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """True where every element is true (not 0)."""
    return of_array(np.all(input.array, axis=axes_of(dim, input.array.ndim), keepdims=keepdim))


def any(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """True where some element is true (not 0)."""
    return of_array(np.any(input.array, axis=axes_of(dim, input.array.ndim), keepdims=keepdim))


def refuse_integers(x: Tensor, name: str) -> None:
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"{name} needs a floating-point tensor, got {x.array.dtype}: cast it with .float()")
