"""A person's own picture, made into what the network wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.experiment.config import UserError

__all__ = ["read_picture"]


def read_picture(path: Path, like: NDArray[Any] | None) -> tuple[NDArray[Any], list[str]]:
    """A picture file as an array (C, H, W) like those of the data, and what was done to it, in sentences.

    Black and white become the smallest and the largest value of each channel of the data.
    Errors: UserError for a file that is no picture, or data that are none.
    """
    if like is None or like.ndim != 4 or like.shape[1] not in (1, 3):
        raise UserError("--image needs a network of grey or coloured pictures, and its data")
    from PIL import Image, UnidentifiedImageError

    C, H, W = like.shape[1:]
    try:
        with Image.open(path) as file:
            mode, size = file.mode, file.size
            picture = file.convert("L" if C == 1 else "RGB")
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except (UnidentifiedImageError, OSError) as error:
        raise UserError(f"{path} is no picture that can be read: {error}") from None
    said = []
    if C == 1 and mode not in ("1", "L", "LA", "I;16"):
        said.append(f"{path} is coloured; the network knows grey pictures: its brightness was taken")
    if C == 3 and mode in ("1", "L", "LA", "I;16"):
        said.append(f"{path} is grey; the network knows coloured pictures: all three channels are the same")
    if size != (W, H):
        side = min(size[0] / W, size[1] / H)  # the middle, so that nothing is stretched
        width, height = side * W, side * H
        left, top = (size[0] - width) / 2, (size[1] - height) / 2
        picture = picture.resize((W, H), Image.Resampling.BOX if side > 1 else Image.Resampling.BICUBIC,
                                 (left, top, left + width, top + height))  # fmt: skip
        said.append(f"{path} has {size[0]}×{size[1]} pixels; its middle was taken and made {W}×{H}")
    pixels = np.asarray(picture, np.float32).reshape(H, W, C).transpose(2, 0, 1) / 255
    low, high = (side(axis=(0, 2, 3))[:, None, None] for side in (like.min, like.max))
    return (low + (high - low) * pixels).astype(np.float32), said
