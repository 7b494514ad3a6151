"""Pooling.  In npnn a table says where each window lies; in ONNX a kernel, a stride and a padding do.

Most tables are of that kind.  Windows of other forms (adaptive pooling) become sums, as products with
matrices of zeros and ones, and maxima of gathered elements.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from npnn.nn.pooling.average_max import AveragePooling, MaxPooling
from npnn.onnx.table import ONNXError, reads, writes
from npnn.ops import extremes, reductions
from npnn.tensor import Tensor

Table = NDArray[Any]  # a row for each window: start, stop and step within the axis


class Windows(NamedTuple):
    """Along one axis: windows of ``kernel`` elements, ``dilation`` apart, in a padded axis, ``stride`` apart."""

    kernel: int
    stride: int
    before: int
    after: int
    dilation: int

    @property
    def span(self) -> int:
        return self.dilation * (self.kernel - 1) + 1

    def starts(self, size: int, ceil_mode: bool = False) -> NDArray[Any]:
        """Where the windows start in an axis of ``size`` elements; before 0 is padding."""
        room = size + self.before + self.after - self.span
        count = (-(-room // self.stride) if ceil_mode else room // self.stride) + 1
        if ceil_mode and (count - 1) * self.stride >= size + self.before:
            count -= 1  # no window lies wholly in the padding at the end
        return np.arange(count) * self.stride - self.before

    def table(self, starts: NDArray[Any], size: int) -> Table:
        """The part of each window that lies within the axis."""
        first = starts + self.dilation * -(np.minimum(starts, 0) // self.dilation)
        stop = np.minimum(starts + self.span, size)
        return np.stack([np.minimum(first, size - 1), stop, np.full(len(starts), self.dilation)], axis=1)


def regular(table: Table, size: int) -> Windows | None:
    """The kernel, stride and padding that give this table, if there are any."""
    start, stop, step = table.T
    dilation = int(step[0])
    inside = -((start - stop) // dilation)  # how many elements of the axis each window has
    kernel = int(inside.max())
    span = dilation * (kernel - 1) + 1
    whole = np.flatnonzero(inside == kernel)
    # Where a window that is cut off at the front would start, follows from where it stops
    starts = np.where((inside < kernel) & (stop < size), stop - span, start)
    stride = int(starts[-1] - starts[0]) // max(len(table) - 1, 1) if len(table) > 1 else 1
    before = -int(starts[0])
    if before < 0 or stride < 1 or not len(whole):
        return None
    after = max((len(table) - 1) * stride - before + span - size, 0)
    found = Windows(kernel, stride, before, after, dilation)
    fits = max(before, after) < kernel and np.array_equal(found.table(found.starts(size), size), table)
    return found if fits else None  # a padding as wide as the kernel is refused by ONNX Runtime


def _attributes(x: Any, tables: Any, dims: int) -> dict[str, Any] | None:
    """A pooling operator's attributes for windows in these tables, None if there are none."""
    if len(x.shape) != dims + 2:
        raise ONNXError("an input without a batch axis cannot be written: give it one with x.unsqueeze(0)")
    found = [regular(table, size) for table, size in zip(tables[2 - dims :], x.shape[2:], strict=True)]
    if None in found:
        return None
    kernel, stride, before, after, dilation = zip(*found, strict=True)  # type: ignore[misc]
    return {"kernel_shape": kernel, "strides": stride, "pads": before + after, "dilations": dilation}


@writes(MaxPooling)
def _write_max(g: Any, x: Any, tables: Any, dims: int, return_indices: bool) -> str:
    if return_indices:
        raise ONNXError("return_indices cannot be written: ONNX counts the indices in another way")
    attributes = _attributes(x, tables, dims)
    if attributes is not None:
        return g.node("MaxPool", x, **attributes)
    for axis, table in enumerate(tables[2 - dims :], 2):
        start, stop, step = (column[:, None] for column in table.T)
        cells = start + step * np.arange((-((start - stop) // step)).max())  # (OUT, K)
        x = g.node("Gather", x, np.where(cells < stop, cells, start), axis=axis)
        x = g.node("ReduceMax", x, np.array([axis + 1]), keepdims=0)
    return x


@writes(AveragePooling)
def _write_average(g: Any, x: Any, tables: Any, scale: NDArray[Any], dims: int) -> str:
    attributes = _attributes(x, tables, dims)
    scale = scale[:, :, 0] if dims == 2 else scale[0, :, 0]
    inside = functools.reduce(np.multiply.outer, [table[:, 1] - table[:, 0] for table in tables[2 - dims :]])
    if attributes is not None:
        if attributes["kernel_shape"] == x.shape[2:] and scale.size == 1 and np.allclose(scale * inside, 1):
            return g.node("GlobalAveragePool", x)
        for padded, counted in ((1, math.prod(attributes["kernel_shape"])), (0, inside)):
            if np.allclose(scale * counted, 1):
                return g.node("AveragePool", x, count_include_pad=padded, **attributes)
    members = [
        (table[:, :1] <= np.arange(size)) & (np.arange(size) < table[:, 1:2])  # (OUT, SIZE)
        for table, size in zip(tables[2 - dims :], x.shape[2:], strict=True)
    ]
    y = g.node("MatMul", x, members[-1].T.astype(x.dtype))
    if dims == 2:
        y = g.node("MatMul", members[0].astype(x.dtype), y)
    return g.node("Mul", y, scale.astype(x.dtype))


def _windows(x: Tensor, kernel: Any, strides: Any, pads: Any, dilations: Any, ceil_mode: int) -> Any:
    """The tables of a pooling operator, and how many elements of the padded axes each window has."""
    dims = x.ndim - 2
    if dims not in (1, 2):
        raise ONNXError(f"only sequences and images can be pooled, not arrays with {dims} spatial axes")
    pads, ones = pads or [0] * 2 * dims, [1] * dims
    windows = map(Windows, kernel, strides or ones, pads[:dims], pads[dims:], dilations or ones)
    tables, counts = [], []
    for size, axis in zip(x.shape[2:], windows, strict=True):
        starts = axis.starts(size, bool(ceil_mode))
        tables.append(axis.table(starts, size))
        counts.append(np.minimum(starts + axis.span, size + axis.after) - starts)
    whole = [np.array([[0, 1, 1]])] * (2 - dims)  # a sequence is an image of height 1
    return (*whole, *tables), [*[np.ones(1)] * (2 - dims), *counts]


@reads("MaxPool", auto_pad="NOTSET", storage_order=0)
def _read_max(
    x: Tensor, *, kernel_shape: Any, strides: Any = None, pads: Any = None, dilations: Any = None, ceil_mode: int
) -> Tensor:
    tables, _ = _windows(x, kernel_shape, strides, pads, dilations, ceil_mode)
    return MaxPooling.apply(x, tables=tables, dims=x.ndim - 2, return_indices=False)


@reads("AveragePool", auto_pad="NOTSET")
def _read_average(
    x: Tensor, *, kernel_shape: Any, strides: Any = None, pads: Any = None, dilations: Any = None, ceil_mode: int,
    count_include_pad: int,
) -> Tensor:  # fmt: skip
    if any(d != 1 for d in dilations or ()):
        raise ONNXError("the average of windows with gaps cannot be computed")
    tables, counts = _windows(x, kernel_shape, strides, pads, dilations, ceil_mode)
    if not count_include_pad:
        counts = [table[:, 1] - table[:, 0] for table in tables]
    scale = 1 / np.multiply.outer(*counts)[:, :, None]
    return AveragePooling.apply(x, tables=tables, scale=scale, dims=x.ndim - 2)


@reads("GlobalAveragePool")
def _read_global_average(x: Tensor) -> Tensor:
    return reductions.mean(x, tuple(range(2, x.ndim)), True)


@reads("GlobalMaxPool")
def _read_global_max(x: Tensor) -> Tensor:
    return extremes.amax(x, tuple(range(2, x.ndim)), True)
