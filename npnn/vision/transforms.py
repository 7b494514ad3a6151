"""torchvision's transforms of one picture: of PIL images, and of tensors (..., C, H, W) as far as said.

What is drawn, and from which generator (torch's, or Python's ``random``), is what torchvision 0.28 draws.
Whole batches at once are changed by ``npnn.data.transforms``.
"""

from __future__ import annotations

import math
import numbers
import random as python_random
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import numpy as np

import npnn.random
from npnn.tensor import Tensor, _from_array, of_array

__all__ = [
    "CenterCrop", "ColorJitter", "Compose", "ConvertImageDtype", "Grayscale", "InterpolationMode", "Lambda", "Normalize",
    "PILToTensor", "Pad", "RandomAffine", "RandomApply", "RandomChoice", "RandomCrop", "RandomErasing", "RandomGrayscale",
    "RandomHorizontalFlip", "RandomInvert", "RandomOrder", "RandomResizedCrop", "RandomRotation", "RandomVerticalFlip",
    "Resize", "ToPILImage", "ToTensor",
]  # fmt: skip


class InterpolationMode(Enum):
    """How pixels in between are made up."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


def _pils(mode: Any) -> Any:
    from PIL import Image

    if isinstance(mode, int):
        return Image.Resampling(mode)
    name = mode.value if isinstance(mode, InterpolationMode) else str(mode)
    return Image.Resampling[name.upper()]


def _number() -> float:
    """torch.rand(1)"""
    return float(npnn.random.generator().rand(1)[0])


def _between(low: float, high: float) -> float:
    """torch.empty(1).uniform_(low, high)"""
    return float(npnn.random.generator().uniform_(np.empty(1, np.float32), low, high)[0])


def _whole(low: int, high: int) -> int:
    """torch.randint(low, high, (1,))"""
    return int(npnn.random.generator().randint(low, high, (1,))[0])


def _size(image: Any) -> tuple[int, int]:
    """(height, width)"""
    return tuple(image.array.shape[-2:]) if isinstance(image, Tensor) else (image.size[1], image.size[0])


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    return (int(size[0]), int(size[0])) if len(size) == 1 else (int(size[0]), int(size[1]))


def _cut(image: Any, top: int, left: int, height: int, width: int) -> Any:
    """The window; what lies outside the picture is 0."""
    if not isinstance(image, Tensor):
        return image.crop((left, top, left + width, top + height))
    h, w = _size(image)
    if top < 0 or left < 0 or top + height > h or left + width > w:
        image = _padded(
            image, (max(-left, 0), max(-top, 0), max(left + width - w, 0), max(top + height - h, 0)), 0, "constant"
        )
        top, left = max(top, 0), max(left, 0)
    return image[..., top : top + height, left : left + width]


def _padded(image: Any, padding: tuple[int, int, int, int], fill: Any, mode: str) -> Any:
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


def _pad_widths(padding: Any) -> tuple[int, int, int, int]:
    if isinstance(padding, int):
        return padding, padding, padding, padding
    if len(padding) == 1:
        return (padding[0],) * 4
    return (padding[0], padding[1], padding[0], padding[1]) if len(padding) == 2 else tuple(padding)


def _as_pil(function: Callable[[Any], Any], image: Any) -> Any:
    """A change that PIL makes, also of a tensor: channel by channel."""
    if not isinstance(image, Tensor):
        return function(image)
    from PIL import Image

    x = image.array.reshape(-1, *image.array.shape[-2:])
    kind = np.uint8 if x.dtype == np.uint8 else np.float32
    planes = [np.asarray(function(Image.fromarray(plane.astype(kind)))) for plane in x]
    return _from_array(np.stack(planes).reshape(*image.array.shape[:-2], *planes[0].shape).astype(x.dtype))


class _Transform:
    """A transform prints its settings."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in vars(self).items())})"


class Compose:
    """One transform after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]):
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for t in self.transforms:
            img = t(img)
        return img

    def __repr__(self) -> str:
        return "\n".join(["Compose(", *[f"    {t}" for t in self.transforms], ")"])


class ToTensor(_Transform):
    """A PIL image or an array (H, W, C) of bytes as a tensor (C, H, W) of float32 in [0, 1]."""

    def __call__(self, pic: Any) -> Tensor:
        array = np.asarray(pic)
        if array.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
        array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        if array.dtype == np.bool_:
            array = array.astype(np.uint8) * 255
        if array.dtype == np.uint8:
            return _from_array(np.divide(np.ascontiguousarray(array), np.float32(255), dtype=np.float32))
        return of_array(np.ascontiguousarray(array))


class PILToTensor(_Transform):
    """A PIL image as a tensor (C, H, W) of its bytes."""

    def __call__(self, pic: Any) -> Tensor:
        array = np.asarray(pic)
        return of_array(np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1)))


class ToPILImage(_Transform):
    """A tensor (C, H, W), or an array (H, W, C), as a PIL image; floats in [0, 1] become bytes."""

    def __init__(self, mode: str | None = None):
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        from PIL import Image

        array = pic.detach().numpy() if isinstance(pic, Tensor) else np.asarray(pic)
        if isinstance(pic, Tensor):
            array = array.transpose(1, 2, 0) if array.ndim == 3 else array[..., None]
            if array.dtype.kind == "f" and self.mode != "F":
                array = (array * array.dtype.type(255)).astype(np.uint8)
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[:, :, 0]
        return Image.fromarray(np.ascontiguousarray(array))


class ConvertImageDtype(_Transform):
    """Bytes as floats in [0, 1] and back."""

    def __init__(self, dtype: Any):
        self.dtype = dtype

    def __call__(self, image: Tensor) -> Tensor:
        if image.array.dtype == np.uint8 and self.dtype.is_floating_point:
            return image.to(self.dtype) / 255
        if image.array.dtype.kind == "f" and not self.dtype.is_floating_point:
            return (image * (255 + 1 - 1e-3)).to(self.dtype)
        return image.to(self.dtype)


class Normalize(_Transform):
    """(x - mean) / std, channel by channel.   Errors: TypeError for a PIL image, ValueError for a std of 0."""

    def __init__(self, mean: Any, std: Any, inplace: bool = False):
        self.mean, self.std, self.inplace = mean, std, inplace

    def __call__(self, tensor: Any) -> Tensor:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
        x = tensor.array
        if x.dtype.kind != "f":
            raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
        mean, std = (np.asarray(v, x.dtype).reshape(-1, 1, 1) for v in (self.mean, self.std))
        if (std == 0).any():
            raise ValueError(f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by zero.")
        if self.inplace:
            return tensor.sub_(of_array(mean)).div_(of_array(std))
        return _from_array((x - mean) / std)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class Lambda(_Transform):
    """A function of your own."""

    def __init__(self, lambd: Callable[[Any], Any]):
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return "Lambda()"


class Resize(_Transform):
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
        h, w = _size(img)
        if isinstance(self.size, int) or len(self.size) == 1:
            short = self.size if isinstance(self.size, int) else self.size[0]
            new = (int(short * h / w), short) if w <= h else (short, int(short * w / h))
            if self.max_size is not None and max(new) > self.max_size:
                new = tuple(int(self.max_size * n / max(new)) for n in new)  # type: ignore[assignment]
        else:
            new = tuple(self.size)  # type: ignore[assignment]
        return img if (h, w) == new else _as_pil(lambda im: im.resize(new[::-1], _pils(self.interpolation)), img)


class CenterCrop(_Transform):
    """The window in the middle; a smaller picture is padded."""

    def __init__(self, size: Any):
        self.size = _pair(size)

    def __call__(self, img: Any) -> Any:
        (h, w), (height, width) = _size(img), self.size
        if height > h or width > w:
            left, top = max((width - w) // 2, 0), max((height - h) // 2, 0)
            img = _padded(img, (left, top, max((width - w + 1) // 2, 0), max((height - h + 1) // 2, 0)), 0, "constant")
            h, w = _size(img)
        return _cut(img, round((h - height) / 2.0), round((w - width) / 2.0), height, width)


class Pad(_Transform):
    """A border of so many pixels: constant, edge, reflect or symmetric."""

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant"):
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def __call__(self, img: Any) -> Any:
        return _padded(img, _pad_widths(self.padding), self.fill, self.padding_mode)


class RandomCrop(_Transform):
    """A window at a random place, after padding."""

    def __init__(
        self, size: Any, padding: Any = None, pad_if_needed: bool = False, fill: Any = 0, padding_mode: str = "constant"
    ):  # fmt: skip
        self.size, self.padding, self.pad_if_needed = _pair(size), padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    def __call__(self, img: Any) -> Any:
        if self.padding is not None:
            img = _padded(img, _pad_widths(self.padding), self.fill, self.padding_mode)
        (h, w), (height, width) = _size(img), self.size
        if self.pad_if_needed and (w < width or h < height):
            across, down = max(width - w, 0), max(height - h, 0)
            img = _padded(img, (across, down, across, down), self.fill, self.padding_mode)
            h, w = _size(img)
        if h < height or w < width:
            raise ValueError(f"Required crop size {(height, width)} is larger than input image size {(h, w)}")
        if (h, w) == (height, width):
            return img
        top = _whole(0, h - height + 1)
        return _cut(img, top, _whole(0, w - width + 1), height, width)


class _RandomFlip(_Transform):
    axis: int
    method: str  # of PIL's Transpose

    def __init__(self, p: float = 0.5):
        self.p = p

    def __call__(self, img: Any) -> Any:
        if not _number() < self.p:
            return img
        if isinstance(img, Tensor):
            return img.flip(self.axis)
        from PIL import Image

        return img.transpose(Image.Transpose[self.method])


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


class RandomRotation(_Transform):
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
        angle = _between(*self.degrees)
        return _as_pil(
            lambda im: im.rotate(
                angle, _pils(self.interpolation), self.expand, self.center, fillcolor=self.fill or None
            ),
            img,
        )


class RandomAffine(_Transform):
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

        h, w = _size(img)
        angle, across, down, factor, shear_x, shear_y = _between(*self.degrees), 0, 0, 1.0, 0.0, 0.0
        if self.translate is not None:
            right, bottom = float(self.translate[0] * w), float(self.translate[1] * h)
            across, down = round(_between(-right, right)), round(_between(-bottom, bottom))
        if self.scale is not None:
            factor = _between(self.scale[0], self.scale[1])
        if self.shear is not None:
            shear_x = _between(self.shear[0], self.shear[1])
            if len(self.shear) == 4:
                shear_y = _between(self.shear[2], self.shear[3])
        center = self.center or (w * 0.5, h * 0.5)
        matrix = _inverse_affine(center, angle, (across, down), factor, (shear_x, shear_y))
        return _as_pil(
            lambda im: im.transform(
                (w, h), Image.Transform.AFFINE, matrix, _pils(self.interpolation), fillcolor=self.fill or None
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


class RandomResizedCrop(_Transform):
    """A window of random area and shape, brought to one size.   Source: Szegedy et al., Going deeper, 2015."""

    def __init__(
        self, size: Any, scale: Any = (0.08, 1.0), ratio: Any = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = InterpolationMode.BILINEAR, antialias: bool | None = True,
    ):  # fmt: skip
        self.size, self.scale, self.ratio, self.interpolation = _pair(size), scale, ratio, interpolation

    def _window(self, img: Any) -> tuple[int, int, int, int]:
        h, w = _size(img)
        logs = [float(np.log(np.float32(r))) for r in self.ratio]
        for _ in range(10):
            area = h * w * _between(self.scale[0], self.scale[1])
            aspect = float(np.exp(np.float32(_between(logs[0], logs[1]))))
            width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < width <= w and 0 < height <= h:
                top = _whole(0, h - height + 1)
                return top, _whole(0, w - width + 1), height, width
        ratio = float(w) / float(h)
        if ratio < min(self.ratio):
            width, height = w, round(w / min(self.ratio))
        elif ratio > max(self.ratio):
            width, height = round(h * max(self.ratio)), h
        else:
            width, height = w, h
        return (h - height) // 2, (w - width) // 2, height, width

    def __call__(self, img: Any) -> Any:
        return Resize(self.size, self.interpolation)(_cut(img, *self._window(img)))


class Grayscale(_Transform):
    """Without colour, in one channel or three."""

    def __init__(self, num_output_channels: int = 1):
        self.num_output_channels = num_output_channels

    def __call__(self, img: Any) -> Any:
        if isinstance(img, Tensor):
            red, green, blue = np.moveaxis(img.array, -3, 0)[:3]
            grey = (0.2989 * red + 0.587 * green + 0.114 * blue).astype(img.array.dtype)[..., None, :, :]
            return _from_array(np.repeat(grey, self.num_output_channels, -3))
        grey = img.convert("L")
        if self.num_output_channels == 1:
            return grey
        from PIL import Image

        return Image.merge("RGB", (grey, grey, grey))


class RandomGrayscale(_Transform):
    """Without colour with probability p."""

    def __init__(self, p: float = 0.1):
        self.p = p

    def __call__(self, img: Any) -> Any:
        channels = img.array.shape[-3] if isinstance(img, Tensor) else len(img.getbands())
        return Grayscale(channels)(img) if _number() < self.p else img


class RandomInvert(_Transform):
    """Light and dark exchanged with probability p."""

    def __init__(self, p: float = 0.5):
        self.p = p

    def __call__(self, img: Any) -> Any:
        if not _number() < self.p:
            return img
        if isinstance(img, Tensor):
            return (255 if img.array.dtype == np.uint8 else 1) - img
        from PIL import ImageOps

        return ImageOps.invert(img)


class RandomApply(_Transform):
    """All of some transforms with probability p."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5):
        self.transforms, self.p = transforms, p

    def __call__(self, img: Any) -> Any:
        if self.p < _number():
            return img
        for t in self.transforms:
            img = t(img)
        return img


class RandomChoice(_Transform):
    """One of some transforms (drawn by Python's generator)."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: Any = None):
        self.transforms, self.p = transforms, p

    def __call__(self, img: Any) -> Any:
        return python_random.choices(self.transforms, weights=self.p)[0](img)


class RandomOrder(_Transform):
    """All of some transforms in random order (drawn by Python's generator)."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]):
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        order = list(range(len(self.transforms)))
        python_random.shuffle(order)
        for i in order:
            img = self.transforms[i](img)
        return img


class ColorJitter(_Transform):
    """Brightness, contrast, saturation and hue changed at random, in random order.   PIL images."""

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0):
        self.brightness, self.contrast = self._range(brightness), self._range(contrast)
        self.saturation, self.hue = self._range(saturation), self._range(hue, 0.0, False)

    @staticmethod
    def _range(value: Any, center: float = 1.0, positive: bool = True) -> tuple[float, float] | None:
        if isinstance(value, numbers.Number):
            low = center - float(value)  # type: ignore[arg-type]
            value = (max(low, 0.0) if positive else low, center + float(value))  # type: ignore[arg-type]
        return None if value[0] == value[1] == center else (float(value[0]), float(value[1]))

    def __call__(self, img: Any) -> Any:
        order = npnn.random.generator().randperm(4).tolist()
        ranges = (self.brightness, self.contrast, self.saturation, self.hue)
        factors = [None if r is None else _between(*r) for r in ranges]
        for i in order:
            if factors[i] is not None:
                img = self._change(img, i, factors[i])  # type: ignore[arg-type]
        return img

    def _change(self, img: Any, which: int, factor: float) -> Any:
        from PIL import Image, ImageEnhance

        if isinstance(img, Tensor):
            return ToTensor()(self._change(ToPILImage()(img), which, factor))
        if which < 3:
            kind = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[which]
            return kind(img).enhance(factor)
        if img.mode in ("L", "1", "I", "F"):
            return img
        hue, saturation, value = img.convert("HSV").split()
        turned = (np.asarray(hue).astype(np.int16) + int(factor * 255)).astype(np.uint8)
        return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert(img.mode)


class RandomErasing(_Transform):
    """A rectangle set to ``value`` with probability p.   Tensors.   Source: Zhong et al., Random erasing, 2020."""

    def __init__(
        self, p: float = 0.5, scale: Any = (0.02, 0.33), ratio: Any = (0.3, 3.3), value: Any = 0, inplace: bool = False
    ):  # fmt: skip
        self.p, self.scale, self.ratio, self.value, self.inplace = p, scale, ratio, value, inplace

    def __call__(self, img: Tensor) -> Tensor:
        if not _number() < self.p:
            return img
        channels, h, w = img.array.shape[-3:]
        logs = [float(np.log(np.float32(r))) for r in self.ratio]
        for _ in range(10):
            area = h * w * _between(self.scale[0], self.scale[1])
            aspect = float(np.exp(np.float32(_between(logs[0], logs[1]))))
            height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if not (height < h and width < w):
                continue
            if self.value == "random":
                fill: Any = npnn.random.generator().normal_(np.empty((channels, height, width), np.float32))
            else:
                fill = np.asarray(self.value, img.array.dtype).reshape(-1, 1, 1)
            top = _whole(0, h - height + 1)
            left = _whole(0, w - width + 1)
            out = img if self.inplace else img.clone()
            out[..., top : top + height, left : left + width] = of_array(fill.astype(img.array.dtype))
            return out
        return img
