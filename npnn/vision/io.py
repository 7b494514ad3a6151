"""Picture files as tensors of bytes, and back: what scripts use of torchvision.io."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from npnn.io.atomic import atomic_write
from npnn.tensor import Tensor
from npnn.vision.transforms.conversion import PILToTensor, ToPILImage

__all__ = ["ImageReadMode", "decode_image", "read_image", "write_jpeg", "write_png"]


class ImageReadMode(Enum):
    """In how many channels a picture is read."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4


_MODES = {"GRAY": "L", "GRAY_ALPHA": "LA", "RGB": "RGB", "RGB_ALPHA": "RGBA"}


def read_image(path: Any, mode: Any = ImageReadMode.UNCHANGED) -> Tensor:
    """A picture file as bytes, uint8 (C, H, W).   Errors: RuntimeError for a file that is no picture."""
    from PIL import Image, UnidentifiedImageError

    name = mode if isinstance(mode, str) else mode.name
    try:
        with Image.open(Path(path)) as image:
            return PILToTensor()(image if name == "UNCHANGED" else image.convert(_MODES[name]))
    except UnidentifiedImageError as error:
        raise RuntimeError(str(error)) from None


decode_image = read_image


def _write(input: Tensor, filename: Any, kind: str, **options: Any) -> None:
    if input.array.dtype != np.uint8 or input.array.ndim != 3:
        raise RuntimeError(f"expected a picture of bytes, (C, H, W), got {input.dtype} of shape {input.shape}")
    with atomic_write(Path(filename)) as file:
        ToPILImage()(input).save(file, format=kind, **options)


def write_png(input: Tensor, filename: Any, compression_level: int = 6) -> None:
    """Bytes (C, H, W) into a PNG file."""
    _write(input, filename, "PNG", compress_level=compression_level)


def write_jpeg(input: Tensor, filename: Any, quality: int = 75) -> None:
    """Bytes (C, H, W) into a JPEG file."""
    _write(input, filename, "JPEG", quality=quality)
