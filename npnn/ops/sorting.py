"""Order: sorting, the largest k, medians, unique values, counts.  Values carry their gradient back to where they lay."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.function import Function
from npnn.kernels.ranking import first_places
from npnn.kernels.scan import running_extreme
from npnn.kernels.scatter import add_along, take_along
from npnn.ops.gathering import Gather
from npnn.ops.returned import ValuesAndIndices, named
from npnn.ops.shape import axis_of
from npnn.tensor import Tensor, _from_array

__all__ = [
    "argsort", "bincount", "bucketize", "cummax", "cummin", "histc", "kthvalue", "median", "mode", "msort", "nanmedian",
    "searchsorted", "sort", "topk", "unique", "unique_consecutive",
]  # fmt: skip


def _picked(input: Tensor, indices: Any, axis: int) -> ValuesAndIndices:
    return ValuesAndIndices(Gather.apply(input, indices, axis), _from_array(indices.astype(np.int64, copy=False)))


def _along_rows(x: NDArray[Any], axis: int, k: int, descending: bool) -> NDArray[Any]:
    """Where the first k of the order along an axis are."""
    rows = np.moveaxis(x, axis, -1)
    places = first_places(rows.reshape(math.prod(rows.shape[:-1]), rows.shape[-1]), k, descending)
    return np.moveaxis(places.reshape(*rows.shape[:-1], places.shape[-1]), -1, axis)


@named
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> ValuesAndIndices:
    """The elements in order along an axis, and where each was; equal ones keep their order."""
    if not input.array.ndim:
        axis_of(dim, 1)
        return ValuesAndIndices(input.clone(), _from_array(np.zeros((), np.int64)))
    axis = axis_of(dim, input.array.ndim)
    x = input.array
    return _picked(input, _along_rows(x, axis, x.shape[axis], descending), axis)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """Where the elements of the sorted tensor are in this one."""
    return sort(input, dim, descending).indices


def msort(input: Tensor) -> Tensor:
    """The elements in order along the first axis."""
    return sort(input, 0).values


@named
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesAndIndices:
    """The k largest (or smallest) elements along an axis, in order, and where they are.

    Errors: RuntimeError for a k that is negative or larger than the axis.
    """
    ndim = input.array.ndim
    axis = axis_of(dim, max(ndim, 1))
    n = input.array.shape[axis] if ndim else 1
    if not 0 <= k <= n:
        raise RuntimeError(f"selected index k out of range: topk of {k} along an axis of {n}")
    if not ndim:
        return ValuesAndIndices(*sort(input))
    x = input.array
    return _picked(input, _along_rows(x, axis, k, largest), axis)


@named
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """The k-th smallest element along an axis, counted from 1, and where it is."""
    axis = axis_of(dim, max(input.array.ndim, 1))
    if not 1 <= k <= (input.array.shape[axis] if input.array.ndim else 1):
        raise RuntimeError(f"selected number k out of range for dimension {axis}")
    return _one(*sort(input, dim), k - 1, axis, keepdim)


def _one(values: Tensor, indices: Tensor, at: int, axis: int, keepdim: bool) -> ValuesAndIndices:
    """Element ``at`` of every row."""
    if not values.array.ndim:
        return ValuesAndIndices(values, indices)
    chosen = values.narrow(axis, at, 1), indices.narrow(axis, at, 1)
    return ValuesAndIndices(*(chosen if keepdim else [t.squeeze(axis) for t in chosen]))


@named
def median(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The middle of the elements, the lower one of two; over an axis, with where it is.  nan if one is nan."""
    if dim is None:
        flat = input.reshape(-1)
        if not flat.numel():
            return _from_array(np.array(np.nan, input.array.dtype))
        return _median(flat, 0, False, False).values
    return _median(input, axis_of(dim, max(input.array.ndim, 1)), keepdim, False)


@named
def nanmedian(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The median of the elements that are not nan."""
    if dim is None:
        return _median(input.reshape(-1), 0, False, True).values
    return _median(input, axis_of(dim, max(input.array.ndim, 1)), keepdim, True)


def _median(input: Tensor, axis: int, keepdim: bool, skip: bool) -> ValuesAndIndices:
    if not input.array.ndim:
        return ValuesAndIndices(*sort(input))
    x = input.array
    n = x.shape[axis]
    missing = np.isnan(x).sum(axis, keepdims=True) if x.dtype.kind == "f" else np.zeros(1, int)
    if n and not missing.any():
        found = _picked(input, _at_rank(x, (n - 1) // 2, axis), axis)
        return found if keepdim else ValuesAndIndices(*[t.squeeze(axis) for t in found])
    order = np.argsort(x, axis=axis, kind="stable")
    middle = (n - missing - 1) // 2 if skip else np.where(missing > 0, n - missing, (n - 1) // 2)
    middle = np.broadcast_to(np.clip(middle, 0, n - 1), [1 if a == axis else m for a, m in enumerate(x.shape)])
    found = _picked(input, np.take_along_axis(order, middle, axis), axis)
    return found if keepdim else ValuesAndIndices(*[t.squeeze(axis) for t in found])


def _at_rank(x: NDArray[Any], rank: int, axis: int) -> NDArray[Any]:
    """Where the element is that sorting would put at ``rank``, of equal ones in their order; without sorting."""
    value = np.partition(x, rank, axis=axis).take([rank], axis)
    equal, below = x == value, (x < value).sum(axis, keepdims=True)
    return (np.cumsum(equal, axis=axis) > rank - below).argmax(axis=axis, keepdims=True)


@named
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """The commonest element along an axis, the smallest of equally common ones, and the last place of it."""
    if not input.array.ndim:
        return ValuesAndIndices(*sort(input))
    axis = axis_of(dim, input.array.ndim)

    def last_of_commonest(row: Any) -> int:
        values, counts = np.unique(row, return_counts=True)
        return int(np.flatnonzero(row == values[np.argmax(counts)])[-1])

    where = np.expand_dims(np.apply_along_axis(last_of_commonest, axis, input.array), axis)
    found = _picked(input, where, axis)
    return found if keepdim else ValuesAndIndices(*[t.squeeze(axis) for t in found])


class RunningExtreme(Function):
    """y = the largest (or smallest) x so far along an axis, and where it is.   dx = dy added up at these places"""

    def forward(self, x, dim, largest):
        y, self.places = running_extreme(x, dim, largest)
        self.shape, self.dim = x.shape, dim
        return y, self.places

    def backward(self, dy, _):
        return add_along(self.shape, self.places, dy, self.dim), None, None

    def again(self, v):
        return take_along(v, self.places, self.dim)


def _running(input: Tensor, dim: int, largest: bool) -> ValuesAndIndices:
    if not input.array.ndim:
        return ValuesAndIndices(input.clone(), _from_array(np.zeros((), np.int64)))
    return ValuesAndIndices(*RunningExtreme.apply(input, axis_of(dim, input.array.ndim), largest))


@named
def cummax(input: Tensor, dim: int) -> ValuesAndIndices:
    """The largest element so far along an axis, and where it is (the last of equal ones)."""
    return _running(input, dim, True)


@named
def cummin(input: Tensor, dim: int) -> ValuesAndIndices:
    """The smallest element so far along an axis, and where it is (the last of equal ones)."""
    return _running(input, dim, False)


def _unique_results(parts: Any, return_inverse: bool, return_counts: bool) -> Any:
    wanted = [parts[0]] + [p for p, w in zip(parts[1:], (return_inverse, return_counts), strict=True) if w]
    tensors = [_from_array(p) for p in wanted]
    return tensors[0] if len(tensors) == 1 else tuple(tensors)


def unique(
    input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: Any = None
) -> Any:
    """The different elements (or slices along ``dim``) in order; which of them each is; how often each occurs."""
    values, inverse, counts = np.unique(input.array, return_inverse=True, return_counts=True, axis=dim)
    shape = input.array.shape if dim is None else (input.array.shape[dim],)
    return _unique_results((values, inverse.reshape(shape), counts), return_inverse, return_counts)


def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: Any = None
) -> Any:
    """The elements (or slices along ``dim``) without repetitions of the one before."""
    x = input.array.reshape(-1) if dim is None else np.moveaxis(input.array, dim, 0)
    rows = x.reshape(len(x), -1)
    new = np.ones(len(x), bool)
    new[1:] = (rows[1:] != rows[:-1]).any(1)
    starts = np.flatnonzero(new)
    values = x[starts] if dim is None else np.moveaxis(x[starts], 0, dim)
    inverse = np.cumsum(new) - 1
    shape = input.array.shape if dim is None else (len(x),)
    return _unique_results(
        (values, inverse.reshape(shape), np.diff(np.append(starts, len(x)))), return_inverse, return_counts
    )


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each whole number from 0 on occurs, or the sum of its weights.   Errors: RuntimeError unless 1-D, >= 0."""
    x = input.array
    if x.ndim != 1 or x.dtype.kind not in "iub" or (x.size and x.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    counts = np.bincount(x.astype(np.int64), None if weights is None else weights.array, minlength)
    return _from_array(counts if weights is None else counts.astype(weights.array.dtype))


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of ``bins`` equal intervals from min to max (of the elements, where both are equal)."""
    x = input.array
    if min == max and x.size:
        min, max = float(x.min()), float(x.max())
        if min == max:
            min, max = min - 1, max + 1
    if min > max:
        raise RuntimeError("histc: max must be larger than min")
    return _from_array(np.histogram(x, bins, (min, max))[0].astype(x.dtype))


def searchsorted(
    sorted_sequence: Tensor, input: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None
) -> Tensor:
    """Where each value would have to be put into the sorted rows: before equal ones, or behind them if ``right``."""
    edges = sorted_sequence.array
    values = np.asarray(input.array if isinstance(input, Tensor) else input)
    side = side or ("right" if right else "left")
    if edges.ndim == 1:
        found = np.searchsorted(edges, values, side)  # type: ignore[call-overload]
    else:
        rows = zip(edges.reshape(-1, edges.shape[-1]), values.reshape(-1, values.shape[-1]), strict=True)
        found = np.stack([np.searchsorted(e, v, side) for e, v in rows]).reshape(values.shape)  # type: ignore[call-overload]
    return _from_array(np.asarray(found).astype(np.int32 if out_int32 else np.int64))


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """In which interval between the boundaries each value lies."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
