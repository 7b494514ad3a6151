"""Pictures blurred, sharpened, and their tones changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.nn import functional as F
from npnn.tensor import Tensor, of_array
from npnn.vision.transforms.color import blend
from npnn.vision.transforms.conversion import PILToTensor, ToPILImage, ToTensor
from npnn.vision.transforms.pixels import Transform, between, pair, uniform

__all__ = [
    "GaussianBlur", "RandomAdjustSharpness", "RandomAutocontrast", "RandomEqualize", "RandomPosterize", "RandomSolarize",
]  # fmt: skip


class GaussianBlur(Transform):
    """Each pixel the mean of those around it, weighted with exp(-d² / 2σ²), σ drawn from a range, mirrored at the edges."""

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)):
        self.kernel_size = pair(kernel_size)
        if any(k <= 0 or k % 2 == 0 for k in self.kernel_size):
            raise ValueError("Kernel size value should be an odd and positive number.")
        self.sigma = (float(sigma),) * 2 if isinstance(sigma, (int, float)) else tuple(sigma)
        if len(self.sigma) != 2 or not 0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError(f"sigma values should be positive and of the form (min, max), got {sigma}")

    def __call__(self, img: Any) -> Any:
        return blurred(img, self.kernel_size, between(*self.sigma))


def blurred(img: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """The picture convolved with a bell of so many pixels and this σ, or one for each axis (x, y)."""
    if not isinstance(img, Tensor):
        return ToPILImage()(blurred(PILToTensor()(img), kernel_size, sigma))
    sizes = pair(kernel_size)
    if sigma is None:
        sigma = [0.3 * ((k - 1) * 0.5 - 1) + 0.8 for k in sizes]
    widths = (sigma, sigma) if isinstance(sigma, (int, float)) else (*sigma, *sigma)[:2]
    kind = img.array.dtype
    *lead, channels, h, w = img.array.shape
    x = img.array.reshape(-1, channels, h, w).astype(kind if kind.kind == "f" else np.float32)
    kx, ky = (_bell(k, s).astype(x.dtype) for k, s in zip(sizes, widths, strict=True))
    weight = np.ascontiguousarray(np.broadcast_to(np.outer(ky, kx), (channels, 1, len(ky), len(kx))))
    around = [len(kx) // 2] * 2 + [len(ky) // 2] * 2
    y = F.conv2d(F.pad(of_array(x), around, mode="reflect"), of_array(weight), groups=channels).array
    y = y if kind.kind == "f" else np.rint(y).astype(kind)
    return of_array(np.ascontiguousarray(y).reshape(*lead, channels, h, w))


def _bell(k: int, sigma: float) -> Any:
    x = np.linspace(-(k - 1) * 0.5, (k - 1) * 0.5, k)
    density = np.exp(-0.5 * (x / sigma) ** 2)
    return density / density.sum()


class _Sometimes(Transform):
    """A change of PIL images, made with probability p; tensors become images and return."""

    p: float

    def __call__(self, img: Any) -> Any:
        return self.changed(img) if uniform() < self.p else img

    def changed(self, img: Any) -> Any:
        """The picture, changed for certain."""
        if not isinstance(img, Tensor):
            return self._change(img)
        back = PILToTensor() if img.array.dtype == np.uint8 else ToTensor()
        return back(self._change(ToPILImage()(img)))

    def _change(self, img: Any) -> Any:
        raise NotImplementedError


class RandomSolarize(_Sometimes):
    """The negative of all pixels that are ``threshold`` or brighter, with probability p."""

    def __init__(self, threshold: float, p: float = 0.5):
        self.threshold, self.p = threshold, p

    def _change(self, img: Any) -> Any:
        from PIL import ImageOps

        return ImageOps.solarize(img, self.threshold)  # type: ignore[arg-type]


class RandomPosterize(_Sometimes):
    """Only the highest ``bits`` of each colour kept, with probability p."""

    def __init__(self, bits: int, p: float = 0.5):
        self.bits, self.p = bits, p

    def _change(self, img: Any) -> Any:
        from PIL import ImageOps

        return ImageOps.posterize(img, self.bits)


class RandomAdjustSharpness(_Sometimes):
    """Blurred (0), unchanged (1) or sharpened (2, ...), with probability p."""

    def __init__(self, sharpness_factor: float, p: float = 0.5):
        self.sharpness_factor, self.p = sharpness_factor, p

    def changed(self, img: Any) -> Any:
        if not isinstance(img, Tensor):
            return self._change(img)
        x, soft = img.array, img.array.copy()
        if min(x.shape[-2:]) > 2:
            soft[..., 1:-1, 1:-1] = _softened(x)
        return of_array(blend(x, soft, self.sharpness_factor))

    def _change(self, img: Any) -> Any:
        from PIL import ImageEnhance

        return ImageEnhance.Sharpness(img).enhance(self.sharpness_factor)


class RandomAutocontrast(_Sometimes):
    """Each colour stretched to the whole range from dark to bright, with probability p."""

    def __init__(self, p: float = 0.5):
        self.p = p

    def _change(self, img: Any) -> Any:
        from PIL import ImageOps

        return ImageOps.autocontrast(img)


class RandomEqualize(_Sometimes):
    """Each colour's values spread so that all are about as frequent, with probability p."""

    def __init__(self, p: float = 0.5):
        self.p = p

    def _change(self, img: Any) -> Any:
        from PIL import ImageOps

        return ImageOps.equalize(img)


def _softened(x: Any) -> Any:
    """The inner pixels as means of nine, the middle one counted five times.   (..., H, W) -> (..., H - 2, W - 2)"""
    H, W = x.shape[-2:]
    pixels = x if x.dtype.kind == "f" else x.astype(np.float32)
    total = 4 * pixels[..., 1:-1, 1:-1]
    for i in range(3):
        for j in range(3):
            total = total + pixels[..., i : H - 2 + i, j : W - 2 + j]
    total = total / 13
    return total if x.dtype.kind == "f" else np.rint(total)
