"""Adaptive pooling: the size of the result is given, and the windows divide the image as evenly as they can."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.errors import ShapeError
from npnn.nn.checks import check_floating
from npnn.nn.module import Module
from npnn.nn.pooling.average_max import AveragePooling, MaxPooling
from npnn.nn.pooling.windows import Table, adaptive_windows, spatial_size
from npnn.tensor import Tensor

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d",
]  # fmt: skip

OutputSize = int | None | tuple[int | None, ...]


def _tables(name: str, input: Tensor, output_size: Any, dims: int) -> tuple[Table, Table]:
    size = spatial_size(name, input, dims)
    out = (output_size,) * dims if output_size is None or isinstance(output_size, int) else tuple(output_size)
    if dims == 1:
        out = (1, *out)
    if len(out) != 2 or min(n or 0 for n in out) < 0:
        raise ShapeError(f"{name}: output_size must be {dims} whole number{'s'[: dims - 1]} or None, got {output_size}")
    out = tuple(n if wanted is None else wanted for n, wanted in zip(size, out, strict=True))
    return adaptive_windows(size, out)


def _adaptive_average(name: str, input: Tensor, output_size: Any, dims: int) -> Tensor:
    check_floating(name, input)
    rows, cols = _tables(name, input, output_size, dims)
    scale = 1 / np.multiply.outer(rows[:, 1] - rows[:, 0], cols[:, 1] - cols[:, 0])[:, :, None]
    return AveragePooling.apply(input, tables=(rows, cols), scale=scale, dims=dims)


def _adaptive_max(name: str, input: Tensor, output_size: Any, return_indices: bool, dims: int) -> Any:
    tables = _tables(name, input, output_size, dims)
    return MaxPooling.apply(input, tables=tables, dims=dims, return_indices=return_indices)


def adaptive_avg_pool1d(input: Tensor, output_size: OutputSize) -> Tensor:
    """The mean of each of ``output_size`` windows.   (N, C, L) or (C, L) -> (N, C, OL) or (C, OL)"""
    return _adaptive_average("adaptive_avg_pool1d", input, output_size, 1)


def adaptive_avg_pool2d(input: Tensor, output_size: OutputSize) -> Tensor:
    """The mean of each of OH x OW windows.   (N, C, H, W) or (C, H, W) -> (N, C, OH, OW) or (C, OH, OW)

    Row i of the result looks at the rows ⌊i·H/OH⌋ to ⌈(i + 1)·H/OH⌉ - 1, columns likewise; None
    keeps the image's size.  adaptive_avg_pool2d(x, 1) is the mean over the whole image.

    Gradient: dy over the window's number of elements, added up where windows overlap.
    Errors: ShapeError for an input or an output_size that does not fit.
    Source: Lin, Chen & Yan, Network in network, 2014, section 3.2 (global average pooling).
    """
    return _adaptive_average("adaptive_avg_pool2d", input, output_size, 2)


def adaptive_max_pool1d(input: Tensor, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The largest element of each of ``output_size`` windows, and where it is if ``return_indices``.

    (N, C, L) or (C, L) -> (N, C, OL) or (C, OL)
    """
    return _adaptive_max("adaptive_max_pool1d", input, output_size, return_indices, 1)


def adaptive_max_pool2d(input: Tensor, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The largest element of each of OH x OW windows, and where it is (h·W + w) if ``return_indices``.

    Windows as in adaptive_avg_pool2d, shapes too.  Gradient: dy goes to the element that won.
    """
    return _adaptive_max("adaptive_max_pool2d", input, output_size, return_indices, 2)


class _AdaptivePool(Module):
    def __init__(self, output_size: OutputSize):
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    """See adaptive_avg_pool1d.   (N, C, L) -> (N, C, OL)"""

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptivePool):
    """See adaptive_avg_pool2d.   (N, C, H, W) -> (N, C, OH, OW)"""

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_avg_pool2d(input, self.output_size)


class _AdaptiveMaxPool(_AdaptivePool):
    def __init__(self, output_size: OutputSize, return_indices: bool = False):
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """See adaptive_max_pool1d.   (N, C, L) -> (N, C, OL)"""

    def forward(self, input: Tensor) -> Any:
        return adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """See adaptive_max_pool2d.   (N, C, H, W) -> (N, C, OH, OW)"""

    def forward(self, input: Tensor) -> Any:
        return adaptive_max_pool2d(input, self.output_size, self.return_indices)
