"""Elements picked and put along one axis, by an array of places."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.errors import ShapeError
from npnn.function import Function
from npnn.kernels.scatter import add_along, add_at, take_along
from npnn.modes import mode
from npnn.ops.indexing import Put, getitem, places
from npnn.ops.promotion import cast
from npnn.ops.shape import axis_of
from npnn.tensor import Tensor, _from_array

__all__ = [
    "gather", "index_add", "index_copy", "index_fill", "index_select", "repeat_interleave", "scatter",
    "scatter_add", "scatter_reduce", "take", "take_along_dim",
]  # fmt: skip


class Gather(Function):
    """y[i][j] = x[index[i][j]][j] for dim 0, and so on.   dx[index[i][j]][j] += dy[i][j]"""

    def forward(self, x, index, dim):
        self.shape, self.index, self.dim = x.shape, index, dim
        # index may be shorter than x along the other axes: then the beginning of x is looked at
        self.begin = tuple(slice(None) if a == dim else slice(n) for a, n in enumerate(index.shape))
        return take_along(x[self.begin], index, dim)

    def backward(self, dy):
        part = [n if a == self.dim else m for a, (n, m) in enumerate(zip(self.shape, self.index.shape, strict=True))]
        dx = add_along(tuple(part), self.index, dy, self.dim)
        if dx.shape == self.shape:
            return dx, None, None
        whole = np.zeros(self.shape, dy.dtype)
        whole[self.begin] = dx
        return whole, None, None

    def again(self, v):
        return take_along(v[self.begin], self.index, self.dim)


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


class ScatterInto(Function):
    """y = x but for y[index[i][j]][j] = v[i][j] for dim 0 (and so on), or += v.   dx, dv as for Put"""

    def forward(self, x, v, index, dim, add):
        self.at, self.add = places(index, dim), add
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

    def derivative(self, dy):
        zero = np.zeros((), dy.array.dtype)
        dx = dy if self.add else Put.apply(dy, zero, self.at, False)
        picked = getitem(dy, self.at)
        if picked.array.shape != self.v_shape:
            here = tuple(slice(n) for n in picked.array.shape)
            picked = Put.apply(np.zeros(self.v_shape, dy.array.dtype), picked, here, True)
        return dx, picked, None, None, None


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
    out, at = input.array.copy(), places(picked, axis)
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
