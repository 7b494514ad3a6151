"""Where the windows of a pooling layer lie: the tables of ranges that npnn.kernels.pooling reads.

A table has one row per window along an axis, (OUT, 3): where the window starts and stops within the
image, and the step between its cells.  Tables are made once per geometry and kept.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import ShapeError
from npnn.tensor import Tensor

__all__ = ["Table", "adaptive_windows", "average_windows", "max_windows", "spatial_size"]

Table = NDArray[Any]
Pair = tuple[int, int]  # along the height, along the width


def spatial_size(name: str, x: Tensor, dims: int) -> Pair:
    """(H, W) of a batch or a single image or sequence.  Errors: ShapeError for other shapes."""
    shape = x.array.shape
    if not dims < len(shape) < dims + 3 or 0 in shape[-dims - 1 :]:
        axes = "C, H, W" if dims == 2 else "C, L"
        raise ShapeError(f"{name}: expected an input of shape (N, {axes}) or ({axes}), only N may be 0, got {shape}")
    return shape[-2:] if dims == 2 else (1, shape[-1])


@functools.lru_cache(maxsize=1024)
def _windows(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> tuple[Table, NDArray[Any]]:
    """Along one axis: the table of windows, cut to the image, and their lengths in the padded image."""
    span = dilation * (kernel - 1) + 1
    if padding > span // 2:
        raise ShapeError(f"padding must be at most half the kernel's span of {span}, got {padding}")
    room = size + 2 * padding - span
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1  # no window lies wholly in the padding at the end
    if count < 1:
        raise ShapeError(f"expected at least {span - 2 * padding} elements along each axis for this kernel, got {size}")
    start = np.arange(count) * stride - padding
    stop = start + span
    length = np.minimum(stop, size + padding) - start
    start += dilation * -(np.minimum(start, 0) // dilation)  # its first cell within the image
    if (start >= size).any():
        raise ShapeError(f"with dilation={dilation} and padding={padding} a window sees none of the {size} elements")
    table = np.stack([start, np.minimum(stop, size), np.full(count, dilation)], axis=1)
    return table, length


@functools.lru_cache(maxsize=1024)
def max_windows(
    size: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
) -> tuple[Table, Table]:
    rows, cols = (_windows(*axis, ceil_mode)[0] for axis in zip(size, kernel, stride, padding, dilation, strict=True))
    return rows, cols


@functools.lru_cache(maxsize=1024)
def average_windows(
    size: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> tuple[tuple[Table, Table], NDArray[Any]]:
    """The tables, and one over the number of elements that each window counts, (OH, OW, 1)."""
    (rows, height), (cols, width) = (
        _windows(*axis, 1, ceil_mode) for axis in zip(size, kernel, stride, padding, strict=True)
    )
    if not count_include_pad:
        height, width = rows[:, 1] - rows[:, 0], cols[:, 1] - cols[:, 0]
    count = np.multiply.outer(height, width).astype(np.float64)
    if divisor_override is not None:
        count[...] = divisor_override
    return (rows, cols), 1 / count[:, :, None]


@functools.lru_cache(maxsize=1024)
def adaptive_windows(size: Pair, out: Pair) -> tuple[Table, Table]:
    """Window i of OUT runs from ⌊i·SIZE/OUT⌋ to ⌈(i + 1)·SIZE/OUT⌉."""

    def table(n: int, count: int) -> Table:
        i = np.arange(count)
        return np.stack([i * n // max(count, 1), -(-(i + 1) * n // max(count, 1)), np.ones_like(i)], axis=1)

    return table(size[0], out[0]), table(size[1], out[1])
