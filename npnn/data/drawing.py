"""A drawing of any size, made as MNIST's digits were."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["centred"]


def centred(drawing: NDArray[np.uint8], side: int = 28, box: int = 20) -> NDArray[np.float32] | None:
    """A drawing (H, W) of 0 (paper) to 255 (ink) as a picture (side, side) from 0 to 1; None if nothing is drawn.

    The ink's smallest rectangle is made to fit a square of ``box`` pixels, its shape kept, by averaging over areas; then
    its centre of mass is put into the middle.
    Source: LeCun et al., Gradient-based learning applied to document recognition, 1998, which made MNIST so.
    """
    rows, columns = np.flatnonzero(drawing.any(axis=1)), np.flatnonzero(drawing.any(axis=0))
    if not len(rows):
        return None
    ink = drawing[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] / np.float32(255)
    scale = box / max(ink.shape)
    height, width = (max(1, round(scale * n)) for n in ink.shape)
    small = _averages(height, ink.shape[0]) @ ink @ _averages(width, ink.shape[1]).T
    mass = small.sum()
    top = round((side - 1) / 2 - float(np.arange(height) @ small.sum(axis=1) / mass))
    left = round((side - 1) / 2 - float(np.arange(width) @ small.sum(axis=0) / mass))
    top, left = min(max(top, 0), side - height), min(max(left, 0), side - width)
    picture = np.zeros((side, side), np.float32)
    picture[top : top + height, left : left + width] = small
    return picture


def _averages(to: int, of: int) -> NDArray[np.float32]:
    """(to, of): row i is the mean over the part [i of / to, (i + 1) of / to) of an axis, its ends counted in part."""
    begin = np.arange(to)[:, None] * of / to
    cell = np.arange(of)
    share = np.clip(np.minimum(begin + of / to, cell + 1) - np.maximum(begin, cell), 0, 1)
    return (share / share.sum(axis=1, keepdims=True)).astype(np.float32)
