"""A person's own picture, made into what the network wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.data.drawing import centred
from npnn.experiment.config import UserError

__all__ = ["read_picture"]

PAPER = 0.25  # of the largest brightness: what is below is paper, not ink
LOOKED_AT = 500  # pictures of the data, to learn how its drawings lie


def read_picture(path: Path, like: NDArray[Any] | None) -> tuple[NDArray[Any], list[str]]:
    """A picture file as an array (C, H, W) like those of the data, and what was done to it, in sentences.

    Black and white become the smallest and the largest value of each channel of the data.  If these are drawings that
    fill a box, as MNIST's digits do, so does this one, whether it is bright on dark or dark on bright.
    Errors: UserError for a file that is no picture, or data that are none.
    """
    if like is None or like.ndim != 4 or like.shape[1] not in (1, 3):
        raise UserError("a picture needs a network of grey or coloured pictures, and its data")
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
    low, high = (side(axis=(0, 2, 3))[:, None, None] for side in (like.min, like.max))
    box = _box(like) if C == 1 and H == W and size != (W, H) else None
    if box is not None:
        pixels = _drawing(path, np.asarray(picture), H, box, said)[None]
        return (low + (high - low) * pixels).astype(np.float32), said
    if size != (W, H):
        side = min(size[0] / W, size[1] / H)  # the middle, so that nothing is stretched
        width, height = side * W, side * H
        left, top = (size[0] - width) / 2, (size[1] - height) / 2
        picture = picture.resize((W, H), Image.Resampling.BOX if side > 1 else Image.Resampling.BICUBIC,
                                 (left, top, left + width, top + height))  # fmt: skip
        said.append(f"{path} has {size[0]}×{size[1]} pixels; its middle was taken and made {W}×{H}")
    pixels = np.asarray(picture, np.float32).reshape(H, W, C).transpose(2, 0, 1) / 255
    return (low + (high - low) * pixels).astype(np.float32), said


def _box(like: NDArray[Any]) -> int | None:
    """The pixels that nearly all drawings of the data fill, in height or in width; None for other pictures."""
    ink = like[:LOOKED_AT, 0] > like.min() + PAPER * (like.max() - like.min())
    if ink[:, [0, -1]].mean() > PAPER:
        return None  # no paper around
    sizes = np.maximum(*(_extent(ink.any(axis=axis)) for axis in (1, 2)))
    usual = int(np.median(sizes))
    return usual if usual < like.shape[2] and np.mean(abs(sizes - usual) <= 1) > 0.9 else None


def _extent(hit: NDArray[np.bool_]) -> NDArray[np.int64]:
    """From the first to the last True of each row, (N, L) -> (N,)."""
    length = hit.shape[1]
    return np.where(hit.any(axis=1), length - hit[:, ::-1].argmax(axis=1) - hit.argmax(axis=1), 0)


def _drawing(path: Path, grey: NDArray[np.uint8], side: int, box: int, said: list[str]) -> NDArray[np.float32]:
    """(side, side) from 0 to 1: bright ink on black paper, in the box."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    if np.median(border) > 127:
        grey = 255 - grey
        said.append(f"{path} is dark on bright; it was turned into bright on dark")
    ink = grey.astype(np.float32)
    ink -= np.median(border if np.median(border) <= 127 else 255 - border)  # the paper's own shade
    ink *= 255 / max(float(ink.max()), 1.0)
    ink[ink < PAPER * 255] = 0
    found = centred(ink.astype(np.uint8), side, box)
    if found is None:
        raise UserError(f"nothing is drawn on {path}")
    said.append(f"{path}: what is drawn was made {box} pixels large and put into the middle of {side}×{side}")
    return found
