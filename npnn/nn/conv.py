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

from npnn import random
from npnn.errors import ShapeError
from npnn.kernels import conv as kernels
from npnn.kernels.conv import Geometry
from npnn.nn.module import Module, Parameter
from npnn.tensor import Function, Tensor

__all__ = ["Conv1d", "Conv2d", "conv1d", "conv2d"]

Size = int | tuple[int, ...]


def _channels_last(array: NDArray[Any], dims: int) -> NDArray[Any]:
    """(N, C, H, W), (C, H, W), (N, C, W) or (C, W) -> (N, H, W, C), contiguous."""
    if dims == 1:
        array = array[..., None, :]
    if array.ndim == 3:
        array = array[None]
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def _channels_first(array: NDArray[Any], dims: int, ndim: int) -> NDArray[Any]:
    """The way back: a view with ``ndim`` axes, of which ``dims`` are spatial."""
    array = array.transpose(0, 3, 1, 2)
    if dims == 1:
        array = array[..., 0, :]
    return array if ndim == dims + 2 else array[0]


class Convolution(Function):
    """y = x ⋆ w + b (cross-correlation), for one or two spatial axes, with or without a batch axis.

    x (N, C, H, W), w (O, C/G, KH, KW), b (O,) -> y (N, O, OH, OW)

    Gradient: dx = the transposed convolution of dy with w, dw = the correlation of x with dy, db = Σ dy.
    """

    def forward(self, x: NDArray[Any], w: NDArray[Any], b: NDArray[Any] | None, geometry: Geometry) -> NDArray[Any]:
        dims, ndim = w.ndim - 2, x.ndim
        x, w = _channels_last(x, dims), _channels_last(w, dims)
        if True in self.needs_grad:
            self.layout, self.geometry, self.size, self.kernel_size = (dims, ndim), geometry, x.shape[1:3], w.shape[1:3]
            self.w = w if self.needs_grad[0] else None
            self.x = x if self.needs_grad[1] else None
        return _channels_first(kernels.forward(x, w, b, geometry), dims, ndim)

    def backward(self, dy: NDArray[Any]) -> Any:
        dims, ndim = self.layout
        dy = _channels_last(dy, dims)
        dx = dw = db = None
        if self.w is not None:
            dx = kernels.backward_input(dy, self.w, self.size, self.geometry)
            dx = _channels_first(dx, dims, ndim)
        if self.x is not None:
            dw, db = kernels.backward_weight(self.x, dy, self.kernel_size, self.geometry)
            dw = _channels_first(dw, dims, dims + 2)
        elif self.needs_grad[2]:
            db = dy.sum(axis=(0, 1, 2))
        return dx, dw, db


def _pair(name: str, value: Any, dims: int, least: int, fill: int) -> tuple[int, int]:
    """``value``, a number or one per spatial axis, as (along the height, along the width)."""
    values = (value,) * dims if isinstance(value, int) else tuple(value)
    if len(values) != dims or min(values) < least:
        raise ValueError(f"{name} must be {dims} whole number{'s'[: dims - 1]} of at least {least}, got {value!r}")
    return values if dims == 2 else (fill, values[0])


def _geometry(kernel_size: tuple[int, ...], stride: Any, padding: Any, dilation: Any, groups: int) -> Geometry:
    """The arguments of conv1d and conv2d, checked and made explicit."""
    dims = len(kernel_size)
    stride = _pair("stride", stride, dims, 1, 1)
    dilation = _pair("dilation", dilation, dims, 1, 1)
    if not isinstance(groups, int) or groups < 1:
        raise ValueError(f"groups must be a positive whole number, got {groups!r}")
    if padding == "same":
        if max(stride) > 1:
            raise ValueError(f"padding='same' needs stride 1, got stride={stride[2 - dims :]}")
        total = [d * (k - 1) for d, k in zip(dilation, (1, *kernel_size)[-2:], strict=True)]
        before = total[0] // 2, total[1] // 2
        return Geometry(stride, before, (total[0] - before[0], total[1] - before[1]), dilation, groups)
    if padding == "valid":
        padding = 0
    elif isinstance(padding, str):
        raise ValueError(f"padding must be 'valid', 'same' or whole numbers, got {padding!r}")
    padding = _pair("padding", padding, dims, 0, 0)
    return Geometry(stride, padding, padding, dilation, groups)


def _convolve(
    dims: int, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> Tensor:
    """Check everything, then apply."""
    if weight.ndim != dims + 2:
        raise ShapeError(
            f"expected a weight of shape (O, C/groups, {'K' if dims == 1 else 'KH, KW'}), got {weight.shape}"
        )
    geometry = _geometry(weight.shape[2:], stride, padding, dilation, groups)
    channels = weight.shape[1] * groups
    if not dims < x.ndim < dims + 3 or x.shape[-dims - 1] != channels:
        raise ShapeError(_wrong_input(dims, x.shape, channels))
    if weight.shape[0] % groups:
        raise ShapeError(f"expected a number of output channels divisible by groups={groups}, got {weight.shape[0]}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"expected a bias of shape {weight.shape[:1]}, got {bias.shape}")
    if x.dtype != weight.dtype or (bias is not None and bias.dtype != weight.dtype):
        raise RuntimeError(_wrong_dtype(x, weight, bias))
    size, kernel_size = (1, *x.shape[2 - dims :])[-2:], (1, *weight.shape[2:])[-2:]
    if min(geometry.output_size(size, kernel_size)) < 1:
        padded = tuple(n + p + q for n, p, q in zip(size, geometry.before, geometry.after, strict=True))
        span = tuple(d * (k - 1) + 1 for d, k in zip(geometry.dilation, kernel_size, strict=True))
        raise ShapeError(
            f"expected an image at least as large as the kernel, got {padded[2 - dims :]} (with its padding) "
            f"for a kernel that spans {span[2 - dims :]}"
        )
    return Convolution.apply(x, weight, bias, geometry=geometry)


def _wrong_input(dims: int, shape: tuple[int, ...], channels: int) -> str:
    axes = "CHW" if dims == 2 else "CL"
    given = f"expected an input of shape (N, {', '.join(axes)}) with C = {channels}, got {shape}"
    if len(shape) == dims + 2 and shape[-1] == channels:
        order = (0, dims + 1, *range(1, dims + 1))
        return f"{given}; its last axis would fit: put the channels first with x.permute{order}"
    if len(shape) == dims + 1 and channels == 1:
        return f"{given}; for images of one channel add the axis with x.unsqueeze(1)"
    return given


def _wrong_dtype(x: Tensor, weight: Tensor, bias: Tensor | None) -> str:
    found = f"the input is {x.dtype}, the weight {weight.dtype}" + ("" if bias is None else f", the bias {bias.dtype}")
    cast = "model.double()" if x.dtype == np.float64 else f"x.{'double' if weight.dtype == np.float64 else 'float'}()"
    return f"expected one dtype, but {found}: cast with {cast}"


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
    Errors: ShapeError for channels, sizes or axes that do not fit, RuntimeError for mixed dtypes,
    ValueError for other arguments.
    Source: Dumoulin & Visin, A guide to convolution arithmetic for deep learning, 2016.
    """
    return _convolve(2, input, weight, bias, stride, padding, dilation, groups)


class _Conv(Module):
    """What Conv1d and Conv2d share: everything but the number of spatial axes."""

    dims: int

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
    ):
        def per_axis(value: Any) -> Any:
            return (value,) * self.dims if isinstance(value, int) else value if isinstance(value, str) else tuple(value)

        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding = per_axis(kernel_size), per_axis(stride), per_axis(padding)
        self.dilation, self.groups, self.padding_mode = per_axis(dilation), groups, padding_mode
        _pair("kernel_size", kernel_size, self.dims, 1, 1)
        _geometry(self.kernel_size, stride, padding, dilation, groups)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels < 1 or channels % groups:
                raise ValueError(f"{name} must be positive and divisible by groups={groups}, got {channels}")
        if padding_mode != "zeros":
            raise ValueError(
                f"padding_mode must be 'zeros', got {padding_mode!r}: pad the input before the layer instead"
            )
        memory = np.empty((out_channels, *self.kernel_size, in_channels // groups), np.float32)
        self.weight = Parameter(np.moveaxis(memory, -1, 1))  # (O, C/G, KH, KW)
        self.bias = Parameter(np.empty(out_channels, np.float32)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in ±1/√fan_in, weights and bias: Kaiming's rule with a = √5, as torch's layers start."""
        bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
        for p in (self.weight, self.bias):
            if p is not None:
                np.copyto(p.data, random.generator().uniform(-bound, bound, p.shape), casting="same_kind")

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.dims:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.dims:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"


class Conv1d(_Conv):
    """Convolution over sequences: see conv1d.   (N, C, L) -> (N, O, OL)

    ``weight`` (O, C/groups, K) and ``bias`` (O,) start uniform in ±1/√(K·C/groups).
    """

    dims = 1

    def forward(self, input: Tensor) -> Tensor:
        return conv1d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv2d(_Conv):
    """Convolution over images: see conv2d.   (N, C, H, W) -> (N, O, OH, OW)

    ``weight`` (O, C/groups, KH, KW) and ``bias`` (O,) start uniform in ±1/√(KH·KW·C/groups).
    """

    dims = 2

    def forward(self, input: Tensor) -> Tensor:
        return conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
