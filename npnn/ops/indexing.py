"""Picking elements: slices, integer arrays, boolean masks; and putting elements where they were picked."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.engine import mode
from npnn.errors import DtypeError, ShapeError
from npnn.inplace import Replaced, in_place
from npnn.kernels.scatter import add_at
from npnn.ops.promotion import cast, operands
from npnn.ops.shape import axis_of
from npnn.tensor import Function, Tensor, View, _from_array, of_array

__all__ = [
    "argwhere", "gather", "getitem", "index_add", "index_copy", "index_fill", "index_put", "index_select",
    "masked_fill", "masked_scatter", "masked_select", "nonzero", "repeat_interleave", "scatter", "scatter_add",
    "scatter_reduce", "setitem", "take", "take_along_dim",
]  # fmt: skip


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
        dx = np.zeros(self.shape, dy.dtype)
        parts = self.index if isinstance(self.index, tuple) else (self.index,)
        if any(isinstance(p, (np.ndarray, list)) and np.asarray(p).dtype != bool for p in parts):
            add_at(dx, self.index, dy)
        else:  # slices and masks pick no element twice
            dx[self.index] = dy
        return dx, None


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


class Gather(Function):
    """y[i][j] = x[index[i][j]][j] for dim 0, and so on.   dx[index[i][j]][j] += dy[i][j]"""

    def forward(self, x, index, dim):
        self.shape, self.at = x.shape, _places(index, dim)
        return x[self.at]

    def backward(self, dy):
        dx = np.zeros(self.shape, dy.dtype)
        add_at(dx, self.at, dy)
        return dx, None, None


class MaskedFill(Function):
    """y = v where the mask holds, else x.   dx = 0 where the mask holds, else dy; dv = the sum of dy where it holds"""

    def forward(self, x, v, mask):
        self.mask = mask
        return np.where(mask, v, x)

    def backward(self, dy):
        dv = np.where(self.mask, dy, 0).sum() if self.needs_grad[1] else None
        return np.where(self.mask, 0, dy), dv, None


def _places(index: Any, dim: int) -> tuple[Any, ...]:
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


def _checked(name: str, input: Tensor, dim: int, index: Any) -> tuple[Any, int]:
    """An index along an axis, and the axis.  Errors: ShapeError, IndexError for one that does not fit."""
    picked = np.asarray(index.array if isinstance(index, Tensor) else index)
    ndim = max(input.array.ndim, 1)
    if not picked.size:  # nothing is asked for: it need not fit
        return picked, axis_of(dim, ndim)
    if max(picked.ndim, 1) != ndim:
        raise ShapeError(f"{name} needs an index with {ndim} axes, got {picked.ndim}")
    axis = axis_of(dim, ndim)
    n = input.array.shape[axis] if input.array.ndim else 1
    if picked.size and (picked.min() < 0 or picked.max() >= n):
        raise IndexError(f"{name}: indices must lie in 0 to {n - 1}, got {picked.min()} to {picked.max()}")
    return picked, axis


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """The elements of ``input`` that ``index`` names along ``dim``; the result has index's shape.

    Errors: ShapeError unless both have as many axes; IndexError for an index out of range.
    """
    picked, axis = _checked("gather", input, dim, index)
    if not picked.size:
        return (input.reshape(-1)[:0]).reshape(picked.shape)
    if not input.array.ndim or not picked.ndim:
        return Gather.apply(input.reshape(-1), picked.reshape(-1), 0).reshape(picked.shape)
    return Gather.apply(input, picked, axis)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """gather, with both broadcast against each other in the other axes; in one row without ``dim``."""
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    axis = axis_of(dim, input.array.ndim)
    if indices.array.dtype.kind not in "iu" or indices.array.ndim != input.array.ndim:
        raise RuntimeError("take_along_dim needs int64 indices with as many axes as the input")
    shape = [max(n, m) if 1 in (n, m) else n for n, m in zip(input.array.shape, indices.array.shape, strict=True)]
    wide = [input.array.shape[a] if a == axis else n for a, n in enumerate(shape)]
    asked = [indices.array.shape[a] if a == axis else n for a, n in enumerate(shape)]
    n = input.array.shape[axis]
    counted = _from_array(np.where(indices.array < 0, indices.array + n, indices.array))  # from the end, as Python does
    return gather(input.expand(wide), axis, counted.expand(asked))


def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at places of the tensor read as one row."""
    return input.reshape(-1)[index.reshape(-1)].reshape(index.array.shape)


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices along ``dim`` that the 1-D ``index`` names, in its order.   Errors: IndexError for another index."""
    ndim = input.array.ndim
    axis, picked = axis_of(dim, max(ndim, 1)), np.asarray(index.array)
    n = input.array.shape[axis] if ndim else 1
    if picked.ndim > 1 or (picked.size and not 0 <= picked.min() <= picked.max() < n):
        raise IndexError(f"index_select: expected a row of indices from 0 to {n - 1}, got {picked}")
    if not ndim:
        return getitem(input.reshape(1), picked.reshape(-1)).reshape(())
    return getitem(input, (*(slice(None),) * axis, picked.reshape(-1)))


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """input with ``value`` where the boolean ``mask`` holds.

    Errors: DtypeError for a mask that is not boolean; RuntimeError for a value that is a tensor with axes, or of a
    kind that does not go into the input's dtype.
    """
    if mask.array.dtype != bool:
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
    return MaskedFill.apply(input, value, np.asarray(mask.array))


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


class ScatterInto(Function):
    """y = x but for y[index[i][j]][j] = v[i][j] for dim 0 (and so on), or += v.   dx, dv as for Put"""

    def forward(self, x, v, index, dim, add):
        self.at, self.add = _places(index, dim), add
        self.v_shape = np.shape(v)
        y = x.copy("K")
        cut = v[tuple(slice(n) for n in index.shape)] if np.ndim(v) else v
        if add:
            add_at(y, self.at, cut)
        else:
            y[self.at] = cut
        return y

    def backward(self, dy):
        dx, dv = dy, None
        if not self.add:
            dx = dy.copy("K")
            dx[self.at] = 0
        if self.needs_grad[1]:
            dv = np.zeros(self.v_shape, dy.dtype)
            picked = dy[self.at]
            dv[tuple(slice(n) for n in picked.shape)] = picked
        return dx, dv, None, None, None


def _scattered(input: Tensor, dim: int, index: Tensor, src: Any, add: bool) -> Tensor:
    picked, axis = _checked("scatter", input, dim, index)
    if isinstance(src, Tensor):
        if src.array.dtype != input.array.dtype:
            raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
        if src.array.ndim != picked.ndim or any(n > m for n, m in zip(picked.shape, src.array.shape, strict=True)):
            raise RuntimeError(f"scatter: the index of {picked.shape} is larger than the source {src.array.shape}")
    if not picked.size:
        return input.clone()
    if not input.array.ndim:
        flat = src.reshape(-1) if isinstance(src, Tensor) else src
        return ScatterInto.apply(input.reshape(1), flat, picked.reshape(-1), 0, add).reshape(())
    return ScatterInto.apply(input, src, picked, axis, add)


def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """input with the elements of ``src`` (a tensor or a number) at the places that ``index`` names along ``dim``."""
    src = value if src is None else src
    if reduce == "add":
        return _scattered(input, dim, index, src, True)
    if reduce == "multiply":
        return scatter_reduce(input, dim, index, src, "prod")
    return _scattered(input, dim, index, src, False)


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """input with the elements of ``src`` added at the places that ``index`` names along ``dim``."""
    return _scattered(input, dim, index, src, True)


def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Any, reduce: str, *, include_self: bool = True
) -> Tensor:
    """input reduced with the elements of ``src`` at their places: sum, prod, mean, amax or amin."""
    if reduce == "sum" and include_self:
        return _scattered(input, dim, index, src, True)
    ufuncs = {"sum": np.add, "mean": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}
    if reduce not in ufuncs:
        raise RuntimeError(f"reduce argument must be one of {', '.join(ufuncs)}, got {reduce}")
    if mode.enabled and (input.requires_grad or (isinstance(src, Tensor) and src.requires_grad)):
        raise NotImplementedError(f"scatter_reduce with {reduce!r} has no gradient here: use scatter_add")
    picked, axis = _checked("scatter_reduce", input, dim, index)
    out, at = input.array.copy(), _places(picked, axis)
    if not include_self:
        start = {"sum": 0, "mean": 0, "prod": 1}.get(reduce)
        if start is None:
            lowest = reduce == "amax"
            info = np.finfo(out.dtype) if out.dtype.kind == "f" else np.iinfo(out.dtype)
            start = info.min if lowest else info.max
        out[at] = start
    values = src.array[tuple(slice(n) for n in picked.shape)] if isinstance(src, Tensor) else src
    ufuncs[reduce].at(out, at, values)
    if reduce == "mean":
        count = np.full(out.shape, 1 if include_self else 0)
        if not include_self:
            touched = np.zeros(out.shape, bool)
            touched[at] = True
            count[~touched] = 1
        np.add.at(count, at, 1)
        out = out / count if out.dtype.kind == "f" else out // count
    return _from_array(out)


def _along(input: Tensor, dim: int, index: Tensor) -> tuple[Any, ...]:
    axis = axis_of(dim, max(input.array.ndim, 1))
    return (*(slice(None),) * axis, np.asarray(index.array).reshape(-1))


def _row(x: Tensor) -> Tensor:
    return x if x.array.ndim else x.reshape(1)


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """input with the slices of ``source`` (times alpha) added at the places that ``index`` names along ``dim``."""
    v = source if alpha == 1 else source * alpha
    return Put.apply(_row(input), _row(v), _along(input, dim, index), True).reshape(input.array.shape)


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """input with the slices of ``source`` at the places that ``index`` names along ``dim``."""
    return Put.apply(_row(input), _row(source), _along(input, dim, index), False).reshape(input.array.shape)


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """input with one value in the slices that ``index`` names along ``dim``."""
    v = cast(value, input.array.dtype) if isinstance(value, Tensor) else input.array.dtype.type(value)
    return Put.apply(_row(input), v, _along(input, dim, index), False).reshape(input.array.shape)


def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None, *, output_size: Any = None) -> Tensor:
    """Each slice along an axis so many times in a row; each element, in one row, without ``dim``."""
    if dim is None:
        input, dim = input.reshape(-1), 0
    axis = axis_of(dim, input.array.ndim)
    times = repeats.array if isinstance(repeats, Tensor) else repeats
    return index_select(input, axis, _from_array(np.repeat(np.arange(input.array.shape[axis]), times)))


class Where(Function):
    """y = a where the condition holds, else b.   da = dy there, db = dy elsewhere"""

    def forward(self, condition, a, b):
        self.condition = condition
        return np.where(condition, a, b)

    def backward(self, dy):
        return None, np.where(self.condition, dy, 0), np.where(self.condition, 0, dy)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """input where the boolean condition holds, else other; without them, where the condition is not 0."""
    if input is None:
        return nonzero(condition, as_tuple=True)
    mask = np.asarray(condition)
    if mask.dtype not in (bool, np.uint8):
        raise TypeError(f"where needs a boolean condition, got {mask.dtype}")
    return Where.apply(mask.astype(bool, copy=False), *operands(input, other))


__all__ += ["where"]
