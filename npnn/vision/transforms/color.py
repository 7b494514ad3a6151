"""What colour the pixels are."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray

import npnn.random
from npnn.tensor import Tensor, _from_array
from npnn.vision.transforms.pixels import Transform, between, uniform

__all__ = ["ColorJitter", "Grayscale", "RandomGrayscale", "RandomInvert"]


class Grayscale(Transform):
    """Without colour, in one channel or three."""

    def __init__(self, num_output_channels: int = 1):
        self.num_output_channels = num_output_channels

    def __call__(self, img: Any) -> Any:
        if isinstance(img, Tensor):
            return _from_array(np.repeat(grey(img.array), self.num_output_channels, -3))
        plain = img.convert("L")
        if self.num_output_channels == 1:
            return plain
        from PIL import Image

        return Image.merge("RGB", (plain, plain, plain))


class RandomGrayscale(Transform):
    """Without colour with probability p."""

    def __init__(self, p: float = 0.1):
        self.p = p

    def __call__(self, img: Any) -> Any:
        channels = img.array.shape[-3] if isinstance(img, Tensor) else len(img.getbands())
        return Grayscale(channels)(img) if uniform() < self.p else img


class RandomInvert(Transform):
    """Light and dark exchanged with probability p."""

    def __init__(self, p: float = 0.5):
        self.p = p

    def __call__(self, img: Any) -> Any:
        return inverted(img) if uniform() < self.p else img


def inverted(img: Any) -> Any:
    """Light and dark exchanged."""
    if isinstance(img, Tensor):
        return (255 if img.array.dtype == np.uint8 else 1) - img
    from PIL import ImageOps

    return ImageOps.invert(img)


class ColorJitter(Transform):
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
        factors = [None if r is None else between(*r) for r in ranges]
        for i in order:
            if factors[i] is not None:
                img = changed(img, i, factors[i])  # type: ignore[arg-type]
        return img


def changed(img: Any, which: int, factor: float) -> Any:
    """Brightness (0), contrast (1), saturation (2) or hue (3) changed by a factor."""
    if isinstance(img, Tensor):
        return _from_array(_turned(img.array, factor) if which == 3 else _mixed(img.array, which, factor))
    from PIL import Image, ImageEnhance

    if which < 3:
        kind = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[which]
        return kind(img).enhance(factor)
    if img.mode in ("L", "1", "I", "F"):
        return img
    hue, saturation, value = img.convert("HSV").split()
    turned = (np.asarray(hue).astype(np.int16) + int(factor * 255)).astype(np.uint8)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert(img.mode)


# ---- of tensors (..., C, H, W), bytes or floats from 0 to 1, by torchvision's formulas


def grey(x: NDArray[Any]) -> NDArray[Any]:
    """How bright each pixel is.   (..., 3, H, W) -> (..., 1, H, W)"""
    red, green, blue = np.moveaxis(x, -3, 0)[:3]
    return (0.2989 * red + 0.587 * green + 0.114 * blue).astype(x.dtype)[..., None, :, :]


def blend(x: NDArray[Any], other: Any, factor: float) -> NDArray[Any]:
    """factor x + (1 - factor) other, within the range of the pixels."""
    bound = 1.0 if x.dtype.kind == "f" else 255.0
    kind = x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)
    mixed = x.astype(kind) * kind.type(factor) + np.asarray(other, kind) * kind.type(1 - factor)
    return np.clip(mixed, 0, bound).astype(x.dtype)


def _mixed(x: NDArray[Any], which: int, factor: float) -> NDArray[Any]:
    """Mixed with black (0), with the mean brightness (1) or with its own grey (2)."""
    kind = x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)
    if which == 0:
        return blend(x, 0, factor)
    bright = grey(x) if x.shape[-3] == 3 else x
    if which == 1:
        return blend(x, bright.astype(kind).mean(axis=(-3, -2, -1), keepdims=True), factor)
    return blend(x, bright, factor)


def _turned(x: NDArray[Any], part: float) -> NDArray[Any]:
    """The hue turned by a part of its circle.   Source: Smith, Color gamut transform pairs, 1978 (HSV)."""
    if x.shape[-3] == 1:
        return x
    pixels = x if x.dtype.kind == "f" else x.astype(np.float32) / np.float32(255)
    red, green, blue = np.moveaxis(pixels, -3, 0)
    value, least = pixels.max(-3), pixels.min(-3)
    none = value == least
    saturation = (value - least) / np.where(none, 1, value)
    r, g, b = ((value - c) / np.where(none, 1, value - least) for c in (red, green, blue))
    hue = np.where(value == red, b - g, np.where(value == green, 2 + r - b, 4 + g - r))
    hue = (np.fmod(hue / 6 + 1, 1).astype(pixels.dtype) + pixels.dtype.type(part)) % 1
    sector = np.floor(hue * 6)
    f = hue * 6 - sector
    p, q, t = (np.clip(value * (1 - saturation * k), 0, 1) for k in (1, f, 1 - f))
    which = sector.astype(np.int64) % 6
    parts = (value, q, p, p, t, value), (t, value, value, q, p, p), (p, p, t, value, value, q)
    turned = np.stack([np.choose(which, list(colour)) for colour in parts], -3).astype(pixels.dtype)
    return turned if x.dtype.kind == "f" else (turned * np.float32(255 + 1 - 1e-3)).astype(x.dtype)
