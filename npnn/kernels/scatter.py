"""Adding to places that may be named more than once:   out[index] += values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels._jit import jit, kernel

__all__ = ["add_at"]

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
