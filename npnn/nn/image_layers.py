"""Layers that rearrange images: other sizes, pixels for channels, windows as columns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import ShapeError
from npnn.nn.checks import check_floating
from npnn.nn.module import Module
from npnn.ops.shape import permute, reshape
from npnn.tensor import Function, Tensor

__all__ = [
    "ChannelShuffle", "Fold", "PixelShuffle", "PixelUnshuffle", "Unfold", "Upsample", "UpsamplingBilinear2d",
    "UpsamplingNearest2d", "channel_shuffle", "fold", "interpolate", "pixel_shuffle", "pixel_unshuffle", "unfold",
    "upsample",
]  # fmt: skip


# ---- other sizes


class Resample(Function):
    """y = x with each spatial axis multiplied by a matrix of weights, one row for each place of the result.

    Interpolation is separable and linear: one axis after the other.   dx = dy times the transposed matrices
    """

    def forward(self, x: NDArray[Any], matrices: list[NDArray[Any]]) -> NDArray[Any]:
        self.matrices = [m.astype(x.dtype) for m in matrices]
        for axis, m in enumerate(self.matrices, 2):
            x = np.moveaxis(np.tensordot(x, m, ([axis], [1])), -1, axis)
        return np.ascontiguousarray(x)

    def backward(self, dy: NDArray[Any]) -> Any:
        for axis, m in enumerate(self.matrices, 2):
            dy = np.moveaxis(np.tensordot(dy, m, ([axis], [0])), -1, axis)
        return np.ascontiguousarray(dy), None


class Pick(Function):
    """y = x with whole rows, columns, ... repeated or left out, by their numbers.   dx = dy added up where they came from"""

    def forward(self, x: NDArray[Any], numbers: list[NDArray[Any]]) -> NDArray[Any]:
        self.shape, self.numbers = x.shape, numbers
        index: tuple[Any, ...] = (slice(None), slice(None), *np.ix_(*numbers))
        return x[index]

    def backward(self, dy: NDArray[Any]) -> Any:
        for axis, (numbers, n) in enumerate(zip(self.numbers, self.shape[2:], strict=True), 2):
            dx = np.zeros((*dy.shape[:axis], n, *dy.shape[axis + 1 :]), dy.dtype)
            np.add.at(np.moveaxis(dx, axis, 0), numbers, np.moveaxis(dy, axis, 0))
            dy = dx
        return dy, None


def _nearest(n: int, m: int, scale: float, exact: bool) -> NDArray[Any]:
    places = np.arange(m)
    found = np.floor((places + 0.5) * scale) if exact else np.floor(places * np.float32(scale))
    return np.minimum(found.astype(np.int64), n - 1)


def _sources(n: int, m: int, scale: float, align: bool) -> NDArray[Any]:
    """Where each place of the result lies in the input."""
    places = np.arange(m, dtype=np.float64)
    if align:
        return places * ((n - 1) / (m - 1)) if m > 1 else places * 0
    return (places + 0.5) * scale - 0.5


def _linear_weights(n: int, m: int, scale: float, align: bool) -> NDArray[Any]:
    at = np.maximum(_sources(n, m, scale, align), 0)
    low = np.minimum(at.astype(np.int64), n - 1)
    high, w = np.minimum(low + 1, n - 1), at - low
    weights = np.zeros((m, n))
    np.add.at(weights, (np.arange(m), low), 1 - w)
    np.add.at(weights, (np.arange(m), high), w)
    return weights


def _cubic_weights(n: int, m: int, scale: float, align: bool) -> NDArray[Any]:
    """Keys's kernel with a = -3/4, edges repeated.   Source: Keys, Cubic convolution interpolation, 1981."""
    at = _sources(n, m, scale, align)
    first, a = np.floor(at).astype(np.int64), -0.75
    weights = np.zeros((m, n))
    for k in range(-1, 3):
        d = np.abs(at - (first + k))
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((d - 5) * d + 8) * d * a - 4 * a
        np.add.at(weights, (np.arange(m), np.clip(first + k, 0, n - 1)), np.where(d <= 1, near, far))
    return weights


def _area_weights(n: int, m: int) -> NDArray[Any]:
    weights = np.zeros((m, n))
    for i in range(m):
        start, stop = i * n // m, -(-(i + 1) * n // m)
        weights[i, start:stop] = 1 / (stop - start)
    return weights


def _antialiased_weights(n: int, m: int, scale: float, align: bool, cubic: bool) -> NDArray[Any]:
    """A kernel as wide as the step between places, so that no pixel is passed over."""
    scale = (n - 1) / (m - 1) if align and m > 1 else scale
    width, reach = max(scale, 1.0), 2.0 if cubic else 1.0
    weights = np.zeros((m, n))
    for i in range(m):
        center = scale * (i + 0.5)
        low, high = max(int(center - reach * width + 0.5), 0), min(int(center + reach * width + 0.5), n)
        d = np.abs((np.arange(low, high) - center + 0.5) / width)
        if cubic:
            a = -0.5
            w = np.where(
                d < 1, ((a + 2) * d - (a + 3)) * d * d + 1, np.where(d < 2, (((d - 5) * d + 8) * d - 4) * a, 0)
            )
        else:
            w = np.maximum(1 - d, 0)
        weights[i, low:high] = w / w.sum()
    return weights


_MODES = {
    "nearest": None,
    "nearest-exact": None,
    "area": None,
    "linear": 1,
    "bilinear": 2,
    "bicubic": 2,
    "trilinear": 3,
}


def interpolate(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Tensor:  # fmt: skip
    """The image, sequence or volume in another size.   (N, C, *) -> (N, C, *')

    ``size`` or ``scale_factor``, for all axes or each; ``mode`` nearest, nearest-exact, area, linear (3 axes),
    bilinear, bicubic (4) or trilinear (5).  ``align_corners`` puts the outermost pixels onto each other.
    Errors: ValueError, ShapeError, NotImplementedError for what does not go together.
    """
    dims = input.array.ndim - 2
    if mode not in _MODES:
        raise NotImplementedError(f"interpolate: mode must be one of {', '.join(_MODES)}, got {mode!r}")
    if dims < 1 or dims > 3 or (_MODES[mode] or dims) != dims:
        raise NotImplementedError(f"Input Error: a {input.array.ndim}-D input does not go with mode {mode!r}")
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise ValueError("align_corners option can only be set with the interpolating modes: linear | bilinear | ...")
    if (size is None) == (scale_factor is None):
        raise ValueError("either size or scale_factor should be defined, and only one of them")
    if antialias and (mode not in ("bilinear", "bicubic") or dims != 2):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input"
        )
    old = input.array.shape[2:]
    factors: list[float | None] = [None] * dims
    if size is not None:
        new = [int(n) for n in (size if isinstance(size, (tuple, list)) else [size] * dims)]
    else:
        given = list(scale_factor) if isinstance(scale_factor, (tuple, list)) else [scale_factor] * dims
        factors = [None if recompute_scale_factor else float(f) for f in given]
        new = [math.floor(n * float(f)) for n, f in zip(old, given, strict=True)]
    if len(new) != dims or min(new) < 1:
        raise ShapeError(f"interpolate: {new} is no size for an input of shape {input.shape}")
    scales = [1 / f if f else n / m for f, n, m in zip(factors, old, new, strict=True)]
    each = list(zip(old, new, scales, strict=True))
    if mode in ("nearest", "nearest-exact"):
        return Pick.apply(input, [_nearest(n, m, s, mode != "nearest") for n, m, s in each])
    check_floating("interpolate", input)
    align = bool(align_corners)
    if mode == "area":
        matrices = [_area_weights(n, m) for n, m, _ in each]
    elif antialias:
        matrices = [_antialiased_weights(n, m, s, align, mode == "bicubic") for n, m, s in each]
    else:
        weights = _cubic_weights if mode == "bicubic" else _linear_weights
        matrices = [weights(n, m, s, align) for n, m, s in each]
    return Resample.apply(input, matrices)


upsample = interpolate


class Upsample(Module):
    """Another size: see interpolate.   (N, C, *) -> (N, C, *')"""

    def __init__(
        self, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ):  # fmt: skip
        super().__init__()
        self.size, self.mode, self.align_corners = size, mode, align_corners
        self.scale_factor = (
            tuple(map(float, scale_factor))
            if isinstance(scale_factor, tuple)
            else (float(scale_factor) if scale_factor else None)
        )
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        first = f"scale_factor={self.scale_factor!r}" if self.scale_factor is not None else f"size={self.size!r}"
        return f"{first}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Upsample with mode nearest."""

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """Upsample with mode bilinear and aligned corners."""

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__(size, scale_factor, "bilinear", True)


# ---- pixels for channels


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """r² channels as r x r pixels.   (*, C r², H, W) -> (*, C, H r, W r)

    Source: Shi et al., Real-time single image and video super-resolution, 2016.
    """
    r, shape = upscale_factor, input.array.shape
    if input.array.ndim < 3 or r < 1 or shape[-3] % (r * r):
        raise RuntimeError(f"pixel_shuffle: {shape} cannot give {r * r} channels to each pixel")
    *lead, C, H, W = shape
    n = len(lead)
    x = reshape(input, *lead, C // (r * r), r, r, H, W)
    x = permute(x, *range(n), n, n + 3, n + 1, n + 4, n + 2)
    return reshape(x, *lead, C // (r * r), H * r, W * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """r x r pixels as r² channels.   (*, C, H r, W r) -> (*, C r², H, W)"""
    r, shape = downscale_factor, input.array.shape
    if input.array.ndim < 3 or r < 1 or shape[-1] % r or shape[-2] % r:
        raise RuntimeError(f"pixel_unshuffle: {shape} cannot be cut into windows of {r} x {r}")
    *lead, C, H, W = shape
    n = len(lead)
    x = reshape(input, *lead, C, H // r, r, W // r, r)
    x = permute(x, *range(n), n, n + 2, n + 4, n + 1, n + 3)
    return reshape(x, *lead, C * r * r, H // r, W // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels of g groups dealt out in turn.   (N, C, *), the same.   Source: Zhang et al., ShuffleNet, 2018."""
    N, C, *rest = input.array.shape
    if groups < 1 or C % groups:
        raise RuntimeError("Number of channels must be divisible by groups")
    x = reshape(input, N, groups, C // groups, *rest)
    return reshape(x.transpose(1, 2), N, C, *rest)


class PixelShuffle(Module):
    """See pixel_shuffle.   (*, C r², H, W) -> (*, C, H r, W r)"""

    def __init__(self, upscale_factor: int):
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """See pixel_unshuffle.   (*, C, H r, W r) -> (*, C r², H, W)"""

    def __init__(self, downscale_factor: int):
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """See channel_shuffle.   (N, C, *)"""

    def __init__(self, groups: int):
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"


# ---- windows as columns


def _two(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)  # type: ignore[return-value]


class Columns(Function):
    """y[:, (c, i, j), l] = the pixel (i, j) of window l in channel c.   dx = dy added up where windows overlap"""

    def forward(self, x: NDArray[Any], k: Any, d: Any, p: Any, s: Any) -> NDArray[Any]:
        self.shape, self.how = x.shape, (k, d, p, s)
        padded = np.pad(x, ((0, 0), (0, 0), (p[0], p[0]), (p[1], p[1])))
        rows, columns = _counts(x.shape[2:], k, d, p, s)
        y = np.stack([padded[w] for w in _windows(k, d, s, rows, columns)], 2)
        return y.reshape(x.shape[0], x.shape[1] * k[0] * k[1], rows * columns)

    def backward(self, dy: NDArray[Any]) -> Any:
        return _added_up(dy, self.shape, *self.how), None, None, None, None


class Overlapped(Function):
    """y = windows (columns of x) laid onto an image and added up.   dx = the windows of dy"""

    def forward(self, x: NDArray[Any], shape: Any, k: Any, d: Any, p: Any, s: Any) -> NDArray[Any]:
        self.how = k, d, p, s
        return _added_up(x, (x.shape[0], x.shape[1] // (k[0] * k[1]), *shape), k, d, p, s)

    def backward(self, dy: NDArray[Any]) -> Any:
        return Columns().forward(dy, *self.how), None, None, None, None, None


def _counts(size: Any, k: Any, d: Any, p: Any, s: Any) -> list[int]:
    return [(size[i] + 2 * p[i] - d[i] * (k[i] - 1) - 1) // s[i] + 1 for i in (0, 1)]


def _windows(k: Any, d: Any, s: Any, rows: int, columns: int) -> Any:
    for i in range(k[0]):
        for j in range(k[1]):
            top, left = i * d[0], j * d[1]
            yield (
                slice(None), slice(None), slice(top, top + (rows - 1) * s[0] + 1, s[0]),
                slice(left, left + (columns - 1) * s[1] + 1, s[1]),
            )  # fmt: skip


def _added_up(y: NDArray[Any], shape: Any, k: Any, d: Any, p: Any, s: Any) -> NDArray[Any]:
    N, C, H, W = shape
    rows, columns = _counts((H, W), k, d, p, s)
    parts = y.reshape(N, C, k[0] * k[1], rows, columns)
    out = np.zeros((N, C, H + 2 * p[0], W + 2 * p[1]), y.dtype)
    for i, window in enumerate(_windows(k, d, s, rows, columns)):
        out[window] += parts[:, :, i]
    return out[:, :, p[0] : p[0] + H, p[1] : p[1] + W]


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows of a convolution as columns (im2col).   (N, C, H, W) -> (N, C KH KW, L)

    Errors: ShapeError for another number of axes, or a window larger than the image.
    """
    if input.array.ndim == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    if input.array.ndim != 4:
        raise ShapeError(f"unfold: expected an input of shape (N, C, H, W), got {input.shape}")
    how = [_two(v) for v in (kernel_size, dilation, padding, stride)]
    if min(_counts(input.array.shape[2:], *how)) < 1 or min(how[0] + how[1] + how[3]) < 1:
        raise ShapeError(f"unfold: windows of {how[0]} do not fit an input of shape {input.shape}")
    return Columns.apply(input, *how)


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Columns laid onto an image and added up where they overlap: unfold's adjoint.   (N, C KH KW, L) -> (N, C, H, W)

    Errors: ShapeError for columns that do not go with these sizes.
    """
    if input.array.ndim == 2:
        return fold(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride).squeeze(0)
    size, how = _two(output_size), [_two(v) for v in (kernel_size, dilation, padding, stride)]
    counts = _counts(size, *how)
    window = how[0][0] * how[0][1]
    if input.array.ndim != 3 or input.array.shape[1] % window or input.array.shape[2] != counts[0] * counts[1]:
        raise ShapeError(f"fold: {input.shape} does not hold {counts[0] * counts[1]} windows of {window} pixels")
    return Overlapped.apply(input, size, *how)


class Unfold(Module):
    """See unfold.   (N, C, H, W) -> (N, C KH KW, L)"""

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1):
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return ", ".join(f"{n}={getattr(self, n)}" for n in ("kernel_size", "dilation", "padding", "stride"))


class Fold(Module):
    """See fold.   (N, C KH KW, L) -> (N, C, H, W)"""

    def __init__(self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1):
        super().__init__()
        self.output_size, self.kernel_size, self.dilation = output_size, kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return ", ".join(
            f"{n}={getattr(self, n)}" for n in ("output_size", "kernel_size", "dilation", "padding", "stride")
        )
