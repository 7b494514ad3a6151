"""What colour the pixels are."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

import npnn.random
from npnn.tensor import Tensor, _from_array
from npnn.vision.transforms.conversion import ToPILImage, ToTensor
from npnn.vision.transforms.pixels import Transform, between, uniform

__all__ = ["ColorJitter", "Grayscale", "RandomGrayscale", "RandomInvert"]


class Grayscale(Transform):
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
    from PIL import Image, ImageEnhance

    if isinstance(img, Tensor):
        return ToTensor()(changed(ToPILImage()(img), which, factor))
    if which < 3:
        kind = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[which]
        return kind(img).enhance(factor)
    if img.mode in ("L", "1", "I", "F"):
        return img
    hue, saturation, value = img.convert("HSV").split()
    turned = (np.asarray(hue).astype(np.int16) + int(factor * 255)).astype(np.uint8)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert(img.mode)
