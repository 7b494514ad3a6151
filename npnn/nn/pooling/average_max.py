"""Pooling layers: each channel of an image, or of a sequence, summarised window by window.

Where the windows lie is worked out in windows.py.  A sequence is an image of height 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import ShapeError
from npnn.function import Function
from npnn.kernels import pooling as kernels
from npnn.nn.checks import check_floating, pair, permute_hint
from npnn.nn.layout import channels_first, channels_last
from npnn.nn.module import Module
from npnn.nn.pooling.windows import Table, average_windows, max_windows, spatial_size
from npnn.tensor import Tensor

__all__ = ["AvgPool1d", "AvgPool2d", "MaxPool1d", "MaxPool2d", "avg_pool1d", "avg_pool2d", "max_pool1d", "max_pool2d"]

Size = int | tuple[int, ...]


class MaxPooling(Function):
    """y = the largest element of each window.   x (N, C, H, W) -> y (N, C, OH, OW), indices the same

    Gradient: dy goes to the element that won; the indices h·W + w have none.
    """

    def forward(self, x: NDArray[Any], tables: tuple[Table, Table], dims: int, return_indices: bool) -> Any:
        ndim = x.ndim
        x = channels_last(x, dims)  # (N, H, W, C)
        y, index = kernels.max_pool(x, *tables)
        if self.needs_grad[0]:
            self.index, self.size, self.layout = index, x.shape[1:3], (dims, ndim)
        y = channels_first(y, dims, ndim)
        return (y, channels_first(index.astype(np.int64), dims, ndim)) if return_indices else y

    def backward(self, dy: NDArray[Any], *_: None) -> NDArray[Any]:
        dims, ndim = self.layout
        return channels_first(kernels.max_pool_backward(channels_last(dy, dims), self.index, self.size), dims, ndim)

    def again(self, v: NDArray[Any]) -> NDArray[Any]:
        dims, ndim = self.layout
        v = channels_last(v, dims)  # (N, H, W, C)
        pixels = v.reshape(v.shape[0], -1, v.shape[3])
        n, h, w, c = self.index.shape
        picked = np.take_along_axis(pixels, self.index.reshape(n, h * w, c).astype(np.int64), 1)
        return channels_first(picked.reshape(n, h, w, c), dims, ndim)


class AveragePooling(Function):
    """y = the sum of each window times ``scale`` (OH, OW, 1).   x (N, C, H, W) -> y (N, C, OH, OW)

    Gradient: dy · scale goes to every element of the window.
    """

    def forward(self, x: NDArray[Any], tables: tuple[Table, Table], scale: NDArray[Any], dims: int) -> NDArray[Any]:
        ndim = x.ndim
        x, scale = channels_last(x, dims), scale.astype(x.dtype)
        if self.needs_grad[0]:
            self.tables, self.scale, self.size, self.layout = tables, scale, x.shape[1:3], (dims, ndim)
        y = kernels.sum_pool(x, *tables)
        y *= scale
        return channels_first(y, dims, ndim)

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        dims, ndim = self.layout
        dx = kernels.sum_pool_backward(channels_last(dy, dims) * self.scale, *self.tables, self.size)
        return channels_first(dx, dims, ndim)

    def again(self, v: NDArray[Any]) -> NDArray[Any]:
        dims, ndim = self.layout
        return channels_first(kernels.sum_pool(channels_last(v, dims), *self.tables) * self.scale, dims, ndim)


# ---- functions


def _windows(where: Callable[..., Any], input: Tensor, *arguments: Any) -> Any:
    """where(*arguments); if no window fits, the error says so when the input looks like (N, H, W, C)."""
    try:
        return where(*arguments)
    except ShapeError as error:
        *others, last = input.shape
        hint = permute_hint(input.shape, 2, last) if last in (1, 3, 4) and last < min(others[1:]) else ""
        raise ShapeError(error.message + hint) from None


def _max_pool(
    name: str, dims: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: bool, return_indices: bool,
) -> Any:  # fmt: skip
    size = spatial_size(name, input, dims)
    kernel = pair("kernel_size", kernel_size, dims, 1, 1)
    step = kernel if stride is None or stride in ([], ()) else pair("stride", stride, dims, 1, 1)
    margin, spread = pair("padding", padding, dims, 0, 0), pair("dilation", dilation, dims, 1, 1)
    tables = _windows(max_windows, input, size, kernel, step, margin, spread, ceil_mode)
    return MaxPooling.apply(input, tables=tables, dims=dims, return_indices=return_indices)


def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window.   (N, C, L) or (C, L) -> (N, C, OL) or (C, OL); see max_pool2d"""
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """y[n, c, i, j] = max_{k, l}  x[n, c, i·stride + k·dilation - padding, j·stride + l·dilation - padding]

    (N, C, H, W) or (C, H, W) -> (N, C, OH, OW) or (C, OH, OW), where
    OH = ⌊(H + 2·padding - dilation·(K - 1) - 1) / stride⌋ + 1, rounded up with ``ceil_mode`` as long
    as the last window starts inside the image or the padding before it.  ``stride`` is the kernel's
    size if not given; padding never wins.  ``return_indices`` adds where the maxima are, as h·W + w.

    Gradient: dy goes to the first of the largest elements; a NaN is the largest.
    Errors: ShapeError for an input that does not fit, or impossible arguments.
    Source: Boureau, Ponce & LeCun, A theoretical analysis of feature pooling, 2010.
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _avg_pool(
    name: str, dims: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Tensor:  # fmt: skip
    size = spatial_size(name, input, dims)
    check_floating(name, input)
    kernel = pair("kernel_size", kernel_size, dims, 1, 1)
    step = kernel if stride is None or stride in ([], ()) else pair("stride", stride, dims, 1, 1)
    if divisor_override == 0:
        raise ShapeError("divisor_override must not be zero")
    margin = pair("padding", padding, dims, 0, 0)
    tables, scale = _windows(
        average_windows, input, size, kernel, step, margin, ceil_mode, count_include_pad, divisor_override
    )
    return AveragePooling.apply(input, tables=tables, scale=scale, dims=dims)


def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window.   (N, C, L) or (C, L) -> (N, C, OL) or (C, OL); see avg_pool2d"""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """y[n, c, i, j] = 1/count Σ_{k, l}  x[n, c, i·stride + k - padding, j·stride + l - padding]

    (N, C, H, W) or (C, H, W) -> (N, C, OH, OW) or (C, OH, OW), sizes as for max_pool2d.  ``count`` is
    the number of elements in the window, zeros of the padding included unless
    ``count_include_pad`` is False (what ceil_mode adds beyond the padding never counts), or
    ``divisor_override``.

    Gradient: dy / count goes to every element of the window.
    Errors: ShapeError for an input that does not fit, or impossible arguments.
    Source: LeCun et al., Gradient-based learning applied to document recognition, 1998, section II.A.
    """
    return _avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


# ---- modules


class _MaxPool(Module):
    """What MaxPool1d and MaxPool2d share: everything but the number of spatial axes."""

    pool: Any

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        return self.pool(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest element of each window: see max_pool1d.   (N, C, L) -> (N, C, OL)"""

    pool = staticmethod(max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest element of each window: see max_pool2d.   (N, C, H, W) -> (N, C, OH, OW)"""

    pool = staticmethod(max_pool2d)


class AvgPool1d(Module):
    """The mean of each window: see avg_pool1d.   (N, C, L) -> (N, C, OL)"""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        sizes = kernel_size, kernel_size if stride is None else stride, padding
        self.kernel_size, self.stride, self.padding = ((v,) if isinstance(v, int) else v for v in sizes)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of each window: see avg_pool2d.   (N, C, H, W) -> (N, C, OH, OW)"""

    pool: Any = staticmethod(avg_pool2d)

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return self.pool(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
