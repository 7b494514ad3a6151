"""Augmentation of whole batches: each image is changed at random, all of them at once.

A transform is a function ``transform(x, generator)`` from images (N, C, H, W) to images of the same
dtype (Normalize alone makes floats of bytes).  All randomness comes from ``generator``; the argument
is never changed.  The geometric ones cost the least on bytes (uint8): put Normalize last.

What is drawn is what torchvision's transforms of the same name draw, image after image: each image
takes ``draws`` words of the generator, r, which become uniform numbers u = (r mod 2²⁴) / 2²⁴ or whole
numbers r mod span.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.generator import Generator
from npnn.kernels.warp import warp

__all__ = [
    "Compose", "Cutout", "Normalize", "RandomAffine", "RandomCrop", "RandomHorizontalFlip", "RandomRotation",
    "RandomScale", "RandomShift",
]  # fmt: skip

Images = NDArray[Any]
Words = NDArray[np.uint32]

# torch's names for what may surround an image instead of zeros, and NumPy's
_PADDING_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _units(words: Words) -> NDArray[np.float32]:
    return (words & np.uint32(0xFFFFFF)).astype(np.float32) * np.float32(2**-24)


def _between(words: Words, low: float, high: float) -> NDArray[np.float32]:
    low, high = np.float32(low), np.float32(high)
    return _units(words) * (high - low) + low


class _Random:
    """A transform that takes ``draws(x)`` words of the generator for each image."""

    def draws(self, x: Images) -> int:
        raise NotImplementedError

    def apply(self, x: Images, words: Words) -> Images:
        """The images changed as their words (N, draws) say."""
        raise NotImplementedError

    def __call__(self, x: Images, generator: Generator) -> Images:
        n = self.draws(x)
        return self.apply(x, generator.words(len(x) * n).reshape(len(x), n))


class Compose:
    """One transform after the other; each image takes all its random numbers before the next one takes any."""

    def __init__(self, transforms: Sequence[Callable[[Images, Generator], Images]]):
        self.transforms = list(transforms)

    def __call__(self, x: Images, generator: Generator) -> Images:
        if not all(isinstance(t, (_Random, Normalize)) for t in self.transforms):
            for transform in self.transforms:
                x = transform(x, generator)
            return x
        shape = x[:1]
        drawing = [t for t in self.transforms if isinstance(t, _Random)]
        counts = []
        for t in drawing:  # how many words depends on the size of the image, which a crop changes
            counts.append(t.draws(shape))
            shape = t.apply(shape, np.zeros((len(shape), counts[-1]), np.uint32))
        words = np.split(generator.words(len(x) * sum(counts)).reshape(len(x), sum(counts)), np.cumsum(counts)[:-1], 1)
        for change in self.transforms:
            x = change.apply(x, words.pop(0)) if isinstance(change, _Random) else change(x, generator)
        return x

    def __repr__(self) -> str:
        return f"Compose({self.transforms})"


@dataclass(frozen=True)
class RandomHorizontalFlip(_Random):
    """Mirror each image left to right with probability p."""

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"a probability lies between 0 and 1, got p={self.p}")

    def draws(self, x: Images) -> int:
        return 1

    def apply(self, x: Images, words: Words) -> Images:
        flipped = _units(words[:, 0]) < self.p
        out = x.copy(order="K")
        for i in np.flatnonzero(flipped):  # one by one: x[flipped] would be a large temporary array
            out[i] = x[i, :, :, ::-1]
        return out


@dataclass(frozen=True)
class RandomCrop(_Random):
    """Cut a window of ``size`` (a number or (height, width)) from each image, at random.

    First ``padding`` pixels are added on each side: zeros, or what ``padding_mode`` says ("reflect",
    "replicate", "circular", as in Conv2d).  Errors: ValueError if the padded image is smaller than the window.
    """

    size: int | tuple[int, int]
    padding: int = 0
    padding_mode: str = "zeros"

    def __post_init__(self) -> None:
        if self.padding < 0 or self.padding_mode not in ("zeros", *_PADDING_MODES):
            raise ValueError(
                f"padding must be 0 or more and its mode one of zeros, {', '.join(_PADDING_MODES)}; "
                f"got {self.padding}, {self.padding_mode!r}"
            )

    def _window(self) -> tuple[int, int]:
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def draws(self, x: Images) -> int:
        height, width = (n + 2 * self.padding for n in x.shape[2:])
        return 0 if (height, width) == self._window() else 2

    def apply(self, x: Images, words: Words) -> Images:
        n, channels, height, width = x.shape
        h, w = self._window()
        p = self.padding
        if height + 2 * p < h or width + 2 * p < w:
            raise ValueError(f"cannot cut windows of {(h, w)} from images of {(height, width)} padded by {p}")
        spans = np.array([height + 2 * p - h + 1, width + 2 * p - w + 1])
        corners = words.astype(np.int64) % spans if words.size else np.zeros((n, 2), np.int64)
        if self.padding_mode == "zeros":
            corners -= p  # no need to pad: the window may begin outside the image
        else:
            x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode=_PADDING_MODES[self.padding_mode])  # type: ignore[call-overload]
        out = np.zeros_like(x, shape=(n, channels, h, w))  # in the memory order of x
        for i, (top, left) in enumerate(corners.tolist()):
            part = x[i, :, max(top, 0) : max(top + h, 0), max(left, 0) : max(left + w, 0)]
            r, c = max(-top, 0), max(-left, 0)
            out[i, :, r : r + part.shape[1], c : c + part.shape[2]] = part
        return out


@dataclass(frozen=True)
class RandomShift(_Random):
    """Move each image by up to ``pixels`` whole pixels in both directions; what it uncovers is padded."""

    pixels: int
    padding_mode: str = "zeros"

    def _crop(self, x: Images) -> RandomCrop:
        return RandomCrop(x.shape[2:], self.pixels, self.padding_mode)

    def draws(self, x: Images) -> int:
        return self._crop(x).draws(x)

    def apply(self, x: Images, words: Words) -> Images:
        return self._crop(x).apply(x, words)


@dataclass(frozen=True)
class RandomAffine(_Random):
    """Rotate, scale and shift each image in one resampling (bilinear, zeros outside).

    ``degrees``: the angle, counter-clockwise, is uniform in (-degrees, degrees), or between two given ones.
    ``translate``: largest shift as fractions (of the width, of the height); the shift is a whole number of pixels.
    ``scale``: the factor is uniform between these two; above 1 enlarges.
    Rotation and scaling are about the centre, before the shift; names and order are torchvision's.
    """

    degrees: float | tuple[float, float] = 0.0
    translate: tuple[float, float] | None = None
    scale: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.degrees, (int, float)) and self.degrees < 0:
            raise ValueError(f"degrees must not be negative (or give a pair (from, to)), got {self.degrees}")
        if self.translate is not None and not all(0 <= t <= 1 for t in self.translate):
            raise ValueError(f"translate holds fractions between 0 and 1, got {self.translate}")
        if self.scale is not None and not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale must be a pair (from, to) of positive factors, got {self.scale}")

    def draws(self, x: Images) -> int:
        return 1 + 2 * (self.translate is not None) + (self.scale is not None)

    def apply(self, x: Images, words: Words) -> Images:
        maps = self._maps(x.shape[2], x.shape[3], words)
        if x.dtype.kind == "f":
            return warp(x, maps)
        return np.rint(warp(x.astype(np.float32), maps)).astype(x.dtype)

    def _maps(self, height: int, width: int, words: Words) -> NDArray[Any]:
        """For each image the map from a pixel of the result to the place in the image it comes from: (N, 2, 3).

        The words stand for the angle, the shift across and down, and the factor.
        """
        n, columns = len(words), list(words.T)
        low, high = (-self.degrees, self.degrees) if isinstance(self.degrees, (int, float)) else self.degrees
        angle = np.radians(_between(columns.pop(0), low, high).astype(np.float64))
        shift = np.zeros((n, 2))  # rows, columns
        if self.translate is not None:
            for axis, limit in ((1, self.translate[0] * width), (0, self.translate[1] * height)):
                shift[:, axis] = np.rint(_between(columns.pop(0), -limit, limit).astype(np.float64))
        factor = _between(columns.pop(0), *self.scale).astype(np.float64) if self.scale is not None else np.ones(n)

        cos, sin = np.cos(angle) / factor, np.sin(angle) / factor
        turn = np.stack([cos, sin, -sin, cos], axis=-1).reshape(n, 2, 2)
        centre = np.array([(height - 1) / 2, (width - 1) / 2])
        origin = centre - (turn @ (centre + shift)[..., None])[..., 0]  # where pixel (0, 0) comes from
        return np.concatenate([turn, origin[..., None]], axis=-1)


class RandomRotation(RandomAffine):
    """Turn each image about its centre; angles as in RandomAffine."""

    def __init__(self, degrees: float | tuple[float, float]):
        super().__init__(degrees)


class RandomScale(RandomAffine):
    """Enlarge or shrink each image about its centre by a factor between the two given ones."""

    def __init__(self, scale: tuple[float, float]):
        super().__init__(scale=scale)


@dataclass(frozen=True)
class Cutout(_Random):
    """Set a square of ``size`` pixels to zero, its centre anywhere in the image (so it may stick out).

    After Normalize, zero is the mean colour.
    Source: DeVries & Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017.
    """

    size: int

    def draws(self, x: Images) -> int:
        return 2

    def apply(self, x: Images, words: Words) -> Images:
        height, width = x.shape[2:]

        def span(length: int, word: Words) -> NDArray[Any]:
            """Which of the pixels along one axis are covered, for each image: (N, length)."""
            offset = np.arange(length) - word.astype(np.int64)[:, None] % length + self.size // 2
            return (offset >= 0) & (offset < self.size)

        rows, columns = span(height, words[:, 0]), span(width, words[:, 1])
        hole = rows[:, None, :, None] & columns[:, None, None, :]  # (N, 1, H, W)
        out = x.copy(order="K")
        np.copyto(out, 0, where=hole, casting="unsafe")
        return out


class Normalize:
    """(x - mean) / std, with one mean and one standard deviation per channel (or one for all).

    Bytes (uint8) are first taken from 0..255 to 0..1, in the same pass, and become float32.
    """

    def __init__(self, mean: float | Sequence[float] | NDArray[Any], std: float | Sequence[float] | NDArray[Any]):
        self.mean, self.std = np.atleast_1d(mean).astype(np.float64), np.atleast_1d(std).astype(np.float64)
        if not (self.std > 0).all():
            raise ValueError(f"standard deviations must be positive, got {std}")

    @classmethod
    def fit(cls, x: Images) -> Normalize:
        """With the mean and standard deviation of each channel of x (N, C, H, W)."""
        unit = 255.0 if x.dtype == np.uint8 else 1.0
        mean = x.mean(axis=(0, 2, 3), dtype=np.float64) / unit
        # one image after the other: the squares of a whole data set in float64 would fill the memory
        squares = sum(np.square(image, dtype=np.float64).mean(axis=(1, 2)) for image in x) / (len(x) * unit**2)
        return cls(mean, np.sqrt(squares - mean**2))

    def __call__(self, x: Images, generator: Generator | None = None) -> Images:
        dtype = x.dtype if x.dtype.kind == "f" else np.float32
        factor = 1 / self.std / (255 if x.dtype == np.uint8 else 1)
        out = np.multiply(x, factor.astype(dtype)[:, None, None], dtype=dtype)
        out -= (self.mean / self.std).astype(dtype)[:, None, None]
        return out

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean.round(4).tolist()}, std={self.std.round(4).tolist()})"
