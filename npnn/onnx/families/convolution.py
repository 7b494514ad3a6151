"""Convolutions and transposed convolutions."""

from __future__ import annotations

from typing import Any

from npnn.kernels.conv import Geometry
from npnn.nn.convolution.conv import Convolution
from npnn.nn.convolution.transpose import TransposedConvolution
from npnn.onnx.table import ONNXError, reads, writes
from npnn.tensor import Tensor


def _attributes(x: Any, w: Any, geometry: Geometry) -> dict[str, Any]:
    if len(x.shape) != len(w.shape):
        raise ONNXError("an input without a batch axis cannot be written: give it one with x.unsqueeze(0)")
    first = 4 - len(w.shape)  # a sequence is an image of height 1, of which ONNX does not speak
    return {
        "strides": geometry.stride[first:], "dilations": geometry.dilation[first:], "group": geometry.groups,
        "pads": geometry.before[first:] + geometry.after[first:], "kernel_shape": w.shape[2:],
    }  # fmt: skip


def _geometry(w: Tensor, strides: Any, pads: Any, dilations: Any, group: int) -> Geometry:
    dims = w.ndim - 2
    if dims not in (1, 2):
        raise ONNXError(f"only sequences and images can be convolved, not arrays with {dims} spatial axes")

    def pair(values: Any, default: int) -> tuple[int, int]:
        return (*[default] * (2 - dims), *(values or [default] * dims))  # type: ignore[return-value]

    pads = pads or [0] * 2 * dims
    return Geometry(pair(strides, 1), pair(pads[:dims], 0), pair(pads[dims:], 0), pair(dilations, 1), group)


@writes(Convolution)
def _write_convolution(g: Any, x: Any, w: Any, b: Any, geometry: Geometry) -> str:
    return g.node("Conv", x, w, b, **_attributes(x, w, geometry))


@reads("Conv", auto_pad="NOTSET")
def _read_conv(
    x: Tensor, w: Tensor, b: Tensor | None = None, *, strides: Any = None, pads: Any = None, dilations: Any = None,
    group: int = 1, kernel_shape: Any = None,
) -> Tensor:  # fmt: skip
    return Convolution.apply(x, w, b, geometry=_geometry(w, strides, pads, dilations, group))


@writes(TransposedConvolution)
def _write_transposed_convolution(g: Any, x: Any, w: Any, b: Any, geometry: Geometry, size: Any, extra: Any) -> str:
    attributes = _attributes(x, w, geometry)
    return g.node("ConvTranspose", x, w, b, output_padding=extra[4 - len(w.shape) :], **attributes)


@reads("ConvTranspose", auto_pad="NOTSET", output_shape=None)
def _read_conv_transpose(
    x: Tensor, w: Tensor, b: Tensor | None = None, *, strides: Any = None, pads: Any = None, dilations: Any = None,
    output_padding: Any = None, group: int = 1, kernel_shape: Any = None,
) -> Tensor:  # fmt: skip
    geometry = _geometry(w, strides, pads, dilations, group)
    dims = w.ndim - 2
    size, kernel = (1, *x.shape[2:])[-2:], (1, *w.shape[2:])[-2:]
    given = (*[0] * (2 - dims), *(output_padding or [0] * dims))
    # The output's padding first gives back what the padding at the end cuts off, then adds what no kernel reaches
    after = tuple(max(p - e, 0) for p, e in zip(geometry.after, given, strict=True))
    extra = tuple(max(e - p, 0) for p, e in zip(geometry.after, given, strict=True))
    painted = tuple(
        (n - 1) * s + d * (k - 1) + 1 - p - q
        for n, s, d, k, p, q in zip(
            size, geometry.stride, geometry.dilation, kernel, geometry.before, after, strict=True
        )
    )
    return TransposedConvolution.apply(x, w, b, geometry=geometry._replace(after=after), size=painted, extra=extra)
