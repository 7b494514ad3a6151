"""Taking from places, and adding to places that may be named more than once:   out[index] += values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels._jit import jit, kernel

__all__ = ["add_along", "add_at", "take_along", "three_axes"]

Array = NDArray[Any]


@kernel
def add_at(out: Array, index: Any, values: Array) -> None:
    """out[index] += values, adding up where a place is named twice; the index is one of NumPy's, values broadcast."""
    np.add.at(out, index, values)


@add_at.fast
def add_at(out: Array, index: Any, values: Array) -> None:
    rows = _rows(out, index)
    if rows is None or np.result_type(values) != out.dtype:
        return add_at.reference(out, index, values)
    places, before, picked, after = rows
    wanted = np.broadcast_to(values, (*before, *picked, *after))
    shape = math.prod(before), places.size, math.prod(after)
    target = out.reshape(shape[0], out.size // max(shape[0] * shape[2], 1), shape[2])  # a view: out is contiguous
    return _add_rows(target, places, np.ascontiguousarray(wanted).reshape(shape))


def _rows(out: Array, index: Any) -> Any:
    """An index that names rows by whole numbers: the rows' numbers, and the axes before, picked from and after.

    None for what has slices between, masks, new axes, places that are not there, or an array that is not plain.
    """
    parts = index if isinstance(index, tuple) else (index,)
    start = 0
    while start < len(parts) and isinstance(parts[start], slice) and parts[start] == slice(None):
        start += 1
    named: list[Any] = [
        np.asarray(p) if isinstance(p, (np.ndarray, list, int, np.integer)) else None for p in parts[start:]
    ]
    plain = out.dtype.kind == "f" and out.flags.c_contiguous and out.size
    if not plain or not named or any(p is None or p.dtype.kind not in "iu" for p in named):
        return None
    sizes = out.shape[start : start + len(named)]
    if len(sizes) < len(named) or all(p.ndim == 0 for p in named):
        return None
    flat: Any = 0
    for p, n in zip(named, sizes, strict=True):
        if p.size and not (-n <= p.min() and p.max() < n):
            return None
        flat = flat * n + np.where(p < 0, p + n, p)
    return flat.astype(np.int64, copy=False).ravel(), out.shape[:start], flat.shape, out.shape[start + len(named) :]


@jit
def _add_rows(out, places, values):  # type: ignore[no-untyped-def]
    """out[a, places[r]] += values[a, r]   (A, R', B), (R,), (A, R, B)"""
    for a in range(values.shape[0]):
        for r in range(values.shape[1]):
            target, source = out[a, places[r]], values[a, r]
            for b in range(source.size):
                target[b] += source[b]


def three_axes(a: Array, axis: int) -> Array:
    """(axes before, the axis, axes after), in the order of the indices."""
    shape = a.shape
    return np.ascontiguousarray(a).reshape(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))


@kernel
def take_along(x: Array, index: Array, axis: int) -> Array:
    """y[a, k, b] = x[a, index[a, k, b], b]: along one axis; the others have the same lengths.   index >= 0"""
    return np.take_along_axis(x, index, axis)


@take_along.fast
def take_along(x: Array, index: Array, axis: int) -> Array:
    if x.itemsize not in (4, 8) or not index.size or x.dtype.kind not in "fi":
        return take_along.reference(x, index, axis)
    y = np.empty(index.shape, x.dtype)
    places = three_axes(index.astype(np.int64, copy=False), axis)
    _take_along(three_axes(x, axis), places, y.reshape(places.shape))
    return y


@jit
def _take_along(x, index, y):  # type: ignore[no-untyped-def]
    u = np.uint64
    for a in range(index.shape[0]):
        for k in range(index.shape[1]):
            for b in range(index.shape[2]):
                y[a, k, b] = x[u(a), u(index[a, k, b]), u(b)]


@kernel
def add_along(shape: tuple[int, ...], index: Array, values: Array, axis: int) -> Array:
    """x of zeros with x[a, index[a, k, b], b] += values[a, k, b]: what take_along has the other way.   index >= 0"""
    x = np.zeros(shape, values.dtype)
    at = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    at[axis] = index
    np.add.at(x, tuple(at), values)
    return x


@add_along.fast
def add_along(shape: tuple[int, ...], index: Array, values: Array, axis: int) -> Array:
    if values.dtype.kind != "f" or not index.size:
        return add_along.reference(shape, index, values, axis)
    x = np.zeros(shape, values.dtype)
    _add_along(three_axes(x, axis), three_axes(index.astype(np.int64, copy=False), axis), three_axes(values, axis))
    return x


@jit
def _add_along(x, index, values):  # type: ignore[no-untyped-def]
    u = np.uint64
    for a in range(index.shape[0]):
        if index.shape[2] == 1 and index.shape[1]:  # what goes to one place in a row is added up before it is written
            place, total = index[a, 0, 0], values[a, 0, 0]
            for k in range(1, index.shape[1]):
                i, v = index[a, k, 0], values[a, k, 0]
                if i == place:
                    total += v
                else:
                    x[u(a), u(place), u(0)] += total
                    place, total = i, v
            x[u(a), u(place), u(0)] += total
            continue
        for k in range(index.shape[1]):
            for b in range(index.shape[2]):
                x[u(a), u(index[a, k, b]), u(b)] += values[a, k, b]
