"""Picking elements: slices, integer arrays, boolean masks; and putting elements where they were picked."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.engine import Part
from npnn.errors import DtypeError
from npnn.function import Function, View
from npnn.inplace import Replaced, in_place
from npnn.kernels.scatter import add_at
from npnn.modes import mode
from npnn.ops.promotion import cast, operands
from npnn.tensor import Tensor, _from_array, of_array

__all__ = ["argwhere", "getitem", "index_put", "masked_fill", "masked_scatter", "masked_select", "nonzero", "setitem"]


class Index(View):
    """y = x[index].   dx = 0 but for dx[index] += dy, adding up where an element was picked twice"""

    def forward(self, x, index):
        self.shape, self.index = x.shape, index
        y = x[index]
        if type(y) is not np.ndarray:  # one element: NumPy hands out a number, but it is a view as well
            whole = index if isinstance(index, tuple) else (index,)
            y = x[whole + (...,)]
        return y

    def backward(self, dy):
        return Part(dy, self.index, self.shape), None

    def again(self, v):
        return v[self.index]


class Put(Function):
    """y = x but for y[index] = v, or y[index] += v.   dx = dy, with 0 at the index where v replaced x; dv = dy[index]

    ``add`` says which; v broadcasts to the shape of y[index].
    """

    def forward(self, x, v, index, add):
        self.index, self.add = index, add
        y = x.copy("K")
        if add:
            add_at(y, index, v)
        else:
            y[index] = v
        return y

    def backward(self, dy):
        dx = dy
        if not self.add:
            dx = dy.copy("K")
            dx[self.index] = 0
        return dx, (dy[self.index] if self.needs_grad[1] else None), None, None

    def derivative(self, dy):
        dx = dy if self.add else Put.apply(dy, np.zeros((), dy.array.dtype), self.index, False)
        return dx, Index.apply(dy, self.index), None, None


class MaskedFill(Function):
    """y = v where the mask holds, else x.   dx = 0 where the mask holds, else dy; dv = the sum of dy where it holds"""

    def forward(self, x, v, mask):
        self.mask = mask
        return np.where(mask, v, x)

    def backward(self, dy):
        dv = np.where(self.mask, dy, 0).sum() if self.needs_grad[1] else None
        return np.where(self.mask, 0, dy), dv, None

    def derivative(self, dy):
        return MaskedFill.apply(dy, 0, self.mask), MaskedFill.apply(dy, 0, ~self.mask).sum(), None


def places(index: Any, dim: int) -> tuple[Any, ...]:
    """The index along one axis as an index of all: the others count upwards."""
    at = list(np.ogrid[tuple(slice(n) for n in index.shape)]) if index.ndim else []
    at[dim : dim + 1] = [index]
    return tuple(at)


def _arrays(index: Any) -> Any:
    """The index with its Tensors as arrays."""
    if isinstance(index, tuple):
        return tuple([_arrays(i) for i in index])
    if isinstance(index, Tensor):
        return index.array
    if isinstance(index, slice) and any(isinstance(p, Tensor) for p in (index.start, index.stop, index.step)):
        return slice(*[p if p is None else int(p) for p in (index.start, index.stop, index.step)])
    if isinstance(index, (list, range)) and any(isinstance(i, (Tensor, slice, type(Ellipsis))) for i in index):
        return (
            tuple([_arrays(i) for i in index])
            if not all(isinstance(i, Tensor) and not i.ndim for i in index)
            else [int(i) for i in index]
        )
    return list(index) if isinstance(index, range) else index


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
    """input[index] = value, in the graph as well: input then comes from its old self and from the value."""
    *views, last = _in_turn(_arrays(index))
    target = input
    if not mode.enabled or not (input.requires_grad or (isinstance(value, Tensor) and value.requires_grad)):
        array = input.array
        for view in views:
            array = array[view]
        array[last] = _assigned(value, array[last] if isinstance(value, Tensor) else None)
        input._mark_changed("__setitem__")
        return
    for view in views:
        target = Index.apply(target, view)
    parts = last if isinstance(last, tuple) else (last,)
    if any(isinstance(p, (np.ndarray, list)) for p in parts):
        in_place("__setitem__", _put, target, last, value)
    else:
        region = Index.apply(target, last)
        in_place("__setitem__", _replaced, region, value)


def _assigned(value: Any, region: Any) -> Any:
    """The value as an array that NumPy can broadcast: leading axes of size 1 more than the region has are dropped."""
    array = value.array if isinstance(value, Tensor) else value
    if region is not None:
        while array.ndim > region.ndim and array.shape[0] == 1:
            array = array[0]
    return array


def _replaced(region: Tensor, value: Any) -> Tensor:
    value = value if isinstance(value, Tensor) else of_array(np.asarray(value, region.array.dtype))
    while value.array.ndim > region.array.ndim and value.array.shape[0] == 1:
        value = value[0]
    return Replaced.apply(region, value)


def _put(target: Tensor, index: Any, value: Any, add: bool = False) -> Tensor:
    value = value if isinstance(value, Tensor) else of_array(np.asarray(value, target.array.dtype))
    return Put.apply(target, cast(value, target.array.dtype), index, add)


def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """input with ``values`` at the places that the index tensors name, or added there."""
    return _put(input, tuple([i.array for i in indices]), values, accumulate)


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """input with ``value`` where the boolean ``mask`` holds.

    Errors: DtypeError for a mask that is not boolean; RuntimeError for a value that is a tensor with axes, or of a
    kind that does not go into the input's dtype.
    """
    where = np.asarray(mask)
    if where.dtype != bool:
        raise DtypeError(f"masked_fill needs a boolean mask, got {mask.dtype}")
    if isinstance(value, Tensor):
        if value.array.ndim:
            raise RuntimeError(
                "masked_fill only supports a 0-dimensional value tensor, "
                f"but got tensor with {value.array.ndim} dimension(s)."
            )
        if "biuf".index(value.array.dtype.kind) > "biuf".index(input.array.dtype.kind):
            raise RuntimeError(f"value cannot be converted to type {input.dtype} without overflow")
        value = cast(value, input.array.dtype)
    else:
        if input.array.dtype.kind in "iu" and value != int(value):
            raise RuntimeError(f"value cannot be converted to type {input.dtype} without overflow")
        value = input.array.dtype.type(value)
    return MaskedFill.apply(input, value, where)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask, which broadcasts, holds, in one row."""
    shape = np.broadcast_shapes(input.array.shape, mask.array.shape)
    return input.expand(shape)[np.broadcast_to(mask.array, shape)]


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """input with the elements of ``source``, in turn, where the mask holds."""
    where = np.broadcast_to(mask.array, input.array.shape)
    return Put.apply(input, source.reshape(-1)[: int(where.sum())], where, False)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The places of elements that are not 0, a row each; or, ``as_tuple``, a tensor for each axis."""
    if as_tuple:
        return tuple([_from_array(i) for i in np.nonzero(np.atleast_1d(input.array))])
    return _from_array(np.argwhere(input.array))


def argwhere(input: Tensor) -> Tensor:
    """The places of elements that are not 0, a row each."""
    return nonzero(input)


class Where(Function):
    """y = a where the condition holds, else b.   da = dy there, db = dy elsewhere"""

    def forward(self, condition, a, b):
        self.condition = condition
        return np.where(condition, a, b)

    def backward(self, dy):
        return None, np.where(self.condition, dy, 0), np.where(self.condition, 0, dy)

    def derivative(self, dy):
        return None, MaskedFill.apply(dy, 0, ~self.condition), MaskedFill.apply(dy, 0, self.condition)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """input where the boolean condition holds, else other; without them, where the condition is not 0."""
    if input is None:
        return nonzero(condition, as_tuple=True)
    mask = np.asarray(condition)
    if mask.dtype not in (bool, np.uint8):
        raise TypeError(f"where needs a boolean condition, got {mask.dtype}")
    return Where.apply(mask.astype(bool, copy=False), *operands(input, other))


__all__ += ["where"]
