"""What all transforms of pictures share: sizes, cuts, edges, and the numbers that are drawn."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np

import npnn.random
from npnn.tensor import Tensor, _from_array

__all__ = ["InterpolationMode"]


class InterpolationMode(Enum):
    """How pixels in between are made up."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


def pils(mode: Any) -> Any:
    from PIL import Image

    if isinstance(mode, int):
        return Image.Resampling(mode)
    name = mode.value if isinstance(mode, InterpolationMode) else str(mode)
    return Image.Resampling[name.upper()]


def uniform() -> float:
    """torch.rand(1)"""
    return float(npnn.random.generator().rand(1)[0])


def between(low: float, high: float) -> float:
    """torch.empty(1).uniform_(low, high)"""
    return float(npnn.random.generator().uniform_(np.empty(1, np.float32), low, high)[0])


def whole_number(low: int, high: int) -> int:
    """torch.randint(low, high, (1,))"""
    return int(npnn.random.generator().randint(low, high, (1,))[0])


def size_of(image: Any) -> tuple[int, int]:
    """(height, width)"""
    return tuple(image.array.shape[-2:]) if isinstance(image, Tensor) else (image.size[1], image.size[0])


def pair(size: Any) -> tuple[int, int]:
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    return (int(size[0]), int(size[0])) if len(size) == 1 else (int(size[0]), int(size[1]))


def cut_out(image: Any, top: int, left: int, height: int, width: int) -> Any:
    """The window; what lies outside the picture is 0."""
    if not isinstance(image, Tensor):
        return image.crop((left, top, left + width, top + height))
    h, w = size_of(image)
    if top < 0 or left < 0 or top + height > h or left + width > w:
        image = padded(
            image, (max(-left, 0), max(-top, 0), max(left + width - w, 0), max(top + height - h, 0)), 0, "constant"
        )
        top, left = max(top, 0), max(left, 0)
    return image[..., top : top + height, left : left + width]


def padded(image: Any, padding: tuple[int, int, int, int], fill: Any, mode: str) -> Any:
    """``padding`` is left, top, right, bottom."""
    left, top, right, bottom = padding
    numpys = {"constant": "constant", "edge": "edge", "reflect": "reflect", "symmetric": "symmetric"}[mode]
    if isinstance(image, Tensor):
        widths = [(0, 0)] * (image.array.ndim - 2) + [(top, bottom), (left, right)]
        options = {"constant_values": fill} if mode == "constant" else {}
        return _from_array(np.pad(image.array, widths, mode=numpys, **options))  # type: ignore[call-overload]
    from PIL import Image, ImageOps

    if mode == "constant":
        bands = len(image.getbands())
        colour = tuple(fill) if isinstance(fill, (list, tuple)) else (fill,) * bands if bands > 1 else fill
        return ImageOps.expand(image, border=padding, fill=colour)
    array = np.asarray(image)
    widths = [(top, bottom), (left, right)] + [(0, 0)] * (array.ndim - 2)
    return Image.fromarray(np.pad(array, widths, mode=numpys))  # type: ignore[call-overload]


def pad_widths(padding: Any) -> tuple[int, int, int, int]:
    if isinstance(padding, int):
        return padding, padding, padding, padding
    if len(padding) == 1:
        return (padding[0],) * 4
    return (padding[0], padding[1], padding[0], padding[1]) if len(padding) == 2 else tuple(padding)


def as_pil(function: Callable[[Any], Any], image: Any) -> Any:
    """A change that PIL makes, also of a tensor: channel by channel."""
    if not isinstance(image, Tensor):
        return function(image)
    from PIL import Image

    x = image.array.reshape(-1, *image.array.shape[-2:])
    kind = np.uint8 if x.dtype == np.uint8 else np.float32
    planes = [np.asarray(function(Image.fromarray(plane.astype(kind)))) for plane in x]
    return _from_array(np.stack(planes).reshape(*image.array.shape[:-2], *planes[0].shape).astype(x.dtype))


class Transform:
    """A transform prints its settings."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in vars(self).items())})"
