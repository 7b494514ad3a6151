"""What the arguments of a convolution mean, and what does not fit: the checks that all convolutions share."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.errors import DtypeError, ShapeError
from npnn.kernels.conv import Geometry
from npnn.nn.checks import pair, permute_hint
from npnn.tensor import Tensor

__all__ = ["Size", "check_groups", "check_input", "check_weight", "geometry", "image_size", "per_axis"]

Size = int | tuple[int, ...]
_KERNEL, _SPACE = ("KD", "KH", "KW"), ("D", "H", "W")


def per_axis(value: Any, dims: int) -> Any:
    """A module's argument as torch keeps it: a tuple with one number per axis, or a string."""
    return (value,) * dims if hasattr(value, "__index__") else value if isinstance(value, str) else tuple(value)


def image_size(shape: tuple[int, ...], dims: int) -> Any:
    """(H, W) or (D, H, W): the last ``dims`` axes; a sequence is an image of height 1."""
    return (1, shape[-1]) if dims == 1 else tuple(shape[-dims:])


def geometry(
    kernel_size: tuple[int, ...], stride: Any, padding: Any, dilation: Any, groups: int, dims: int
) -> Geometry:
    """The arguments of conv1d, conv2d and conv3d, checked and made explicit."""
    stride = pair("stride", stride, dims, 1, 1)
    dilation = pair("dilation", dilation, dims, 1, 1)
    if padding == "same":
        if max(stride) > 1:
            raise ShapeError(f"padding='same' needs stride 1, got stride={stride[-dims:]}")
        more = [d * (k - 1) for d, k in zip(dilation, image_size(kernel_size, dims), strict=True)]
        before, after = tuple([n // 2 for n in more]), tuple([n - n // 2 for n in more])
        return Geometry(stride, before, after, dilation, groups)  # type: ignore[arg-type]  # three of each for a volume
    if padding == "valid":
        padding = 0
    elif isinstance(padding, str):
        raise ShapeError(f"padding must be 'valid', 'same' or whole numbers, got {padding!r}")
    padding = pair("padding", padding, dims, 0, 0)
    return Geometry(stride, padding, padding, dilation, groups)


def check_groups(groups: int, **channels: int) -> None:
    """Errors: ShapeError unless the channels can be cut into so many groups."""
    if not isinstance(groups, int) or groups < 1:
        raise ShapeError(f"groups must be a positive whole number, got {groups!r}")
    for name, count in channels.items():
        if count < 0 or count % groups:
            raise ShapeError(f"{name} must be divisible by groups={groups} and not negative, got {count}")


def check_weight(weight: Tensor, bias: Tensor | None, dims: int, groups: int, transposed: bool = False) -> None:
    """Errors: ShapeError for a weight with other axes, channels that cannot be grouped or a bias of another length."""
    if weight.ndim != dims + 2:
        axes = f"{'C, O' if transposed else 'O, C'}/groups, {', '.join(_KERNEL[-dims:]) if dims > 1 else 'K'}"
        raise ShapeError(f"expected a weight of shape ({axes}), got {weight.shape}")
    check_groups(groups, **{"in_channels" if transposed else "out_channels": weight.shape[0]})
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    if bias is not None and bias.shape != (outputs,):
        raise ShapeError(f"expected a bias of shape {(outputs,)}, got {bias.shape}")


def check_input(x: Tensor, weight: Tensor, bias: Tensor | None, dims: int, channels: int) -> None:
    """Errors: ShapeError for an input with other axes or channels; DtypeError for another dtype than the weight's."""
    if not dims < x.ndim < dims + 3 or x.shape[-dims - 1] != channels:
        raise ShapeError(_wrong_input(x.shape, dims, channels))
    if x.dtype != weight.dtype or (bias is not None and bias.dtype != weight.dtype):
        raise DtypeError(_wrong_dtype(x, weight, bias))


def _wrong_input(shape: tuple[int, ...], dims: int, channels: int) -> str:
    axes = ", ".join(("C", *_SPACE[-dims:])) if dims > 1 else "C, L"
    given = f"expected an input of shape (N, {axes}) with C = {channels}, got {shape}"
    if len(shape) == dims + 1 and channels == 1 and shape[-1] != 1:
        return f"{given}; for images of one channel add the axis with x.unsqueeze(1)"
    return given + permute_hint(shape, dims, channels)


def _wrong_dtype(x: Tensor, weight: Tensor, bias: Tensor | None) -> str:
    found = f"the input is {x.dtype}, the weight {weight.dtype}" + ("" if bias is None else f", the bias {bias.dtype}")
    cast = "model.double()" if x.dtype == np.float64 else f"x.{'double' if weight.dtype == np.float64 else 'float'}()"
    return f"expected one dtype, but {found}: cast with {cast}"
