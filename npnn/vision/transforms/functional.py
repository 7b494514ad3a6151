"""The changes of ``npnn.vision.transforms`` with given numbers, nothing drawn: torchvision.transforms.functional."""

from __future__ import annotations

from typing import Any

from npnn.tensor import Tensor
from npnn.vision.transforms import color, conversion, filters, geometry
from npnn.vision.transforms.pixels import InterpolationMode, as_pil, cut_out, pad_widths, padded, pils, size_of

__all__ = [
    "InterpolationMode", "adjust_brightness", "adjust_contrast", "adjust_hue", "adjust_saturation", "adjust_sharpness",
    "autocontrast", "center_crop", "crop", "equalize", "five_crop", "gaussian_blur", "get_image_size", "hflip", "invert",
    "normalize", "pad", "pil_to_tensor", "posterize", "resize", "resized_crop", "rgb_to_grayscale", "rotate", "solarize",
    "ten_crop", "to_grayscale", "to_pil_image", "to_tensor", "vflip",
]  # fmt: skip


def to_tensor(pic: Any) -> Tensor:
    """A picture as numbers from 0 to 1: see ToTensor."""
    return conversion.ToTensor()(pic)


def pil_to_tensor(pic: Any) -> Tensor:
    """A PIL image as a tensor of bytes: see PILToTensor."""
    return conversion.PILToTensor()(pic)


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor as a PIL image: see ToPILImage."""
    return conversion.ToPILImage(mode)(pic)


def normalize(tensor: Any, mean: Any, std: Any, inplace: bool = False) -> Tensor:
    """(tensor - mean) / std: see Normalize."""
    return conversion.Normalize(mean, std, inplace)(tensor)


def get_image_size(img: Any) -> list[int]:
    """[width, height] of a picture, in pixels"""
    height, width = size_of(img)
    return [width, height]


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The window with this upper left corner and size; what lies outside the picture is 0."""
    return cut_out(img, top, left, height, width)


def center_crop(img: Any, output_size: Any) -> Any:
    """The window in the middle: see CenterCrop."""
    return geometry.CenterCrop(output_size)(img)


def resized_crop(
    img: Any, top: int, left: int, height: int, width: int, size: Any, interpolation: Any = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:  # fmt: skip
    """crop, and then resize."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def five_crop(img: Any, size: Any) -> tuple[Any, ...]:
    """The corners and the middle: see FiveCrop."""
    return geometry.FiveCrop(size)(img)


def ten_crop(img: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """Those of the mirror image, too: see TenCrop."""
    return geometry.TenCrop(size, vertical_flip)(img)


def hflip(img: Any) -> Any:
    """Mirrored left to right."""
    return geometry.RandomHorizontalFlip.flipped(img)


def vflip(img: Any) -> Any:
    """Mirrored top to bottom."""
    return geometry.RandomVerticalFlip.flipped(img)


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """A border around the picture: see Pad."""
    return padded(img, pad_widths(padding), fill, padding_mode)


def resize(
    img: Any, size: Any, interpolation: Any = InterpolationMode.BILINEAR, max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:  # fmt: skip
    """The picture in another size: see Resize."""
    return geometry.Resize(size, interpolation, max_size, antialias)(img)


def rotate(
    img: Any, angle: float, interpolation: Any = InterpolationMode.NEAREST, expand: bool = False, center: Any = None,
    fill: Any = None,
) -> Any:  # fmt: skip
    """Turned by an angle in degrees, counter-clockwise."""
    return as_pil(lambda im: im.rotate(angle, pils(interpolation), expand, center, fillcolor=fill or None), img)


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The picture without colour: see Grayscale."""
    return color.Grayscale(num_output_channels)(img)


rgb_to_grayscale = to_grayscale


def invert(img: Any) -> Any:
    """Light and dark exchanged."""
    return color.inverted(img)


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """Black (0), unchanged (1) or brighter (above)."""
    return color.changed(img, 0, brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """Grey (0), unchanged (1) or with more contrast (above)."""
    return color.changed(img, 1, contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """Without colour (0), unchanged (1) or more colourful (above)."""
    return color.changed(img, 2, saturation_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """The colours turned by a part of their circle, -0.5 to 0.5.   Errors: ValueError for another factor."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    return color.changed(img, 3, hue_factor)


def gaussian_blur(img: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """See GaussianBlur; σ is 0.3 ((k - 1) / 2 - 1) + 0.8 for a kernel of k pixels unless given."""
    return filters.blurred(img, kernel_size, sigma)


def solarize(img: Any, threshold: float) -> Any:
    """The negative of the bright pixels: see RandomSolarize."""
    return filters.RandomSolarize(threshold).changed(img)


def posterize(img: Any, bits: int) -> Any:
    """Only the highest bits of each colour: see RandomPosterize."""
    return filters.RandomPosterize(bits).changed(img)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """Blurred or sharpened: see RandomAdjustSharpness."""
    return filters.RandomAdjustSharpness(sharpness_factor).changed(img)


def autocontrast(img: Any) -> Any:
    """Each colour stretched to the whole range: see RandomAutocontrast."""
    return filters.RandomAutocontrast().changed(img)


def equalize(img: Any) -> Any:
    """All values about as frequent: see RandomEqualize."""
    return filters.RandomEqualize().changed(img)
