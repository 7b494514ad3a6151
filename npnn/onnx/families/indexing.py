"""Picking elements: by slices, by numbers, by arrays of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.nn.embedding import Lookup, embedding
from npnn.onnx.families.shape import LAST
from npnn.onnx.sizes import Value
from npnn.onnx.table import ONNXError, reads, writes
from npnn.ops import gathering, indexing
from npnn.tensor import Tensor, of_array


@writes(indexing.Index)
def _write_index(g: Any, x: Any, index: Any) -> Any:
    """Slices first, which keep the number of axes, then numbers and arrays, last axis first, then new axes."""
    parts = list(index) if isinstance(index, tuple) else [index]
    parts = [np.asarray(part) if isinstance(part, list) else part for part in parts]
    parts = [np.flatnonzero(p) if isinstance(p, np.ndarray) and p.dtype == bool and p.ndim == 1 else p for p in parts]
    _check(parts)
    missing = len(x.shape) - sum(part is not None and part is not Ellipsis for part in parts)
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    at = next(i for i, part in enumerate(parts) if part is Ellipsis)
    parts[at : at + 1] = [slice(None)] * missing
    slices, picks, new, axis, place = [], [], [], 0, 0
    for part in parts:
        if part is None:
            new.append(place)
        elif isinstance(part, slice):
            slices += _bounds(part, x.shape[axis], axis)
        else:
            picks.append((axis, part))
        axis += part is not None
        place += len(part.shape) if isinstance(part, (Value, np.ndarray)) else not isinstance(part, int)
    y = x
    if slices:
        y = g.node("Slice", y, *(np.array(column, np.int64) for column in zip(*slices, strict=True)))
    for axis, part in reversed(picks):
        y = g.node("Gather", y, part if isinstance(part, Value) else np.asarray(part, np.int64), axis=axis)
    return g.node("Unsqueeze", y, np.array(new, np.int64)) if new else y


def _check(parts: list[Any]) -> None:
    """Errors: ONNXError unless there are only slices, numbers, new axes and at most one array of numbers."""
    arrays = [part for part in parts if isinstance(part, (Value, np.ndarray)) and len(part.shape)]
    if len(arrays) > 1:
        raise ONNXError("an index of several arrays has no ONNX operator: use gather")
    for part in parts:
        if isinstance(part, (bool, np.bool_)) or (isinstance(part, (Value, np.ndarray)) and part.dtype == bool):
            raise ONNXError("a mask over several axes, or one that is computed, cannot be an index: use where")
        known = part is None or part is Ellipsis or isinstance(part, (slice, int, Value, np.ndarray))
        if not known or (isinstance(part, (Value, np.ndarray)) and part.dtype.kind not in "iu"):
            raise ONNXError(f"an index that depends on the batch size or is a {type(part).__name__} cannot be written")


def _bounds(part: slice, size: Any, axis: int) -> list[tuple[int, int, int, int]]:
    """(start, stop, axis, step) of a slice that leaves something out."""
    stop = None if part.stop == size else part.stop  # x[:x.shape[0]]
    step = 1 if part.step is None else part.step
    if not all(end is None or isinstance(end, int) for end in (part.start, stop, step)):
        raise ONNXError("a slice whose ends depend on the batch size cannot be written")
    if part.start in (None, 0) and stop is None and step == 1:
        return []
    start = part.start if part.start is not None else 0 if step > 0 else LAST
    return [(start, stop if stop is not None else LAST if step > 0 else -LAST, axis, step)]


@reads("Slice")
def _read_slice(
    x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    index = [slice(None)] * x.ndim
    chosen = range(starts.numel()) if axes is None else axes.tolist()
    strides = [1] * starts.numel() if steps is None else steps.tolist()
    for axis, start, end, step in zip(chosen, starts.tolist(), ends.tolist(), strides, strict=True):
        if step < 0 and end < 0:  # counted from the end, unless it is beyond the beginning
            end = end + x.shape[axis] if end + x.shape[axis] >= 0 else None
        index[axis] = slice(start, end, step)
    return x[tuple(index)]


@writes(Lookup)
def _write_lookup(g: Any, w: Any, index: Any, padding_idx: int | None, averaged: bool = False) -> str:
    if index.dtype not in (np.int32, np.int64):
        index = g.node("Cast", index, to=g.dtype(np.int64))
    return g.node("Gather", w, index)


@reads("Gather")
def _read_gather(x: Tensor, indices: Tensor, *, axis: int) -> Any:
    if axis == 0 and x.ndim == 2 and x.array.dtype.kind == "f" and indices.array.min(initial=0) >= 0:
        return embedding(indices, x)  # its derivative is the faster one
    return x[(slice(None),) * (axis % x.ndim) + (indices.array,)]


@writes(gathering.Gather)
def _write_gather(g: Any, x: Any, index: Any, dim: int) -> str:
    return g.node("GatherElements", x, index, axis=dim)


@reads("GatherElements")
def _read_gather_elements(x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    n = x.shape[axis]
    return gathering.gather(x, axis, of_array(np.where(indices.array < 0, indices.array + n, indices.array)))


@reads("ai.onnx.ml.ArrayFeatureExtractor")
def _read_array_feature_extractor(x: Tensor, indices: Tensor) -> Tensor:
    return (x if x.ndim > 1 else x.reshape(1, -1)).index_select(-1, indices.reshape(-1))
