"""The largest and the smallest: of two operands, within limits, and along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.function import Function
from npnn.modes import mode
from npnn.ops.promotion import operands
from npnn.ops.reductions import Dim, axes_of, refuse_empty, single_axis, with_axes
from npnn.ops.returned import MinMax, ValuesAndIndices, named
from npnn.tensor import Tensor, of_array

__all__ = [
    "amax", "amin", "aminmax", "argmax", "argmin", "clamp", "clamp_max", "clamp_min", "clip", "fmax", "fmin", "max",
    "maximum", "min", "minimum",
]  # fmt: skip


class FExtreme(Function):
    """y = the larger (or smaller) of a and b, a number before nan.   dy goes to the one taken, to a where equal"""

    def forward(self, a, b, choose):
        y = choose(a, b)
        self.first = (a == y) | (np.isnan(a) & np.isnan(b))
        return y

    def backward(self, dy):
        return dy * self.first, dy * ~self.first, None

    derivative = backward


class Maximum(Function):
    """y = max(a, b).   dy goes to the larger one, half to each where they are equal; NaN wins"""

    def forward(self, a, b):
        self.a, self.b = a, b
        return np.maximum(a, b)

    def backward(self, dy):
        half = 0.5 * dy * (self.a == self.b)
        return half + dy * (self.a > self.b), half + dy * (self.a < self.b)

    derivative = backward


class Minimum(Function):
    """y = min(a, b).   dy goes to the smaller one, half to each where they are equal; NaN wins"""

    def forward(self, a, b):
        self.a, self.b = a, b
        return np.minimum(a, b)

    def backward(self, dy):
        half = 0.5 * dy * (self.a == self.b)
        return half + dy * (self.a < self.b), half + dy * (self.a > self.b)

    derivative = backward


class Clamp(Function):
    """y = min(max(x, lo), hi).   dx = dy where lo <= x <= hi; dlo = dy below, dhi = dy above (and where hi < lo)"""

    def forward(self, x, lo, hi):
        none = np.zeros(x.shape, bool)
        self.above = none if hi is None else (x > hi) | (lo is not None and np.less(hi, lo))
        self.below = none if lo is None else (x < lo) & ~self.above
        return np.clip(x, lo, hi)

    def backward(self, dy):
        return dy * ~(self.above | self.below), dy * self.below, dy * self.above

    derivative = backward


def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of both; the one that is a number, if one is nan"""
    return FExtreme.apply(*operands(input, other), np.fmax)


def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of both; the one that is a number, if one is nan"""
    return FExtreme.apply(*operands(input, other), np.fmin)


def _refuse_numbers(name: str, *operands: Any) -> None:
    for x in operands:
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}(): both arguments must be Tensor, not {type(x).__name__}: for a number use clamp")


def maximum(input: Any, other: Any) -> Tensor:
    """The larger of both, element by element.  NaN wins.   Errors: TypeError for a number."""
    _refuse_numbers("maximum", input, other)
    return Maximum.apply(*operands(input, other))


def minimum(input: Any, other: Any) -> Tensor:
    """The smaller of both, element by element.  NaN wins.   Errors: TypeError for a number."""
    _refuse_numbers("minimum", input, other)
    return Minimum.apply(*operands(input, other))


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """input, but at least min"""
    return clamp(input, min)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """input, but at most max"""
    return clamp(input, None, max)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """input limited to [min, max], numbers or tensors.  Errors: RuntimeError without any limit."""
    if min is None and max is None:
        raise RuntimeError("clamp needs min, max or both")
    bounds = []
    for bound in (min, max):
        if bound is not None:
            input, bound = operands(input, bound)
        bounds.append(bound)
    return Clamp.apply(input, *bounds)


clip = clamp


class Extreme(Function):
    """y = max x (or min x).   dx = dy, in equal shares to all elements that attain it"""

    def forward(self, x, axes, keepdim, *, reduce):
        y = reduce(x, axis=axes, keepdims=True)
        self.attained, self.axes, self.keepdim = x == y, axes, keepdim
        return y if keepdim else y.reshape([n for a, n in enumerate(x.shape) if a not in axes])

    def backward(self, dy):
        share = self.attained / self.attained.sum(axis=self.axes, keepdims=True)
        return with_axes(dy, self.axes, self.keepdim) * share, None, None

    derivative = backward


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

    def again(self, v):
        y = np.take_along_axis(v, self.indices, self.dim)
        return y if self.keepdim else y.squeeze(self.dim)


def amax(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The largest element; equal ones share the gradient.  NaN wins."""
    refuse_empty("amax", input, dim)
    return Extreme.apply(input, axes_of(dim, input.array.ndim), keepdim, reduce=np.max)


def amin(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The smallest element; equal ones share the gradient.  NaN wins."""
    refuse_empty("amin", input, dim)
    return Extreme.apply(input, axes_of(dim, input.array.ndim), keepdim, reduce=np.min)


@named
def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The largest element; over one axis, (values, indices) with the first of equal ones; of two tensors, maximum."""
    if other is not None or isinstance(dim, Tensor):
        return maximum(input, dim if other is None else other)
    return amax(input) if dim is None else _pick("max", input, np.argmax, dim, keepdim)


@named
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The smallest element; over one axis, (values, indices) with the first of equal ones; of two tensors, minimum."""
    if other is not None or isinstance(dim, Tensor):
        return minimum(input, dim if other is None else other)
    return amin(input) if dim is None else _pick("min", input, np.argmin, dim, keepdim)


def _pick(name: str, input: Tensor, where: Any, dim: int, keepdim: bool) -> ValuesAndIndices:
    axis = single_axis(dim, input.array.ndim)
    if not input.array.ndim:
        return ValuesAndIndices(input, of_array(np.int64(0)))
    refuse_empty(name, input, axis)
    return ValuesAndIndices(*Pick.apply(input, axis, keepdim, where=where))


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest element is (the first of equal ones)."""
    return _position("argmax", np.argmax, input, dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest element is (the first of equal ones)."""
    return _position("argmin", np.argmin, input, dim, keepdim)


class Position(Function):
    """Where the largest or smallest element is.  Has no gradient; an operation only for who writes down what is applied."""

    def forward(self, x, dim, keepdim, where):
        return where(x, axis=dim, keepdims=keepdim)


def _position(name: str, where: Any, input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    refuse_empty(name, input, dim)
    if mode.observer is not None:
        return Position.apply(input, dim=dim, keepdim=keepdim, where=where)
    return of_array(where(input.array, axis=dim, keepdims=keepdim))


@named
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The smallest and the largest element."""
    return MinMax(amin(input, dim, keepdim), amax(input, dim, keepdim))
