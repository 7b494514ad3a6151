"""In-place operations on tensors of the graph: one mechanism for all of them.

An in-place operation is the operation, then the copy home: it runs as ever, its result is written into the
tensor's memory, and the tensor's node is from then on the result's.  Two things need care.

What was saved.  A function that ran before and saved a value in this memory would now compute a wrong
gradient; it finds that out in backward, from the time of the change (``npnn.memory``).  The operation
itself may have saved the tensor's old values: it gets a copy of them.

Views.  A change through a view changes the base.  The base gets a node of two inputs, its old self and
the view: backward sends the gradient with the cut region zeroed to the one, the region to the other.
Other views of the base are cut anew at their next use (``Cut.refresh``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from npnn import dtypes, memory
from npnn.cast import cast
from npnn.function import Function
from npnn.modes import clock, mode
from npnn.tensor import Tensor, of_array
from npnn.views import Cut

__all__ = ["Replaced", "cut_anew", "in_place", "overwrite", "refuse_leaf"]


class _Region:
    """Where a view lies in its base: for any array of the base's shape, the same elements.

    Both are looked at as one flat stretch of memory in the base's order, so that it does not matter by
    which operations the view was cut.
    """

    def __init__(self, base: NDArray[Any], view: NDArray[Any]):
        size = base.itemsize
        self.base_shape, self.base_strides = base.shape, tuple(s // size for s in base.strides)
        self.shape, self.strides = view.shape, tuple(s // size for s in view.strides)
        low, high = _extent(self.base_shape, self.base_strides)
        distance = (_address(view) - _address(base)) // size
        self.start, self.length = -low, high - low + 1  # of the base's first element, and of the stretch
        self.offset = self.start + distance

    def room(self, dtype: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """A stretch of zeros, seen as the base and as the view."""
        flat = np.zeros(max(self.length, 1), dtype)
        size = flat.itemsize
        base = as_strided(flat[self.start :], self.base_shape, [s * size for s in self.base_strides])
        view = as_strided(flat[self.offset :], self.shape, [s * size for s in self.strides])
        return flat, base, view

    def spread(self, dy: NDArray[Any]) -> NDArray[Any]:
        """The view's gradient as the base's: 0 elsewhere, added up where the view shows an element twice."""
        flat, base, view = self.room(dy.dtype)
        repeated = any(n > 1 and s == 0 for n, s in zip(self.shape, self.strides, strict=True))
        if repeated or _overlaps(self.shape, self.strides):
            places = as_strided(np.arange(flat.size)[self.offset :], self.shape, [s * 8 for s in self.strides])
            np.add.at(flat, places, dy)
        else:
            view[...] = dy
        return base

    def split(self, dy: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The base's gradient as two: without the region, and of the region."""
        _, base, view = self.room(dy.dtype)
        base[...] = dy
        region = view.copy()
        view[...] = 0
        return base, region


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _extent(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, int]:
    """The lowest and the highest place of an element, counted from the first."""
    spans = [(n - 1) * s for n, s in zip(shape, strides, strict=True) if n]
    return sum(min(s, 0) for s in spans), sum(max(s, 0) for s in spans)


def _overlaps(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """True if two indices may show one element (never wrong when it says no)."""
    reach = 0
    for stride, n in sorted((abs(s), n) for n, s in zip(shape, strides, strict=True) if n > 1):
        if stride <= reach:
            return True
        reach += stride * (n - 1)
    return False


class AsStrided(Function):
    """y = a view of x, given by where it lies.   dx = dy in its place, 0 elsewhere"""

    def forward(self, x: NDArray[Any], view: NDArray[Any]) -> NDArray[Any]:
        self.region = _Region(x, view)
        return view

    def backward(self, dy: NDArray[Any]) -> Any:
        return self.region.spread(dy), None

    def again(self, v: NDArray[Any]) -> NDArray[Any]:
        return self.region.split(v)[1]


class CopySlices(Function):
    """y = the base x with v in the place of a region.   dx = dy with the region zeroed, dv = dy in the region"""

    def forward(self, x: NDArray[Any], v: NDArray[Any], view: NDArray[Any]) -> NDArray[Any]:
        self.region = _Region(x, view)
        return x

    def backward(self, dy: NDArray[Any]) -> Any:
        return (*self.region.split(dy), None)

    def derivative(self: Any, dy: Tensor) -> Any:
        return *Split.apply(dy, self.region), None


class Split(Function):
    """y and z = x without a region, and the region alone.   dx = dy with the region zeroed, and dz in it"""

    def forward(self, x: NDArray[Any], region: _Region) -> Any:
        self.region = region
        return region.split(x)

    def backward(self, dy: NDArray[Any] | None, dz: NDArray[Any] | None) -> Any:
        parts = [] if dy is None else [self.region.split(dy)[0]]
        parts += [] if dz is None else [self.region.spread(dz)]
        return sum(parts[1:], parts[0]), None

    def derivative(self: Any, dy: Tensor | None, dz: Tensor | None) -> Any:
        parts = [] if dy is None else [Split.apply(dy, self.region)[0]]
        parts += [] if dz is None else [Laid.apply(dz, self.region)]
        return sum(parts[1:], parts[0]), None


class Laid(Function):
    """y = zeros but for x in the region.   dx = dy there"""

    def forward(self, x: NDArray[Any], region: _Region) -> NDArray[Any]:
        self.region = region
        return region.spread(x)

    def backward(self, dy: NDArray[Any]) -> Any:
        return self.region.split(dy)[1], None

    def again(self, v: NDArray[Any]) -> NDArray[Any]:
        return self.region.spread(v)


class Overwritten(Function):
    """y = other values, whatever x was.   dx = 0"""

    def forward(self, x: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
        self.shape = x.shape
        return values

    def backward(self, dy: NDArray[Any]) -> Any:
        return np.zeros(self.shape, dy.dtype), None

    derivative = backward


class Replaced(Function):
    """y = v, cast and broadcast to the shape of x, which it takes the place of.   dx = 0, dv = dy"""

    def forward(self, x: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
        self.shape = x.shape
        y = np.empty_like(x)
        np.copyto(y, v, casting="unsafe")
        return y

    def backward(self, dy: NDArray[Any]) -> Any:
        return np.zeros(self.shape, dy.dtype), dy

    derivative = backward


def cut_anew(base: Tensor, view: Tensor) -> None:
    """Give the view, whose base was changed in place, a node that cuts it from the base as it is now."""
    before, mode.enabled = mode.enabled, True
    try:
        fresh = AsStrided.apply(base, view.array)
    finally:
        mode.enabled = before
    view._node, view._requires_grad = fresh._node, fresh._requires_grad


Cut.cut_anew = staticmethod(cut_anew)


def refuse_leaf(tensor: Tensor) -> None:
    """Errors: RuntimeError if a recorded change of this tensor could not be differentiated, as in torch."""
    tensor._current()
    cut = tensor._view
    if tensor._requires_grad and tensor._node is None and (cut is None or cut.base is None):
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation: "
            "to change a weight by hand, do it inside `with no_grad():`"
        )
    if cut is None or cut.base is None:
        return
    if cut.base._requires_grad and cut.base._node is None:
        raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    if not cut.recorded:
        raise RuntimeError("A view was created in no_grad mode and is being modified inplace with grad mode enabled")
    if cut.several:
        raise RuntimeError(
            "a view that is one of several outputs of a function (split, chunk, unbind) is being modified "
            "inplace: such views cannot be changed in the graph; cut it with an index instead"
        )


def in_place(name: str, operation: Callable[..., Tensor], tensor: Tensor, *args: Any, **options: Any) -> Tensor:
    """tensor ← operation(tensor, ...), in the tensor's memory, and in the graph if one is recorded.

    Errors: RuntimeError for a result of another shape, or of a dtype that does not go into the tensor's, for a
    leaf that needs a gradient, and for memory in which elements lie twice (an expanded tensor).
    """
    time = next(clock)  # before the operation runs: what it saves is not what it spoils
    result = operation(tensor, *args, **options)
    if result is tensor:
        return tensor
    return overwrite(name, tensor, result, time)


def overwrite(name: str, tensor: Tensor, result: Tensor, time: int | None = None) -> Tensor:
    """tensor ← result, as the last step of the in-place operation ``name``, which began at ``time``."""
    alone = tensor._view is None and _seen_by_nobody_else(tensor)
    target, values = tensor.array, result.array
    if values.shape != target.shape:
        raise RuntimeError(
            f"output with shape {list(target.shape)} doesn't match the broadcast shape {list(values.shape)}"
        )
    if values.dtype != target.dtype:
        if "biuf".index(values.dtype.kind) > _HOLDS[target.dtype.kind]:
            kinds = dtypes.OF[values.dtype], dtypes.OF[target.dtype]
            raise RuntimeError(f"result type {kinds[0]} can't be cast to the desired output type {kinds[1]}")
        result = cast(result, target.dtype)
        values = result.array
    recorded = mode.enabled and (tensor.requires_grad or result._requires_grad)
    if recorded:
        refuse_leaf(tensor)
        if not result._requires_grad:
            result = Overwritten.apply(tensor, values)
    if target.size > 1 and _overlaps(target.shape, target.strides):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory "
            "location. Please clone() the tensor before performing the operation."
        )
    if time is None:
        time = next(clock)
    if alone and result._view is None and values.strides == target.strides:
        tensor.array = values  # nobody can tell: the memory changes hands, and nothing is copied
        if recorded:
            _new_history(tensor, result)
        return tensor
    if recorded:
        _keep_old_values(result._node, time, target, values)
    if values is not target:
        if np.may_share_memory(values, target):
            values = values.copy()
        target[...] = values
    if tensor._view is None or tensor._view.watched:
        memory.note(target, time, name)
    if recorded:
        _new_history(tensor, result)
    return tensor


def _seen_by_nobody_else(tensor: Tensor) -> bool:
    """True if no other tensor, function or variable holds this tensor's memory."""
    if sys.getrefcount(tensor.array) > _ALONE:
        return False
    base = tensor.array.base
    return base is None or (
        isinstance(base, np.ndarray) and base.base is None and sys.getrefcount(tensor.array.base) + 1 <= _ALONE_BASE
    )


_lone, _lone_view = of_array(np.empty(1)), of_array(np.empty((2, 2)).transpose(1, 0))
_ALONE = sys.getrefcount(_lone.array)  # what the count is for an array that only its tensor holds


def _count_of_base(tensor: Tensor) -> int:
    base = tensor.array.base
    return sys.getrefcount(tensor.array.base) + (base is None)


_ALONE_BASE = _count_of_base(_lone_view) + 1

_HOLDS = {"b": 0, "i": 2, "u": 2, "f": 3}  # the highest of "biuf" that goes into a kind without asking


def _keep_old_values(node: Any, time: int, target: NDArray[Any], values: NDArray[Any]) -> None:
    """Let the functions that ran since ``time`` keep what they saved: a copy of old values, the new ones in place."""
    home = memory.owner(target)

    def kept(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if value is values:
                return target
            return value.copy("K") if memory.owner(value) is home else value
        if type(value) in (tuple, list):
            return type(value)([kept(v) for v in value])
        return value

    waiting, seen = [node], set()
    while waiting:
        source = waiting.pop()
        if type(source) is not tuple or source[0].order < time or id(source[0]) in seen:
            continue
        function = source[0]
        seen.add(id(function))
        saved = function.__dict__
        for key, value in saved.items():
            saved[key] = kept(value)
        waiting.extend(function.inputs)


def _new_history(tensor: Tensor, result: Tensor) -> None:
    """The tensor, and its base if it is a view, come from the result from now on."""
    cut = tensor._view
    if cut is None or cut.base is None:
        tensor._node, tensor._requires_grad = result._node, True
        return
    base = cut.base
    rebased = CopySlices.apply(base, result, tensor.array)
    base._node, base._requires_grad = rebased._node, True
    cut.refresh(tensor)
