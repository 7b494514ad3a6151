"""Sums, means, extremes and spreads over some or all axes.

``dim`` is an axis, several axes, or None for all; ``keepdim`` leaves the reduced axes with size 1.
"""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np

from npnn import dtypes
from npnn.ops.arithmetic import maximum, minimum
from npnn.ops.promotion import as_float, cast
from npnn.tensor import Function, Tensor

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "cumsum", "logsumexp", "max", "mean", "min", "prod",
    "std", "sum", "var",
]  # fmt: skip

Dim = Any  # int, sequence of int, or None


class ValuesAndIndices(NamedTuple):
    """What max and min over one axis return."""

    values: Tensor
    indices: Tensor


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


def _axis(dim: Any, ndim: int) -> int:
    """One axis, counted from the front.  Errors: TypeError unless it is one whole number, IndexError out of range."""
    return axes_of(operator.index(dim), ndim or 1)[0]


def _refuse_empty(name: str, x: Tensor, dim: Any) -> None:
    """Errors: IndexError, or RuntimeError for a largest of all elements, if there is nothing to choose from."""
    if not x.array.size and not math.prod([x.array.shape[a] for a in axes_of(dim, x.array.ndim)]):
        error = RuntimeError if dim is None and not name.startswith("arg") else IndexError
        raise error(f"{name} of nothing: the input has shape {x.shape}" + ("" if dim is None else f", dim={dim}"))


def with_axes(dy, axes, keepdim):
    """The gradient of a reduction with its lost axes back, of size 1, so that it broadcasts."""
    return dy if keepdim else np.expand_dims(dy, axes)


class Sum(Function):
    """y = Σ x.   dx = dy, spread over the summed elements"""

    def forward(self, x, axes, keepdim):
        self.shape, self.axes, self.keepdim = x.shape, axes, keepdim
        return x.sum(axis=axes, keepdims=keepdim)

    def backward(self, dy):
        return np.broadcast_to(with_axes(dy, self.axes, self.keepdim), self.shape), None, None


class Mean(Function):
    """y = Σ x / n.   dx = dy / n, spread over the n elements"""

    def forward(self, x, axes, keepdim):
        self.shape, self.axes, self.keepdim = x.shape, axes, keepdim
        self.n = int(np.prod([x.shape[a] for a in axes]))
        if self.n == 0:  # the mean of nothing is nan, quietly, as in torch
            return np.full(x.sum(axis=axes, keepdims=keepdim).shape, np.nan, x.dtype)
        return x.mean(axis=axes, keepdims=keepdim)

    def backward(self, dy):
        dy = with_axes(dy, self.axes, self.keepdim)
        return np.broadcast_to(dy / self.n if self.n else dy, self.shape), None, None


class Extreme(Function):
    """y = max x (or min x).   dx = dy, in equal shares to all elements that attain it"""

    def forward(self, x, axes, keepdim, *, reduce):
        y = reduce(x, axis=axes, keepdims=True)
        self.attained, self.axes, self.keepdim = x == y, axes, keepdim
        return y if keepdim else y.reshape([n for a, n in enumerate(x.shape) if a not in axes])

    def backward(self, dy):
        share = self.attained / self.attained.sum(axis=self.axes, keepdims=True)
        return with_axes(dy, self.axes, self.keepdim) * share, None, None


class Pick(Function):
    """y = the largest (or smallest) x along an axis, and where it is.   dx = dy there, 0 elsewhere"""

    def forward(self, x, dim, keepdim, *, where):
        self.shape, self.dim, self.keepdim = x.shape, dim, keepdim
        self.indices = where(x, axis=dim, keepdims=True)
        y = np.take_along_axis(x, self.indices, dim)
        return (y, self.indices) if keepdim else (y.squeeze(dim), self.indices.squeeze(dim))

    def backward(self, dy, _):
        dx = np.zeros(self.shape, dy.dtype)
        np.put_along_axis(dx, self.indices, with_axes(dy, (self.dim,), self.keepdim), self.dim)
        return dx, None, None


class Var(Function):
    """y = Σ (x - x̄)² / (n - correction).   dx = 2 (x - x̄) dy / (n - correction)"""

    def forward(self, x, axes, correction, keepdim):
        n = int(np.prod([x.shape[a] for a in axes]))
        with np.errstate(divide="ignore", invalid="ignore"):  # one value has no unbiased variance: nan, as in torch
            centred = x - x.sum(axis=axes, keepdims=True) / x.dtype.type(n)
            scale = 1 / x.dtype.type(n - correction if n > correction else 0)
            self.centred, self.scale, self.axes, self.keepdim = centred, scale, axes, keepdim
            return (centred * centred).sum(axis=axes, keepdims=keepdim) * scale

    def backward(self, dy):
        return self.centred * (2 * self.scale * with_axes(dy, self.axes, self.keepdim)), None, None, None


class Prod(Function):
    """y = Π x.   dx = dy times the product of the other elements, exact where some are 0"""

    def forward(self, x, dim, keepdim):
        self.x, self.dim, self.keepdim = x, dim, keepdim
        return x.prod(axis=dim, keepdims=keepdim)

    def backward(self, dy):
        x = np.moveaxis(self.x, self.dim, -1)
        before, after = np.ones_like(x), np.ones_like(x)
        before[..., 1:] = np.cumprod(x[..., :-1], axis=-1)
        after[..., :-1] = np.cumprod(x[..., :0:-1], axis=-1)[..., ::-1]
        others = np.moveaxis(before * after, -1, self.dim)
        return others * with_axes(dy, (self.dim,), self.keepdim), None, None


class CumSum(Function):
    """yᵢ = x₀ + ... + xᵢ.   dxᵢ = dyᵢ + ... + dyₙ"""

    def forward(self, x, dim):
        self.dim = dim
        return np.cumsum(x, axis=dim, dtype=x.dtype)

    def backward(self, dy):
        return np.flip(np.cumsum(np.flip(dy, self.dim), axis=self.dim, dtype=dy.dtype), self.dim), None


class LogSumExp(Function):
    """y = ln Σ eˣ, with the largest x taken out first so that nothing overflows.   dx = eˣ⁻ʸ dy"""

    def forward(self, x, axes, keepdim):
        top = x.max(axis=axes, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, 0)
        with np.errstate(divide="ignore"):
            y = np.log(np.exp(x - top).sum(axis=axes, keepdims=True)) + top
        self.softmax, self.axes, self.keepdim = np.exp(x - y), axes, keepdim
        return y if keepdim else y.squeeze(axes)

    def backward(self, dy):
        return self.softmax * with_axes(dy, self.axes, self.keepdim), None, None


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


def amax(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The largest element; equal ones share the gradient.  NaN wins."""
    _refuse_empty("amax", input, dim)
    return Extreme.apply(input, axes_of(dim, input.array.ndim), keepdim, reduce=np.max)


def amin(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The smallest element; equal ones share the gradient.  NaN wins."""
    _refuse_empty("amin", input, dim)
    return Extreme.apply(input, axes_of(dim, input.array.ndim), keepdim, reduce=np.min)


def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; over one axis, (values, indices) with the first of equal ones; of two tensors, maximum."""
    if isinstance(dim, Tensor):
        return maximum(input, dim)
    return amax(input) if dim is None else _pick("max", input, np.argmax, dim, keepdim)


def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; over one axis, (values, indices) with the first of equal ones; of two tensors, minimum."""
    if isinstance(dim, Tensor):
        return minimum(input, dim)
    return amin(input) if dim is None else _pick("min", input, np.argmin, dim, keepdim)


def _pick(name: str, input: Tensor, where: Any, dim: int, keepdim: bool) -> ValuesAndIndices:
    axis = _axis(dim, input.array.ndim)
    if not input.array.ndim:
        return ValuesAndIndices(input, Tensor(np.int64(0)))
    _refuse_empty(name, input, axis)
    return ValuesAndIndices(*Pick.apply(input, axis, keepdim, where=where))


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest element is (the first of equal ones)."""
    _refuse_empty("argmax", input, dim)
    return Tensor(np.argmax(input.array, axis=dim, keepdims=keepdim))


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest element is (the first of equal ones)."""
    _refuse_empty("argmin", input, dim)
    return Tensor(np.argmin(input.array, axis=dim, keepdims=keepdim))


def var(
    input: Tensor, dim: Dim = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> Tensor:
    """The variance, with Bessel's correction n - 1 unless ``unbiased=False`` or ``correction`` says otherwise."""
    refuse_integers(input, "var")
    taken = correction if correction is not None else int(unbiased)
    return Var.apply(input, axes_of(dim, input.array.ndim), taken, keepdim)


def std(
    input: Tensor, dim: Dim = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> Tensor:
    """The standard deviation, the square root of var."""
    return var(input, dim, unbiased, keepdim, correction=correction).sqrt()


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The product of all elements or along one axis; integers multiply in int64."""
    if input.array.dtype.kind != "f":
        input = cast(input, dtypes.int64)
    if dim is None:
        return Prod.apply(input.reshape(-1), 0, False)
    axis = _axis(dim, input.array.ndim)
    return Prod.apply(input, axis, keepdim) if input.array.ndim else input


def cumsum(input: Tensor, dim: int) -> Tensor:
    """The running sum along one axis."""
    if input.array.dtype.kind != "f":
        input = cast(input, dtypes.int64)
    axis = _axis(dim, input.array.ndim)
    return CumSum.apply(input, axis) if input.array.ndim else input


def logsumexp(input: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """ln Σ exp(input), finite however large the input is."""
    input = as_float(input)
    return LogSumExp.apply(input, axes_of(dim, input.array.ndim), keepdim)


def all(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """True where every element is true (not 0)."""
    return Tensor(np.all(input.array, axis=axes_of(dim, input.array.ndim), keepdims=keepdim))


def any(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """True where some element is true (not 0)."""
    return Tensor(np.any(input.array, axis=axes_of(dim, input.array.ndim), keepdims=keepdim))


def refuse_integers(x: Tensor, name: str) -> None:
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"{name} needs a floating-point tensor, got {x.array.dtype}: cast it with .float()")
