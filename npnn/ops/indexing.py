"""Picking elements: slices, integer arrays, boolean masks, and their relatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.autograd import is_grad_enabled
from npnn.errors import DtypeError, ShapeError
from npnn.ops.shape import axis_of
from npnn.tensor import Function, Tensor

__all__ = ["gather", "getitem", "index_select", "masked_fill", "setitem"]


class Index(Function):
    """y = x[index].   dx = 0 but for dx[index] += dy, adding up where an element was picked twice"""

    def forward(self, x, index):
        self.shape, self.index = x.shape, index
        return x[index]

    def backward(self, dy):
        dx = np.zeros(self.shape, dy.dtype)
        parts = self.index if isinstance(self.index, tuple) else (self.index,)
        if any(isinstance(p, (np.ndarray, list)) and np.asarray(p).dtype != bool for p in parts):
            np.add.at(dx, self.index, dy)
        else:  # slices and masks pick no element twice
            dx[self.index] = dy
        return dx, None


class Gather(Function):
    """y[i][j] = x[index[i][j]][j] for dim 0, and so on.   dx[index[i][j]][j] += dy[i][j]"""

    def forward(self, x, index, dim):
        self.shape = x.shape
        self.at = [
            np.arange(n).reshape([-1 if i == d else 1 for i in range(x.ndim)]) for d, n in enumerate(index.shape)
        ]
        self.at[dim] = index
        return x[tuple(self.at)]

    def backward(self, dy):
        dx = np.zeros(self.shape, dy.dtype)
        np.add.at(dx, tuple(self.at), dy)
        return dx, None, None


class MaskedFill(Function):
    """y = value where the mask holds, else x.   dx = 0 where the mask holds, else dy"""

    def forward(self, x, mask, value):
        self.mask = mask
        return np.where(mask, value, x)

    def backward(self, dy):
        return np.where(self.mask, 0, dy), None, None


def _arrays(index: Any) -> Any:
    """The index with its Tensors as arrays."""
    if isinstance(index, tuple):
        return tuple([_arrays(i) for i in index])
    return index.array if isinstance(index, Tensor) else index


def _in_turn(index: Any) -> list[Any]:
    """The index as one or two to apply in turn: numbers pick before arrays do, as in torch.

    NumPy takes a number beside an array for an array, so that x[0, :, [1, 2]] would have the axis of the
    list first.
    """
    if not isinstance(index, tuple) or not any(isinstance(i, (np.ndarray, list)) for i in index):
        return [index]
    numbers: list[Any] = []
    others = []
    for i in index:
        if np.ndim(i) == 0 and isinstance(i, (int, np.integer, np.ndarray)) and np.asarray(i).dtype != bool:
            numbers.append(int(i))
            continue
        others.append(i)
        if i is Ellipsis:
            numbers.append(i)
        elif i is not None:
            is_mask = not isinstance(i, slice) and np.asarray(i).dtype == bool
            numbers += [slice(None)] * (np.ndim(i) if is_mask else 1)
    return [tuple(numbers), tuple(others)] if len(others) < len(index) else [index]


def getitem(input: Tensor, index: Any) -> Tensor:
    """input[index]: slices share memory, integer arrays and boolean masks copy."""
    for part in _in_turn(_arrays(index)):
        input = Index.apply(input, part)
    return input


def setitem(input: Tensor, index: Any, value: Any) -> None:
    """input[index] = value, for tensors outside the graph."""
    input._check_in_place()
    if isinstance(value, Tensor):
        if value.requires_grad and is_grad_enabled():
            raise RuntimeError("the assigned tensor requires a gradient, which would be lost: use where or cat instead")
        value = value.array
    *views, last = _in_turn(_arrays(index))
    data = input.array
    for view in views:
        data = data[view]
    data[last] = value
    input._mark_changed()


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The elements of ``input`` that ``index`` names along ``dim``; the result has index's shape.

    Errors: ShapeError unless both have as many axes; IndexError for an index out of range.
    """
    picked = np.asarray(index.array)
    if picked.ndim != input.ndim:
        raise ShapeError(f"gather needs an index with {input.ndim} axes, got {picked.ndim}")
    axis = axis_of(dim, input.ndim)
    n = input.shape[axis]
    if picked.size and (picked.min() < 0 or picked.max() >= n):
        raise IndexError(f"gather: indices must lie in 0 to {n - 1}, got {picked.min()} to {picked.max()}")
    return Gather.apply(input, picked, axis)


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices along ``dim`` that the 1-D ``index`` names, in its order.   Errors: IndexError for another index."""
    axis, picked = axis_of(dim, input.ndim), np.asarray(index.array)
    if picked.ndim > 1 or (picked.size and not 0 <= picked.min() <= picked.max() < input.shape[axis]):
        raise IndexError(f"index_select: expected a row of indices from 0 to {input.shape[axis] - 1}, got {picked}")
    return getitem(input, (*(slice(None),) * axis, picked.reshape(-1)))


def masked_fill(input: Tensor, mask: Tensor, value: float) -> Tensor:
    """input with ``value`` where the boolean ``mask`` holds.   Errors: DtypeError for a mask that is not boolean."""
    if mask.array.dtype != bool:
        raise DtypeError(f"masked_fill needs a boolean mask, got {mask.dtype}")
    return MaskedFill.apply(input, np.asarray(mask.array), input.array.dtype.type(value))
