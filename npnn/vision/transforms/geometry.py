"""Where the pixels are: size, crops, mirrors, rotations."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

import npnn.random
from npnn.tensor import Tensor, of_array
from npnn.vision.transforms.pixels import (
    InterpolationMode,
    Transform,
    as_pil,
    between,
    cut_out,
    pad_widths,
    padded,
    pair,
    pils,
    size_of,
    uniform,
    whole_number,
)

__all__ = [
    "CenterCrop", "FiveCrop", "Pad", "RandomAffine", "RandomCrop", "RandomErasing", "RandomHorizontalFlip",
    "RandomResizedCrop", "RandomRotation", "RandomVerticalFlip", "Resize", "TenCrop",
]  # fmt: skip


class Resize(Transform):
    """To (height, width), or, for one number, so that the shorter side has that length."""

    def __init__(
        self,
        size: Any,
        interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ):
        self.size, self.interpolation, self.max_size, self.antialias = size, interpolation, max_size, antialias

    def __call__(self, img: Any) -> Any:
        h, w = size_of(img)
        if isinstance(self.size, int) or len(self.size) == 1:
            short = self.size if isinstance(self.size, int) else self.size[0]
            new = (int(short * h / w), short) if w <= h else (short, int(short * w / h))
            if self.max_size is not None and max(new) > self.max_size:
                new = tuple(int(self.max_size * n / max(new)) for n in new)  # type: ignore[assignment]
        else:
            new = tuple(self.size)  # type: ignore[assignment]
        return img if (h, w) == new else as_pil(lambda im: im.resize(new[::-1], pils(self.interpolation)), img)


class CenterCrop(Transform):
    """The window in the middle; a smaller picture is padded."""

    def __init__(self, size: Any):
        self.size = pair(size)

    def __call__(self, img: Any) -> Any:
        (h, w), (height, width) = size_of(img), self.size
        if height > h or width > w:
            left, top = max((width - w) // 2, 0), max((height - h) // 2, 0)
            img = padded(img, (left, top, max((width - w + 1) // 2, 0), max((height - h + 1) // 2, 0)), 0, "constant")
            h, w = size_of(img)
        return cut_out(img, round((h - height) / 2.0), round((w - width) / 2.0), height, width)


class FiveCrop(Transform):
    """The four corners and the middle, each of ``size``: a tuple of five pictures."""

    def __init__(self, size: Any):
        self.size = pair(size)

    def __call__(self, img: Any) -> tuple[Any, ...]:
        (h, w), (height, width) = size_of(img), self.size
        if height > h or width > w:
            raise ValueError(f"Requested crop size {self.size} is bigger than input size {(h, w)}")
        corners = [(0, 0), (0, w - width), (h - height, 0), (h - height, w - width)]
        return *[cut_out(img, top, left, height, width) for top, left in corners], CenterCrop(self.size)(img)


class TenCrop(Transform):
    """FiveCrop of the picture and of its mirror image, left and right exchanged, or above and below."""

    def __init__(self, size: Any, vertical_flip: bool = False):
        self.size, self.vertical_flip = pair(size), vertical_flip

    def __call__(self, img: Any) -> tuple[Any, ...]:
        flip = RandomVerticalFlip if self.vertical_flip else RandomHorizontalFlip
        five = FiveCrop(self.size)
        return five(img) + five(flip.flipped(img))


class Pad(Transform):
    """A border of so many pixels: constant, edge, reflect or symmetric."""

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant"):
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def __call__(self, img: Any) -> Any:
        return padded(img, pad_widths(self.padding), self.fill, self.padding_mode)


class RandomCrop(Transform):
    """A window at a random place, after padding."""

    def __init__(
        self, size: Any, padding: Any = None, pad_if_needed: bool = False, fill: Any = 0, padding_mode: str = "constant"
    ):  # fmt: skip
        self.size, self.padding, self.pad_if_needed = pair(size), padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    def __call__(self, img: Any) -> Any:
        if self.padding is not None:
            img = padded(img, pad_widths(self.padding), self.fill, self.padding_mode)
        (h, w), (height, width) = size_of(img), self.size
        if self.pad_if_needed and (w < width or h < height):
            across, down = max(width - w, 0), max(height - h, 0)
            img = padded(img, (across, down, across, down), self.fill, self.padding_mode)
            h, w = size_of(img)
        if h < height or w < width:
            raise ValueError(f"Required crop size {(height, width)} is larger than input image size {(h, w)}")
        if (h, w) == (height, width):
            return img
        top = whole_number(0, h - height + 1)
        return cut_out(img, top, whole_number(0, w - width + 1), height, width)


class _RandomFlip(Transform):
    axis: int
    method: str  # of PIL's Transpose

    def __init__(self, p: float = 0.5):
        self.p = p

    def __call__(self, img: Any) -> Any:
        return self.flipped(img) if uniform() < self.p else img

    @classmethod
    def flipped(cls, img: Any) -> Any:
        if isinstance(img, Tensor):
            return img.flip(cls.axis)
        from PIL import Image

        return img.transpose(Image.Transpose[cls.method])


class RandomHorizontalFlip(_RandomFlip):
    """Mirrored left to right with probability p."""

    axis, method = -1, "FLIP_LEFT_RIGHT"


class RandomVerticalFlip(_RandomFlip):
    """Mirrored top to bottom with probability p."""

    axis, method = -2, "FLIP_TOP_BOTTOM"


def _angles(degrees: Any) -> tuple[float, float]:
    if isinstance(degrees, numbers.Number):
        if degrees < 0:  # type: ignore[operator]
            raise ValueError("If degrees is a single number, it must be positive.")
        return -float(degrees), float(degrees)  # type: ignore[arg-type]
    return float(degrees[0]), float(degrees[1])


class RandomRotation(Transform):
    """Turned by a random angle, counter-clockwise."""

    def __init__(
        self,
        degrees: Any,
        interpolation: Any = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Any = None,
        fill: Any = 0,
    ):
        self.degrees, self.interpolation, self.expand = _angles(degrees), interpolation, expand
        self.center, self.fill = center, fill

    def __call__(self, img: Any) -> Any:
        angle = between(*self.degrees)
        return as_pil(
            lambda im: im.rotate(
                angle, pils(self.interpolation), self.expand, self.center, fillcolor=self.fill or None
            ),
            img,
        )


class RandomAffine(Transform):
    """Turned, moved, scaled and sheared at random, in one resampling."""

    def __init__(
        self, degrees: Any, translate: Any = None, scale: Any = None, shear: Any = None,
        interpolation: Any = InterpolationMode.NEAREST, fill: Any = 0, center: Any = None,
    ):  # fmt: skip
        self.degrees, self.translate, self.scale = _angles(degrees), translate, scale
        if isinstance(shear, numbers.Number):
            shear = (-shear, shear)  # type: ignore[operator]
        self.shear, self.interpolation, self.fill, self.center = shear, interpolation, fill, center

    def __call__(self, img: Any) -> Any:
        from PIL import Image

        h, w = size_of(img)
        angle, across, down, factor, shear_x, shear_y = between(*self.degrees), 0, 0, 1.0, 0.0, 0.0
        if self.translate is not None:
            right, bottom = float(self.translate[0] * w), float(self.translate[1] * h)
            across, down = round(between(-right, right)), round(between(-bottom, bottom))
        if self.scale is not None:
            factor = between(self.scale[0], self.scale[1])
        if self.shear is not None:
            shear_x = between(self.shear[0], self.shear[1])
            if len(self.shear) == 4:
                shear_y = between(self.shear[2], self.shear[3])
        center = self.center or (w * 0.5, h * 0.5)
        matrix = _inverse_affine(center, angle, (across, down), factor, (shear_x, shear_y))
        return as_pil(
            lambda im: im.transform(
                (w, h), Image.Transform.AFFINE, matrix, pils(self.interpolation), fillcolor=self.fill or None
            ),
            img,
        )


def _inverse_affine(center: Any, angle: float, shift: Any, factor: float, shear: Any) -> list[float]:
    """From a pixel of the result to the place it comes from: the inverse of  shift · center · turn shear scale · -center."""
    rot, sx, sy = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    (cx, cy), (tx, ty) = center, shift
    a = math.cos(rot - sy) / math.cos(sy)
    b = -math.cos(rot - sy) * math.tan(sx) / math.cos(sy) - math.sin(rot)
    c = math.sin(rot - sy) / math.cos(sy)
    d = -math.sin(rot - sy) * math.tan(sx) / math.cos(sy) + math.cos(rot)
    m = [d / factor, -b / factor, 0.0, -c / factor, a / factor, 0.0]
    m[2] = m[0] * (-cx - tx) + m[1] * (-cy - ty) + cx
    m[5] = m[3] * (-cx - tx) + m[4] * (-cy - ty) + cy
    return m


class RandomResizedCrop(Transform):
    """A window of random area and shape, brought to one size.   Source: Szegedy et al., Going deeper, 2015."""

    def __init__(
        self, size: Any, scale: Any = (0.08, 1.0), ratio: Any = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = InterpolationMode.BILINEAR, antialias: bool | None = True,
    ):  # fmt: skip
        self.size, self.scale, self.ratio, self.interpolation = pair(size), scale, ratio, interpolation

    def _window(self, img: Any) -> tuple[int, int, int, int]:
        h, w = size_of(img)
        logs = [float(np.log(np.float32(r))) for r in self.ratio]
        for _ in range(10):
            area = h * w * between(self.scale[0], self.scale[1])
            aspect = float(np.exp(np.float32(between(logs[0], logs[1]))))
            width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < width <= w and 0 < height <= h:
                top = whole_number(0, h - height + 1)
                return top, whole_number(0, w - width + 1), height, width
        ratio = float(w) / float(h)
        if ratio < min(self.ratio):
            width, height = w, round(w / min(self.ratio))
        elif ratio > max(self.ratio):
            width, height = round(h * max(self.ratio)), h
        else:
            width, height = w, h
        return (h - height) // 2, (w - width) // 2, height, width

    def __call__(self, img: Any) -> Any:
        return Resize(self.size, self.interpolation)(cut_out(img, *self._window(img)))


class RandomErasing(Transform):
    """A rectangle set to ``value`` with probability p.   Tensors.   Source: Zhong et al., Random erasing, 2020."""

    def __init__(
        self, p: float = 0.5, scale: Any = (0.02, 0.33), ratio: Any = (0.3, 3.3), value: Any = 0, inplace: bool = False
    ):  # fmt: skip
        self.p, self.scale, self.ratio, self.value, self.inplace = p, scale, ratio, value, inplace

    def __call__(self, img: Tensor) -> Tensor:
        if not uniform() < self.p:
            return img
        channels, h, w = img.array.shape[-3:]
        logs = [float(np.log(np.float32(r))) for r in self.ratio]
        for _ in range(10):
            area = h * w * between(self.scale[0], self.scale[1])
            aspect = float(np.exp(np.float32(between(logs[0], logs[1]))))
            height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if not (height < h and width < w):
                continue
            if self.value == "random":
                fill: Any = npnn.random.generator().normal_(np.empty((channels, height, width), np.float32))
            else:
                fill = np.asarray(self.value, img.array.dtype).reshape(-1, 1, 1)
            top = whole_number(0, h - height + 1)
            left = whole_number(0, w - width + 1)
            out = img if self.inplace else img.clone()
            out[..., top : top + height, left : left + width] = of_array(fill.astype(img.array.dtype))
            return out
        return img
