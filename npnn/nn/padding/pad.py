"""Padding: more elements around a tensor, of one value or taken from the tensor itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from npnn.errors import ShapeError
from npnn.function import Function
from npnn.tensor import Tensor

__all__ = ["pad"]

Widths = dict[int, tuple[int, int]]  # axis: elements added before and after; negative: taken away


class ConstantPadding(Function):
    """y = x with ``value`` around it.   dx = the part of dy that x lies in"""

    def forward(self, x: NDArray[Any], widths: Widths, value: float) -> NDArray[Any]:
        inner, kept, shape = [slice(None)] * x.ndim, [slice(None)] * x.ndim, list(x.shape)
        for axis, (before, after) in widths.items():
            shape[axis] += before + after
            inner[axis] = slice(max(before, 0), shape[axis] - max(after, 0))
            kept[axis] = slice(max(-before, 0), x.shape[axis] - max(-after, 0))
        self.shape, self.inner, self.kept, self.widths = x.shape, tuple(inner), tuple(kept), widths
        y = np.empty_like(x, shape=shape)
        y.fill(value)
        y[self.inner] = x[self.kept]
        return y

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        if dy[self.inner].shape == self.shape:
            return dy[self.inner]
        dx = np.zeros_like(dy, shape=self.shape)
        dx[self.kept] = dy[self.inner]
        return dx

    def again(self, v: NDArray[Any]) -> NDArray[Any]:
        return ConstantPadding().forward(v, self.widths, 0)


class Order(NamedTuple):
    """Which element each place along an axis holds, and the middle: places ``there`` hold elements ``here`` in order."""

    places: NDArray[Any]
    there: slice
    here: slice

    @property
    def ends(self) -> list[int]:
        return [*range(self.there.start), *range(self.there.stop, len(self.places))]


class Reordering(Function):
    """y = x read along some axes in an order in which elements may come twice.   dx = the sum over where each came

    Of each axis the middle, which stays in its order, is moved as a whole; the ends place by place.
    """

    def forward(self, x: NDArray[Any], orders: dict[int, Order]) -> NDArray[Any]:
        self.steps = []
        for axis, order in orders.items():
            self.steps.append((axis, order, x.shape))
            shape = (*x.shape[:axis], len(order.places), *x.shape[axis + 1 :])
            y = np.empty_like(x, shape=shape)  # in x's memory order
            to, given = np.moveaxis(y, axis, 0), np.moveaxis(x, axis, 0)
            to[order.there] = given[order.here]
            for place in order.ends:
                to[place] = given[order.places[place]]
            x = y
        return x

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        for axis, order, shape in reversed(self.steps):
            dx = np.zeros_like(dy, shape=shape)
            to, given = np.moveaxis(dx, axis, 0), np.moveaxis(dy, axis, 0)
            to[order.here] = given[order.there]
            for place in order.ends:
                to[order.places[place]] += given[place]
            dy = dx
        return dy

    def again(self, v: NDArray[Any]) -> NDArray[Any]:
        return Reordering().forward(v, {axis: order for axis, order, _ in self.steps})


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """The input with elements added at the ends of its last axes; negative numbers take elements away.

    ``pad`` counts from the last axis: (left, right), (left, right, top, bottom), and so on.  The new
    elements are ``value`` (0) if ``mode`` is "constant", the mirror image without its edge if
    "reflect", the outermost element if "replicate", those of the other end if "circular".

    Gradient: each dy goes to the element that it was taken from.
    Errors: RuntimeError for an odd number of widths or more than there are axes; ShapeError where
    nothing would be left, or the input is too small for the mode; NotImplementedError for other modes.
    """
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise NotImplementedError(f"pad: mode must be constant, reflect, replicate or circular, got {mode!r}")
    if mode != "constant" and value is not None:
        raise ValueError(f"pad: value={value} goes with mode='constant', not with {mode!r}")
    shape, ends = input.shape, list(pad)
    if len(ends) % 2 or len(ends) > 2 * len(shape):
        raise ShapeError(f"pad: expected two widths for each of at most {len(shape)} axes, got {len(ends)} widths")
    widths = {len(shape) - 1 - i: (ends[2 * i], ends[2 * i + 1]) for i in range(len(ends) // 2)}
    for axis, (before, after) in widths.items():
        n, most, left = shape[axis], max(before, after), shape[axis] + min(before, 0) + min(after, 0)
        if (
            n + before + after < 0
            or (mode == "reflect" and most >= n)
            or (mode == "circular" and (most > n or most > 0 >= left))
        ):
            raise ShapeError(f"pad: {before} and {after} do not fit axis {axis} of an input of shape {shape} ({mode})")
        if mode == "replicate" and not n:
            raise ShapeError(f"pad: axis {axis} of an input of shape {shape} has no element to repeat")
    if mode == "constant":
        return ConstantPadding.apply(input, widths=widths, value=0 if value is None else value)
    orders = {axis: _order(mode, shape[axis], *width) for axis, width in widths.items() if any(width)}
    return Reordering.apply(input, orders=orders) if orders else input


def _order(mode: str, n: int, before: int, after: int) -> Order:
    """Which of n elements each place from -before to n + after - 1 holds."""
    places = np.arange(-before, n + after)
    first, last = max(-before, 0), max(n - max(-after, 0), max(-before, 0))  # what is left of the elements
    here, there = slice(first, last), slice(first + before, last + before)
    if mode == "replicate":
        return Order(places.clip(0, n - 1), there, here)
    if mode == "circular":  # the cycle is what is left
        return Order(first + (places - first) % max(last - first, 1), there, here)
    return Order((n - 1) - abs((n - 1) - abs(places)), there, here)
