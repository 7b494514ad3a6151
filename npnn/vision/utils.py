"""Batches of images as one picture, in memory or in a file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn.tensor import Tensor, _from_array

__all__ = ["make_grid", "save_image"]


def make_grid(
    tensor: Any, nrow: int = 8, padding: int = 2, normalize: bool = False, value_range: tuple[float, float] | None = None,
    scale_each: bool = False, pad_value: float = 0.0, **old: Any,
) -> Tensor:  # fmt: skip
    """Images (N, C, H, W), or a list of (C, H, W), side by side, ``nrow`` in a row, as one image (3, H', W')."""
    x = np.stack([np.asarray(t) for t in tensor]) if isinstance(tensor, (list, tuple)) else tensor.detach().numpy()
    if x.ndim == 2:
        x = x[None]
    if x.ndim == 3:
        x = np.repeat(x, 3, 0) if len(x) == 1 else x
        x = x[None]
    if x.ndim == 4 and x.shape[1] == 1:
        x = np.repeat(x, 3, 1)
    if normalize:
        x = x.astype(np.float32)

        def scaled(part: Any) -> Any:
            low, high = value_range or (float(part.min()), float(part.max()))
            return (np.clip(part, low, high) - low) / max(high - low, 1e-5)

        x = np.stack([scaled(image) for image in x]) if scale_each else scaled(x)
    if len(x) == 1:
        return _from_array(x[0].copy())
    n, channels, h, w = x.shape
    columns = min(nrow, n)
    rows = math.ceil(n / columns)
    grid = np.full((channels, (h + padding) * rows + padding, (w + padding) * columns + padding), pad_value, x.dtype)
    for i, image in enumerate(x):
        top, left = (h + padding) * (i // columns) + padding, (w + padding) * (i % columns) + padding
        grid[:, top : top + h, left : left + w] = image
    return _from_array(grid)


def save_image(tensor: Any, fp: Any, format: str | None = None, **options: Any) -> None:
    """Write make_grid of the images, whose numbers lie in [0, 1], to a file."""
    from PIL import Image

    grid = make_grid(tensor, **options).array
    pixels = np.clip(grid.astype(np.float32) * 255 + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(pixels).save(fp, format=format)
