"""The same elements in another order: flipped, rolled, turned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from npnn.function import Function
from npnn.ops.shape import _sizes, axis_of, clone, ravel, transpose
from npnn.tensor import Tensor

__all__ = ["flip", "fliplr", "flipud", "roll", "rot90"]


class Flip(Function):
    """y = x read backwards along some axes.   dx = dy read backwards"""

    def forward(self, x, dims):
        self.dims = dims
        return np.flip(x, dims).copy()

    def backward(self, dy):
        return np.flip(dy, self.dims), None

    def again(self, v):
        return np.flip(v, self.dims)


class Roll(Function):
    """y = x with its elements moved on along some axes, those that leave at one end entering at the other.   dx = back"""

    def forward(self, x, shifts, dims):
        self.shifts, self.dims = shifts, dims
        return np.roll(x, shifts, dims)

    def backward(self, dy):
        return np.roll(dy, tuple(-n for n in self.shifts), self.dims), None, None

    def again(self, v):
        return np.roll(v, self.shifts, self.dims)


def flip(input: Tensor, *dims: Any) -> Tensor:
    """Read backwards along the given axes."""
    axes = tuple([axis_of(d, input.array.ndim) for d in _sizes(dims)])
    if len(set(axes)) < len(axes):
        raise RuntimeError(f"flip: {_sizes(dims)} names an axis twice")
    return Flip.apply(input, axes)


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """The elements moved on along the axes, round the corner; of all in one row without ``dims``."""
    moves = tuple(shifts) if isinstance(shifts, (tuple, list)) else (shifts,)
    if dims is None or dims in ((), []):
        if len(moves) != 1:
            raise RuntimeError("roll: shifts and dimensions must align")
        return Roll.apply(ravel(input), moves, (0,)).reshape(input.array.shape)
    axes = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    if len(axes) != len(moves):
        raise RuntimeError("roll: shifts and dimensions must align")
    if not input.array.ndim:
        raise IndexError("roll: a tensor without axes has none to move along")
    return Roll.apply(input, moves, tuple([axis_of(d, input.array.ndim) for d in axes]))


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by k quarters in the plane of two axes, from the first towards the second."""
    a, b = (axis_of(d, input.array.ndim) for d in dims)
    if a == b:
        raise RuntimeError("rot90: the two axes must differ")
    if k % 4 == 0:
        return clone(input)
    if k % 4 == 2:
        return flip(input, a, b)
    return flip(transpose(input, a, b), a) if k % 4 == 1 else transpose(flip(input, a), a, b)


def fliplr(input: Tensor) -> Tensor:
    """Read backwards along the second axis."""
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """Read backwards along the first axis."""
    return flip(input, 0)
