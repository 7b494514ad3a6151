"""Pooling of volumes, (N, C, D, H, W): of every slice as an image, and then along the depth.

The largest of the largest, and the mean of the means, is that of the whole window: windows are separable.
"""

from __future__ import annotations

from typing import Any

from npnn.errors import ShapeError
from npnn.nn.checks import check_floating, pair
from npnn.nn.pooling.adaptive import AdaptiveAvgPool2d, AdaptiveMaxPool2d, adaptive_avg_pool2d, adaptive_max_pool2d
from npnn.nn.pooling.average_max import AvgPool2d, MaxPool2d, avg_pool2d, max_pool2d
from npnn.nn.pooling.power import LPPool1d, p_norm_of_windows
from npnn.tensor import Tensor, _from_array

__all__ = [
    "AdaptiveAvgPool3d", "AdaptiveMaxPool3d", "AvgPool3d", "LPPool3d", "MaxPool3d", "adaptive_avg_pool3d",
    "adaptive_max_pool3d", "avg_pool3d", "lp_pool3d", "max_pool3d",
]  # fmt: skip

Size = int | tuple[int, ...]


def _batch(name: str, x: Tensor) -> Tensor:
    """A batch of volumes.  Errors: ShapeError for another number of axes, or an axis of size 0 but the batch's."""
    if x.array.ndim not in (4, 5) or 0 in x.array.shape[-4:]:
        raise ShapeError(
            f"{name}: expected an input of shape (N, C, D, H, W) or (C, D, H, W), only N may be 0, got {x.shape}"
        )
    return x if x.array.ndim == 5 else x.unsqueeze(0)


def _images(x: Tensor) -> Tensor:
    """(N, C, D, H, W) -> the slices (N D, C, H, W)"""
    N, C, D, H, W = x.array.shape
    return x.transpose(1, 2).reshape(N * D, C, H, W)


def _depth(y: Tensor, N: int, D: int) -> Tensor:
    """The pooled slices as images whose height is the depth.   (N D, C, OH, OW) -> (N, C, D, OH OW)"""
    _, C, H, W = y.array.shape
    return y.reshape(N, D, C, H * W).transpose(1, 2)


def _volume(z: Tensor, like: Tensor, size: Any) -> Tensor:
    """(N, C, OD, OH OW) -> (N, C, OD, OH, OW), without the batch's axis where the input had none."""
    z = z.reshape(*z.array.shape[:3], *size)
    return z if like.array.ndim == 5 else z.squeeze(0)


def _three(name: str, value: Any, least: int) -> Any:
    return pair(name, value, 3, least, least)


def _largest(input: Tensor, x: Tensor, of_images: Any, along_depth: Any, return_indices: bool) -> Any:
    """The two poolings, which take a batch and whether the places are asked for, after each other."""
    N, _, D, H, W = x.array.shape
    y = of_images(_images(x), return_indices)
    if not return_indices:
        return _volume(along_depth(_depth(y, N, D), False), input, y.array.shape[2:])
    y, inside = y
    size = y.array.shape[2:]
    z, places = along_depth(_depth(y, N, D), True)
    slices = places.array // (size[0] * size[1])  # the slice that won: places are slice · columns + column
    within = _depth(inside, N, D).gather(2, _from_array(slices)).array
    return _volume(z, input, size), _volume(_from_array(slices * (H * W) + within), input, size)


def max_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window.   (N, C, D, H, W) or (C, D, H, W) -> the same with OD, OH, OW

    Arguments, sizes and errors as for max_pool2d; ``return_indices`` adds where the maxima are, as (d·H + h)·W + w.
    """
    x = _batch("max_pool3d", input)
    k = _three("kernel_size", kernel_size, 1)
    s = k if stride is None or stride in ([], ()) else _three("stride", stride, 1)
    p, d = _three("padding", padding, 0), _three("dilation", dilation, 1)
    return _largest(
        input, x,
        lambda y, places: max_pool2d(y, k[1:], s[1:], p[1:], d[1:], ceil_mode, places),
        lambda z, places: max_pool2d(z, (k[0], 1), (s[0], 1), (p[0], 0), (d[0], 1), ceil_mode, places),
        return_indices,
    )  # fmt: skip


def avg_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window.   (N, C, D, H, W) or (C, D, H, W) -> the same with OD, OH, OW

    Arguments, sizes and errors as for avg_pool2d.
    """
    x = _batch("avg_pool3d", input)
    check_floating("avg_pool3d", input)
    if divisor_override == 0:
        raise ShapeError("divisor_override must not be zero")
    k = _three("kernel_size", kernel_size, 1)
    s = k if stride is None or stride in ([], ()) else _three("stride", stride, 1)
    p = _three("padding", padding, 0)
    sums = None if divisor_override is None else 1
    y = avg_pool2d(_images(x), k[1:], s[1:], p[1:], ceil_mode, count_include_pad, sums)
    size = y.array.shape[2:]
    z = _depth(y, *[x.array.shape[a] for a in (0, 2)])
    z = avg_pool2d(z, (k[0], 1), (s[0], 1), (p[0], 0), ceil_mode, count_include_pad, divisor_override)
    return _volume(z, input, size)


def _sizes(name: str, x: Tensor, output_size: Any) -> tuple[int, ...]:
    out = (output_size,) * 3 if output_size is None or isinstance(output_size, int) else tuple(output_size)
    if len(out) != 3 or min(n or 0 for n in out) < 0:
        raise ShapeError(f"{name}: output_size must be 3 whole numbers or None, got {output_size}")
    return tuple([n if wanted is None else wanted for n, wanted in zip(x.array.shape[2:], out, strict=True)])


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """The mean of each of OD x OH x OW windows: see adaptive_avg_pool2d.   (N, C, D, H, W) or (C, D, H, W)"""
    x = _batch("adaptive_avg_pool3d", input)
    out = _sizes("adaptive_avg_pool3d", x, output_size)
    z = _depth(adaptive_avg_pool2d(_images(x), out[1:]), *[x.array.shape[a] for a in (0, 2)])
    return _volume(adaptive_avg_pool2d(z, (out[0], z.array.shape[3])), input, out[1:])


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest element of each of OD x OH x OW windows, and where it is: see adaptive_max_pool2d and max_pool3d."""
    x = _batch("adaptive_max_pool3d", input)
    out = _sizes("adaptive_max_pool3d", x, output_size)
    return _largest(
        input, x,
        lambda y, places: adaptive_max_pool2d(y, out[1:], places),
        lambda z, places: adaptive_max_pool2d(z, (out[0], z.array.shape[3]), places),
        return_indices,
    )  # fmt: skip


def lp_pool3d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """(Σ xᵖ)^(1/p) over windows.   (N, C, D, H, W)"""
    return p_norm_of_windows(input, float(norm_type), avg_pool3d, kernel_size, stride, ceil_mode, 3)


class MaxPool3d(MaxPool2d):
    """The largest element of each window: see max_pool3d.   (N, C, D, H, W) -> (N, C, OD, OH, OW)"""

    pool = staticmethod(max_pool3d)


class AvgPool3d(AvgPool2d):
    """The mean of each window: see avg_pool3d.   (N, C, D, H, W) -> (N, C, OD, OH, OW)"""

    pool = staticmethod(avg_pool3d)


class AdaptiveAvgPool3d(AdaptiveAvgPool2d):
    """See adaptive_avg_pool3d.   (N, C, D, H, W) -> (N, C, OD, OH, OW)"""

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_avg_pool3d(input, self.output_size)


class AdaptiveMaxPool3d(AdaptiveMaxPool2d):
    """See adaptive_max_pool3d.   (N, C, D, H, W) -> (N, C, OD, OH, OW)"""

    def forward(self, input: Tensor) -> Any:
        return adaptive_max_pool3d(input, self.output_size, self.return_indices)


class LPPool3d(LPPool1d):
    """See lp_pool3d.   (N, C, D, H, W)"""

    pool = staticmethod(lp_pool3d)
