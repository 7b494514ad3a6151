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
from npnn.tensor import Function, Tensor, _from_array, of_array

__all__ = [
    "all", "amax", "amin", "aminmax", "any", "argmax", "argmin", "count_nonzero", "cumprod", "cumsum", "diff",
    "logcumsumexp", "logsumexp", "max", "mean", "min", "nanmean", "nanquantile", "nansum", "prod", "quantile", "std",
    "std_mean", "sum", "trapezoid", "var", "var_mean",
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
        raise error(f"{name} of nothing: the input has shape {x.array.shape}" + ("" if dim is None else f", dim={dim}"))


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
        return ValuesAndIndices(input, of_array(np.int64(0)))
    _refuse_empty(name, input, axis)
    return ValuesAndIndices(*Pick.apply(input, axis, keepdim, where=where))


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest element is (the first of equal ones)."""
    _refuse_empty("argmax", input, dim)
    return of_array(np.argmax(input.array, axis=dim, keepdims=keepdim))


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest element is (the first of equal ones)."""
    _refuse_empty("argmin", input, dim)
    return of_array(np.argmin(input.array, axis=dim, keepdims=keepdim))


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


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The smallest and the largest element."""
    return MinMax(amin(input, dim, keepdim), amax(input, dim, keepdim))


class MinMax(NamedTuple):
    min: Tensor
    max: Tensor


def nansum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of the elements that are not nan."""
    return sum(_without_nan(input), dim, keepdim, dtype=dtype)


def nanmean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of the elements that are not nan."""
    known = cast(_from_array(~np.isnan(input.array)), input.array.dtype)
    return sum(_without_nan(input), dim, keepdim, dtype=dtype) / sum(known, dim, keepdim)


def _without_nan(input: Tensor) -> Tensor:
    return input.masked_fill(_from_array(np.isnan(input.array)), 0)


class CumProd(Function):
    """y_i = Π x_j over j <= i.   dx_j = Σ dy_i Π x_k over k <= i but j, exact where some are 0"""

    def forward(self, x, dim):
        self.x, self.dim = x, dim
        return np.cumprod(x, axis=dim)

    def backward(self, dy):
        x, dy = np.moveaxis(self.x, self.dim, 0), np.moveaxis(dy, self.dim, 0)
        dx = np.zeros_like(x)
        before = np.ones(x.shape[1:], x.dtype)
        for j in range(len(x)):  # without x_j: what comes before it, times what follows up to i
            without = np.cumprod(np.concatenate([before[None], x[j + 1 :]]), axis=0)
            dx[j] = (dy[j:] * without).sum(0)
            before = before * x[j]
        return np.moveaxis(dx, 0, self.dim), None


def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The running product along one axis."""
    input = cast(input, dtype or (input.array.dtype if input.array.dtype.kind == "f" else dtypes.int64))
    axis = _axis(dim, input.array.ndim)
    return CumProd.apply(input, axis) if input.array.ndim else input.clone()


class LogCumSumExp(Function):
    """y_i = ln Σ exp x_j over j <= i.   dx_j = Σ dy_i exp(x_j - y_i) over i >= j"""

    def forward(self, x, dim):
        self.x, self.dim = x, dim
        self.y = np.logaddexp.accumulate(x, axis=dim)
        return self.y

    def backward(self, dy):
        x, y, g = (np.moveaxis(a, self.dim, 0) for a in (self.x, self.y, dy))
        with np.errstate(invalid="ignore"):
            dx = np.stack([(g[j:] * np.exp(x[j] - y[j:])).sum(0) for j in range(len(x))]) if len(x) else x
        return np.moveaxis(dx, 0, self.dim), None


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """ln of the running sum of exp(input) along one axis."""
    axis = _axis(dim, input.array.ndim)
    return LogCumSumExp.apply(input, axis) if input.array.ndim else input.clone()


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
            else [1 if a == _axis(dim, input.array.ndim) else m for a, m in enumerate(input.array.shape)]
        )
    found = [y.reshape(shape) for y in found]
    return _stacked(found) if fractions.ndim else found[0]


def _stacked(parts: list[Tensor]) -> Tensor:
    from npnn.ops.shape import stack  # late: shape does not need reductions, nor should it be the other way round

    return stack(parts)


def diff(input: Tensor, n: int = 1, dim: int = -1) -> Tensor:
    """The differences of neighbours along an axis, n times."""
    axis = _axis(dim, input.array.ndim)
    for _ in range(n):
        size = input.array.shape[axis]
        input = input.narrow(axis, 1, max(size - 1, 0)) - input.narrow(axis, 0, max(size - 1, 0))
    return input


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integral of y along an axis by trapezoids, at the places x or ``dx`` apart."""
    n = y.array.shape[dim]
    pairs = (y.narrow(dim, 1, n - 1) + y.narrow(dim, 0, n - 1)) / 2
    return sum(pairs * (dx if x is None else diff(x, dim=dim if x.array.ndim > 1 else 0)), dim)


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product of all elements or along one axis; integers multiply in int64."""
    if dtype is not None:
        input = cast(input, dtype)
    elif input.array.dtype.kind != "f":
        input = cast(input, dtypes.int64)
    if dim is None:
        return Prod.apply(input.reshape(-1), 0, False)
    axis = _axis(dim, input.array.ndim)
    return Prod.apply(input, axis, keepdim) if input.array.ndim else input


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The running sum along one axis."""
    if dtype is not None:
        input = cast(input, dtype)
    elif input.array.dtype.kind != "f":
        input = cast(input, dtypes.int64)
    axis = _axis(dim, input.array.ndim)
    return CumSum.apply(input, axis) if input.array.ndim else input


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
