"""Transposed convolution: every input pixel paints the kernel, scaled by its value, onto the output.

It is the derivative of a convolution with respect to its input, used forwards: where the one gathers
a window into a pixel, the other spreads a pixel over a window.  So the three passes of
npnn.kernels.conv are all it needs, in other roles.  The weight has the shape (C, O/groups, KH, KW):
that of the convolution from the output back to the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import ShapeError
from npnn.function import Function
from npnn.kernels import conv as kernels
from npnn.kernels.conv import Geometry
from npnn.nn.checks import pair
from npnn.nn.convolution.conv import ConvBase, Convolution, Correlation
from npnn.nn.convolution.geometry import Size, check_input, check_weight, image_size, per_axis
from npnn.nn.layout import channels_first, contiguous_channels_last
from npnn.tensor import Tensor

__all__ = ["ConvTranspose1d", "ConvTranspose2d", "conv_transpose1d", "conv_transpose2d"]

Pair = tuple[int, int]  # along the height, along the width


class TransposedConvolution(Function):
    """y = every x times the kernel, painted over each other, + b, for one or two spatial axes, batched or not.

    x (N, C, H, W), w (C, O/G, KH, KW), b (O,) -> y (N, O, OH, OW)

    ``geometry`` is that of the convolution from the painted part of y, of ``size``, back to x;
    ``extra`` rows and columns at the end are out of every kernel's reach and hold b alone.

    Gradient: dx = the convolution of dy with w, dw = the correlation of dy with x, db = Σ dy.
    """

    def forward(
        self, x: NDArray[Any], w: NDArray[Any], b: NDArray[Any] | None, geometry: Geometry, size: Pair, extra: Pair
    ) -> NDArray[Any]:
        dims, ndim = w.ndim - 2, x.ndim
        x, w = contiguous_channels_last(x, dims), contiguous_channels_last(w, dims)
        if True in self.needs_grad:
            self.layout, self.geometry, self.size, self.kernel_size = (dims, ndim), geometry, size, w.shape[1:3]
            self.kernel = w if self.needs_grad[0] else None
            self.image = x if self.needs_grad[1] else None
        y = kernels.backward_input(x, w, size, geometry)  # (N, OH, OW, O)
        if any(extra):
            y = np.pad(y, ((0, 0), (0, extra[0]), (0, extra[1]), (0, 0)))
        if b is not None:
            y += b
        return channels_first(y, dims, ndim)

    def backward(self, dy: NDArray[Any]) -> Any:
        dims, ndim = self.layout
        dy = contiguous_channels_last(dy, dims)
        db = dy.sum(axis=(0, 1, 2)) if self.needs_grad[2] else None
        dy = np.ascontiguousarray(dy[:, : self.size[0], : self.size[1]])
        dx = dw = None
        if self.kernel is not None:
            dx = channels_first(kernels.forward(dy, self.kernel, None, self.geometry), dims, ndim)
        if self.image is not None:
            dw, _ = kernels.backward_weight(dy, self.image, self.kernel_size, self.geometry)
            dw = channels_first(dw, dims, dims + 2)
        return dx, dw, db

    def derivative(self: Any, dy: Tensor) -> Any:
        dims, ndim = self.layout
        db = dy.sum([a for a in range(ndim) if a != ndim - dims - 1]) if self.needs_grad[2] else None
        for axis, n in zip(range(ndim - dims, ndim), self.size[-dims:], strict=True):
            dy = dy.narrow(axis, 0, n)
        dx = dw = None
        if self.kernel is not None:
            w = self.input(1, channels_first(self.kernel, dims, dims + 2))
            dx = Convolution.apply(dy, w, None, geometry=self.geometry)
        if self.image is not None:
            x = self.input(0, channels_first(self.image, dims, ndim))
            dw = Correlation.apply(dy, x, self.geometry, self.kernel_size, dims)
        return dx, dw, db


def _painted(n: int, kernel: int, stride: int, padding: int, output_padding: int, dilation: int) -> tuple[int, ...]:
    """Along one axis of n pixels: rows cut off before and after what they paint, rows left of it, rows added behind.

    ``padding`` cuts rows off at both ends; ``output_padding`` gives some back at the second, and
    where all are back it adds rows that no pixel reaches.
    """
    full = (n - 1) * stride + dilation * (kernel - 1) + 1
    before, after = min(padding, full), max(padding - output_padding, 0)
    painted = full - before - after
    return before, after, painted, full - 2 * padding + output_padding - painted


def _convolve_transposed(
    dims: int, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, output_padding: Any,
    groups: int, dilation: Any,
) -> Tensor:  # fmt: skip
    """Check everything, then apply."""
    check_weight(weight, bias, dims, groups, transposed=True)
    check_input(x, weight, bias, dims, weight.shape[0])
    step, spread = pair("stride", stride, dims, 1, 1), pair("dilation", dilation, dims, 1, 1)
    cut, more = pair("padding", padding, dims, 0, 0), pair("output_padding", output_padding, dims, 0, 0)
    if any(m >= max(s, d) for m, s, d in zip(more, step, spread, strict=True)):
        raise ShapeError(f"output_padding must be smaller than the stride or the dilation, got {output_padding}")
    size, kernel = image_size(x.shape, dims), image_size(weight.shape, dims)
    height, width = (_painted(*axis) for axis in zip(size, kernel, step, cut, more, spread, strict=True))
    before, after, painted, extra = zip(height, width, strict=True)
    if min(size) < 1 or painted[0] + extra[0] < 1 or painted[1] + extra[1] < 1:
        raise ShapeError(f"nothing is left of an input of shape {x.shape} with padding={padding}")
    moves = Geometry(step, before, after, spread, groups)
    return TransposedConvolution.apply(x, weight, bias, geometry=moves, size=painted, extra=extra)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """y[n, o, i·stride + k·dilation - padding] += x[n, c, i] · w[c, o, k], from b[o] on

    input (N, C, L) or (C, L), weight (C, O/groups, K), bias (O,) -> (N, O, OL) or (O, OL).
    Arguments and errors as for conv_transpose2d.
    """
    return _convolve_transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """y[n, o, i·stride + k·dilation - padding, j·...] += x[n, c, i, j] · w[c, o, k, l], from b[o] on

    input (N, C, H, W) or (C, H, W), weight (C, O/groups, KH, KW), bias (O,) -> (N, O, OH, OW) or
    (O, OH, OW), where OH = (H - 1)·stride - 2·padding + dilation·(KH - 1) + output_padding + 1.

    With the arguments of a convolution it gives the image back its size: exactly, if ``output_padding``
    is the remainder that the convolution's division by the stride dropped.

    Gradient: dx is the convolution of dy with w, dw the correlation of dy with x, db the sum of dy.
    Errors: ShapeError for channels, sizes or arguments that do not fit, DtypeError for mixed dtypes.
    Source: Dumoulin & Visin, A guide to convolution arithmetic for deep learning, 2016, chapter 4.
    """
    return _convolve_transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


class ConvTransposeND(ConvBase):
    """What ConvTranspose1d, 2d and 3d share: everything but the number of spatial axes."""

    transposed = True
    convolve: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        if padding_mode != "zeros":
            raise ValueError(f"{type(self).__name__} has only the padding_mode 'zeros', got {padding_mode!r}")
        pair("padding", padding, self.dims, 0, 0)  # not 'same' or 'valid'
        pair("output_padding", output_padding, self.dims, 0, 0)
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )
        self.output_padding = per_axis(output_padding, self.dims)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        output_padding = self.output_padding if output_size is None else self._padding_for(input, output_size)
        return self.convolve(
            input, self.weight, self.bias, self.stride, self.padding, output_padding, self.groups, self.dilation
        )

    def _padding_for(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output_padding that gives the image of ``output_size``, (OH, OW) or a whole shape."""
        check_input(input, self.weight, self.bias, self.dims, self.in_channels)
        wanted = tuple(output_size)
        if len(wanted) == input.ndim:
            wanted = wanted[-self.dims :]
        if len(wanted) != self.dims:
            raise ShapeError(f"output_size must have {self.dims} or {input.ndim} elements, got {output_size}")
        axes = zip(input.shape[-self.dims :], self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in axes]
        if any(not low <= n < low + s for n, low, s in zip(wanted, least, self.stride, strict=True)):
            most = [low + s - 1 for low, s in zip(least, self.stride, strict=True)]
            raise ShapeError(f"an input of shape {input.shape} can give sizes from {least} to {most}, not {wanted}")
        return tuple([n - low for n, low in zip(wanted, least, strict=True)])


class ConvTranspose1d(ConvTransposeND):
    """Transposed convolution over sequences: see conv_transpose1d.   (N, C, L) -> (N, O, OL)

    ``weight`` (C, O/groups, K) and ``bias`` (O,) start uniform in ±1/√(K·O/groups).
    ``output_size`` as for ConvTranspose2d.
    """

    dims, convolve = 1, staticmethod(conv_transpose1d)


class ConvTranspose2d(ConvTransposeND):
    """Transposed convolution over images: see conv_transpose2d.   (N, C, H, W) -> (N, O, OH, OW)

    ``weight`` (C, O/groups, KH, KW) and ``bias`` (O,) start uniform in ±1/√(KH·KW·O/groups).
    ``layer(x, output_size=(OH, OW))`` finds the output_padding that gives that size.
    """

    dims, convolve = 2, staticmethod(conv_transpose2d)
