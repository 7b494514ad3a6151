"""Convolution over volumes: along the depth the taps become channels, and what is left is a convolution over images."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from npnn.errors import ShapeError
from npnn.function import Function
from npnn.nn.checks import pair
from npnn.nn.convolution.conv import ConvND, conv2d
from npnn.nn.convolution.geometry import Size, check_input, check_weight, geometry
from npnn.nn.convolution.transpose import ConvTransposeND, conv_transpose2d
from npnn.tensor import Tensor

__all__ = ["Conv3d", "ConvTranspose3d", "conv3d", "conv_transpose3d"]


class Depth(NamedTuple):
    """The depth axis of a convolution: OD windows of K taps over D slices.   Slice i·stride + k·dilation - before."""

    size: int
    taps: int
    windows: int
    stride: int
    dilation: int
    before: int
    groups: int

    def moves(self) -> Any:
        """For each tap: itself, the windows whose slice lies inside, and those slices."""
        for k in range(self.taps):
            first = k * self.dilation - self.before  # the slice that window 0 sees
            low = max(-(first // self.stride), 0)
            high = max(min((self.size - 1 - first) // self.stride + 1, self.windows), low)
            start = first + low * self.stride
            yield k, slice(low, high), slice(start, start + (high - low) * self.stride, self.stride)


def _gather(x: NDArray[Any], depth: Depth) -> NDArray[Any]:
    """(N, C, D, H, W) -> (N OD, G K C/G, H, W) with channels last in memory; zeros outside."""
    N, C, _, H, W = x.shape
    y = np.zeros((N, depth.windows, H, W, depth.groups, depth.taps, C // depth.groups), x.dtype)
    given = x.transpose(0, 2, 3, 4, 1).reshape(N, depth.size, H, W, depth.groups, C // depth.groups)
    for k, windows, slices in depth.moves():
        y[:, windows, :, :, :, k] = given[:, slices]
    return y.reshape(N * depth.windows, H, W, C * depth.taps).transpose(0, 3, 1, 2)


def _spread(y: NDArray[Any], depth: Depth) -> NDArray[Any]:
    """(N OD, G K C/G, H, W) -> (N, C, D, H, W): each tap added to its slice, the transpose of _gather."""
    M, channels, H, W = y.shape
    N, C = M // depth.windows, channels // depth.taps
    x = np.zeros((N, depth.size, H, W, depth.groups, C // depth.groups), y.dtype)
    given = y.transpose(0, 2, 3, 1).reshape(N, depth.windows, H, W, depth.groups, depth.taps, C // depth.groups)
    for k, windows, slices in depth.moves():
        x[:, slices] += given[:, windows, :, :, :, k]
    return x.reshape(N, depth.size, H, W, C).transpose(0, 4, 1, 2, 3)


class DepthTaps(Function):
    """y = for each window along the depth its taps, as channels of one image.   dx = dy added up where they overlap"""

    def forward(self, x: NDArray[Any], depth: Depth) -> NDArray[Any]:
        self.depth = depth
        return _gather(x, depth)

    def backward(self, dy: NDArray[Any]) -> Any:
        return _spread(dy, self.depth), None

    def again(self, v: NDArray[Any]) -> NDArray[Any]:
        return _gather(v, self.depth)


class DepthSums(Function):
    """y = a volume of which each slice is the sum of the taps that fall on it.   dx = dy at those taps"""

    def forward(self, x: NDArray[Any], depth: Depth) -> NDArray[Any]:
        self.depth = depth
        return _spread(x, depth)

    def backward(self, dy: NDArray[Any]) -> Any:
        return _gather(dy, self.depth), None

    def again(self, v: NDArray[Any]) -> NDArray[Any]:
        return _spread(v, self.depth)


def _taps_as_channels(w: Tensor) -> Tensor:
    """(A, B, KD, KH, KW) -> (A, KD B, KH, KW)"""
    A, B, KD, KH, KW = w.array.shape
    return w.transpose(1, 2).reshape(A, KD * B, KH, KW)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """y[n, o, h, i, j] = b[o] + Σ_{c, m, k, l}  x[n, c, h·stride + m·dilation - padding, i·..., j·...] · w[o, c, m, k, l]

    input (N, C, D, H, W) or (C, D, H, W), weight (O, C/groups, KD, KH, KW), bias (O,) -> (N, O, OD, OH, OW) or
    (O, OD, OH, OW).  Arguments and errors as for conv2d.
    """
    check_weight(weight, bias, 3, groups)
    moves = geometry(weight.array.shape[2:], stride, padding, dilation, groups, 3)
    check_input(input, weight, bias, 3, weight.array.shape[1] * groups)
    if input.array.ndim == 4:
        return conv3d(input.unsqueeze(0), weight, bias, stride, padding, dilation, groups).squeeze(0)
    N, _, D, H, W = input.array.shape
    KD, KH, KW = weight.array.shape[2:]
    spans = [d * (k - 1) + 1 for d, k in zip(moves.dilation, (KD, KH, KW), strict=True)]
    padded = [n + p + q for n, p, q in zip((D, H, W), moves.before, moves.after, strict=True)]
    if any(n < span for n, span in zip(padded, spans, strict=True)):
        raise ShapeError(
            f"expected a volume at least as large as the kernel, got {tuple(padded)} (with its padding) "
            f"for a kernel that spans {tuple(spans)}"
        )
    windows = (padded[0] - spans[0]) // moves.stride[0] + 1
    depth = Depth(D, KD, windows, moves.stride[0], moves.dilation[0], moves.before[0], groups)
    images = DepthTaps.apply(input, depth)
    inside = padding if isinstance(padding, str) else moves.before[1:]
    y = conv2d(images, _taps_as_channels(weight), bias, moves.stride[1:], inside, moves.dilation[1:], groups)
    return y.reshape(N, windows, *y.array.shape[1:]).transpose(1, 2)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """Each x times the kernel, painted over each other at distances of ``stride``, from b[o] on.

    input (N, C, D, H, W) or (C, D, H, W), weight (C, O/groups, KD, KH, KW), bias (O,) -> (N, O, OD, OH, OW) or
    (O, OD, OH, OW).  Sizes, arguments and errors as for conv_transpose2d.
    """
    check_weight(weight, bias, 3, groups, transposed=True)
    check_input(input, weight, bias, 3, weight.array.shape[0])
    if input.array.ndim == 4:
        more = stride, padding, output_padding, groups, dilation
        return conv_transpose3d(input.unsqueeze(0), weight, bias, *more).squeeze(0)
    step, spread = pair("stride", stride, 3, 1, 1), pair("dilation", dilation, 3, 1, 1)
    cut, more = pair("padding", padding, 3, 0, 0), pair("output_padding", output_padding, 3, 0, 0)
    if more[0] >= max(step[0], spread[0]):
        raise ShapeError(f"output_padding must be smaller than the stride or the dilation, got {output_padding}")
    N, C, D, H, W = input.array.shape
    KD = weight.array.shape[2]
    painted = (D - 1) * step[0] - 2 * cut[0] + spread[0] * (KD - 1) + more[0] + 1
    if D < 1 or painted < 1:
        raise ShapeError(f"nothing is left of an input of shape {input.shape} with padding={padding}")
    images = input.transpose(1, 2).reshape(N * D, C, H, W)
    y = conv_transpose2d(images, _taps_as_channels(weight), None, step[1:], cut[1:], more[1:], groups, spread[1:])
    y = DepthSums.apply(y, Depth(painted, KD, D, step[0], spread[0], cut[0], groups))
    return y if bias is None else y + bias.reshape(-1, 1, 1, 1)


class Conv3d(ConvND):
    """Convolution over volumes: see conv3d.   (N, C, D, H, W) -> (N, O, OD, OH, OW)

    ``weight`` (O, C/groups, KD, KH, KW) and ``bias`` (O,) start uniform in ±1/√(KD·KH·KW·C/groups).
    ``padding_mode`` as for Conv2d.
    """

    dims, convolve = 3, staticmethod(conv3d)


class ConvTranspose3d(ConvTransposeND):
    """Transposed convolution over volumes: see conv_transpose3d.   (N, C, D, H, W) -> (N, O, OD, OH, OW)

    ``weight`` (C, O/groups, KD, KH, KW) and ``bias`` (O,) start uniform in ±1/√(KD·KH·KW·O/groups).
    ``output_size`` as for ConvTranspose2d.
    """

    dims, convolve = 3, staticmethod(conv_transpose3d)
