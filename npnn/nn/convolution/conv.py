"""Convolution: every output pixel is a weighted sum of the window of the image under it.

The arithmetic is in npnn.kernels.conv; this file holds the derivative's bookkeeping, the meaning of
the arguments and the errors.  Images have the shape (N, C, H, W) and in memory the order
(N, H, W, C), so that the channels of a pixel lie together; weights likewise have the shape
(O, C/groups, KH, KW) and the order (O, KH, KW, C/groups).  A one-dimensional convolution is a
two-dimensional one of height 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.dtypes import of_parameters
from npnn.errors import ShapeError
from npnn.function import Function
from npnn.kernels import conv as kernels
from npnn.kernels.conv import Geometry
from npnn.nn import init
from npnn.nn.checks import pair
from npnn.nn.convolution.geometry import (
    Size,
    check_groups,
    check_input,
    check_weight,
    geometry,
    image_size,
    per_axis,
)
from npnn.nn.layout import channels_first, contiguous_channels_last
from npnn.nn.module import Module, Parameter
from npnn.nn.padding.pad import pad
from npnn.tensor import Tensor

__all__ = ["Conv1d", "Conv2d", "conv1d", "conv2d"]


class Convolution(Function):
    """y = x ⋆ w + b (cross-correlation), for one or two spatial axes, with or without a batch axis.

    x (N, C, H, W), w (O, C/G, KH, KW), b (O,) -> y (N, O, OH, OW)

    Gradient: dx = the transposed convolution of dy with w, dw = the correlation of x with dy, db = Σ dy.
    """

    def forward(self, x: NDArray[Any], w: NDArray[Any], b: NDArray[Any] | None, geometry: Geometry) -> NDArray[Any]:
        dims, ndim = w.ndim - 2, x.ndim
        x, w = contiguous_channels_last(x, dims), contiguous_channels_last(w, dims)
        if True in self.needs_grad:
            self.layout, self.geometry, self.size, self.kernel_size = (dims, ndim), geometry, x.shape[1:3], w.shape[1:3]
            self.kernel = w if self.needs_grad[0] else None
            self.image = x if self.needs_grad[1] else None
        return channels_first(kernels.forward(x, w, b, geometry), dims, ndim)

    def backward(self, dy: NDArray[Any]) -> Any:
        dims, ndim = self.layout
        dy = contiguous_channels_last(dy, dims)
        dx = dw = db = None
        if self.kernel is not None:
            dx = kernels.backward_input(dy, self.kernel, self.size, self.geometry)
            dx = channels_first(dx, dims, ndim)
        if self.image is not None:
            dw, db = kernels.backward_weight(self.image, dy, self.kernel_size, self.geometry)
            dw = channels_first(dw, dims, dims + 2)
        elif self.needs_grad[2]:
            db = dy.sum(axis=(0, 1, 2))
        return dx, dw, db

    def derivative(self: Any, dy: Tensor) -> Any:
        dims, ndim = self.layout
        dx = dw = None
        if self.kernel is not None:
            w = self.input(1, channels_first(self.kernel, dims, dims + 2))
            dx = Spread.apply(dy, w, self.geometry, self.size)
        if self.image is not None:
            x = self.input(0, channels_first(self.image, dims, ndim))
            dw = Correlation.apply(x, dy, self.geometry, self.kernel_size, dims)
        return dx, dw, dy.sum([a for a in range(ndim) if a != ndim - dims - 1]) if self.needs_grad[2] else None


# ---- the three passes by themselves: each is bilinear, and its two derivatives are the other two


def _gathered(x: NDArray[Any], w: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    dims = w.ndim - 2
    y = kernels.forward(contiguous_channels_last(x, dims), contiguous_channels_last(w, dims), None, geometry)
    return channels_first(y, dims, x.ndim)


def _spread(y: NDArray[Any], w: NDArray[Any], geometry: Geometry, size: Any) -> NDArray[Any]:
    dims = w.ndim - 2
    x = kernels.backward_input(contiguous_channels_last(y, dims), contiguous_channels_last(w, dims), size, geometry)
    return channels_first(x, dims, y.ndim)


def _correlated(x: NDArray[Any], y: NDArray[Any], geometry: Geometry, kernel_size: Any, dims: int) -> NDArray[Any]:
    x, y = contiguous_channels_last(x, dims), contiguous_channels_last(y, dims)
    return channels_first(kernels.backward_weight(x, y, kernel_size, geometry)[0], dims, dims + 2)


class Spread(Function):
    """x = y spread back over the windows that w gathers.   dy = the convolution of dx with w, dw = that of dx with y"""

    def forward(self, y: NDArray[Any], w: NDArray[Any], geometry: Geometry, size: Any) -> NDArray[Any]:
        self.rows, self.w, self.geometry = y, w, geometry
        return _spread(y, w, geometry, size)

    def backward(self, dx: NDArray[Any]) -> Any:
        kernel_size, dims = image_size(self.w.shape, self.w.ndim - 2), self.w.ndim - 2
        dw = _correlated(dx, self.rows, self.geometry, kernel_size, dims)
        return _gathered(dx, self.w, self.geometry), dw, None, None

    def derivative(self: Any, dx: Tensor) -> Any:
        kernel_size, dims = image_size(self.w.shape, self.w.ndim - 2), self.w.ndim - 2
        dw = Correlation.apply(dx, self.input(0, self.rows), self.geometry, kernel_size, dims)
        return Convolution.apply(dx, self.w, None, geometry=self.geometry), dw, None, None


class Correlation(Function):
    """w = x correlated with y.   dx = y spread over the windows of dw, dy = the convolution of x with dw"""

    def forward(
        self, x: NDArray[Any], y: NDArray[Any], geometry: Geometry, kernel_size: Any, dims: int
    ) -> NDArray[Any]:
        self.x, self.rows, self.geometry, self.size = x, y, geometry, image_size(x.shape, dims)
        return _correlated(x, y, geometry, kernel_size, dims)

    def backward(self, dw: NDArray[Any]) -> Any:
        dx = _spread(self.rows, dw, self.geometry, self.size)
        return dx, _gathered(self.x, dw, self.geometry), None, None, None

    def derivative(self: Any, dw: Tensor) -> Any:
        dx = Spread.apply(self.input(1, self.rows), dw, self.geometry, self.size)
        return dx, Convolution.apply(self.x, dw, None, geometry=self.geometry), None, None, None


def _convolve(
    dims: int, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> Tensor:
    """Check everything, then apply."""
    check_weight(weight, bias, dims, groups)
    moves = geometry(weight.shape[2:], stride, padding, dilation, groups, dims)
    check_input(x, weight, bias, dims, weight.shape[1] * groups)
    size, kernel_size = image_size(x.shape, dims), image_size(weight.shape, dims)
    if min(moves.output_size(size, kernel_size)) < 1:
        padded = tuple(n + p + q for n, p, q in zip(size, moves.before, moves.after, strict=True))
        span = tuple(d * (k - 1) + 1 for d, k in zip(moves.dilation, kernel_size, strict=True))
        raise ShapeError(
            f"expected an image at least as large as the kernel, got {padded[-dims:]} (with its padding) "
            f"for a kernel that spans {span[-dims:]}"
        )
    return Convolution.apply(x, weight, bias, geometry=moves)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """y[n, o, i] = b[o] + Σ_{c, k}  x[n, c, i·stride + k·dilation - padding] · w[o, c, k]

    input (N, C, L) or (C, L), weight (O, C/groups, K), bias (O,) -> (N, O, OL) or (O, OL), where
    OL = ⌊(L + 2·padding - dilation·(K - 1) - 1) / stride⌋ + 1.  Arguments and errors as for conv2d.
    """
    return _convolve(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """y[n, o, i, j] = b[o] + Σ_{c, k, l}  x[n, c, i·stride + k·dilation - padding, j·...] · w[o, c, k, l]

    input (N, C, H, W) or (C, H, W), weight (O, C/groups, KH, KW), bias (O,) -> (N, O, OH, OW) or
    (O, OH, OW), where OH = ⌊(H + 2·padding - dilation·(KH - 1) - 1) / stride⌋ + 1.

    ``stride``, ``padding`` and ``dilation`` are a number or one per axis; padding='valid' is none,
    'same' as much as keeps the image's size (stride 1 only; an odd row or column goes to the end).
    With ``groups``, the channels are cut into so many equal parts that do not see each other.

    Gradient: dx is dy spread back over the windows, dw the correlation of x with dy, db the sum of dy.
    Errors: ShapeError for channels, sizes or arguments that do not fit, DtypeError for mixed dtypes.
    Source: Dumoulin & Visin, A guide to convolution arithmetic for deep learning, 2016.
    """
    return _convolve(2, input, weight, bias, stride, padding, dilation, groups)


class ConvBase(Module):
    """The arguments and the parameters of a convolution or, if ``transposed``, of one that runs backwards."""

    dims: int
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Size | str,
        dilation: Size,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ):
        dims, dtype = self.dims, of_parameters(device, dtype)
        pair("kernel_size", kernel_size, dims, 1, 1)
        check_groups(groups, in_channels=in_channels, out_channels=out_channels)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = per_axis(kernel_size, dims), per_axis(stride, dims)
        self.padding, self.dilation = per_axis(padding, dims), per_axis(dilation, dims)
        self.padding_mode = padding_mode
        self.output_padding: tuple[int, ...] = (0,) * dims
        self._geometry = geometry(self.kernel_size, stride, padding, dilation, groups, dims)
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        memory = np.empty((first, *self.kernel_size, second // groups), dtype)
        self.weight = Parameter(np.moveaxis(memory, -1, 1))  # (O, C/G, KH, KW), or (C, O/G, KH, KW)
        self.bias = Parameter(np.empty(out_channels, dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in ±1/√n, n the numbers behind one of the first axis: Kaiming's rule with a = √5, as in torch."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = math.prod(self.weight.array.shape[1:])
            bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        defaults = {"padding": 0, "dilation": 1, "output_padding": 0}
        for name, default in defaults.items():
            value = getattr(self, name)
            text += f", {name}={value}" if value != (default,) * self.dims else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        text += ", bias=False" if self.bias is None else ""
        return text + (f", padding_mode={self.padding_mode}" if self.padding_mode != "zeros" else "")


class ConvND(ConvBase):
    """What Conv1d, Conv2d and Conv3d share: everything but the number of spatial axes."""

    convolve: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(
                f"padding_mode must be 'zeros', 'reflect', 'replicate' or 'circular', got {padding_mode!r}"
            )
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._pad(input), 0
        return self.convolve(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _pad(self, input: Tensor) -> Tensor:
        """The input with the pixels around it that the kernel would otherwise see as zeros."""
        check_input(input, self.weight, self.bias, self.dims, self.in_channels)
        before, after = self._geometry.before[-self.dims :], self._geometry.after[-self.dims :]
        ends = [width for both in zip(before[::-1], after[::-1], strict=True) for width in both]
        return pad(input, ends, self.padding_mode)


class Conv1d(ConvND):
    """Convolution over sequences: see conv1d.   (N, C, L) -> (N, O, OL)

    ``weight`` (O, C/groups, K) and ``bias`` (O,) start uniform in ±1/√(K·C/groups).
    ``padding_mode`` as for Conv2d.
    """

    dims, convolve = 1, staticmethod(conv1d)


class Conv2d(ConvND):
    """Convolution over images: see conv2d.   (N, C, H, W) -> (N, O, OH, OW)

    ``weight`` (O, C/groups, KH, KW) and ``bias`` (O,) start uniform in ±1/√(KH·KW·C/groups).
    ``padding_mode`` says what lies around the image: "zeros", its mirror image ("reflect"), its
    outermost pixels ("replicate") or the image again ("circular"); see pad.
    """

    dims, convolve = 2, staticmethod(conv2d)
