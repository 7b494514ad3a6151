"""Resample a batch of images along one affine map per image: rotation, scaling and shift in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels._jit import jit, kernel

__all__ = ["warp"]


@kernel
def warp(x: NDArray[Any], maps: NDArray[Any]) -> NDArray[Any]:
    """out[n, :, r, c] = x[n] at (row, column) = maps[n] @ (r, c, 1), bilinear, zero outside the image.

    x (N, C, H, W), maps (N, 2, 3) float64  ->  (N, C, H, W) in the dtype of x, contiguous.
    """
    n, channels, height, width = x.shape
    r, c = np.mgrid[:height, :width]
    points = maps @ np.stack([r, c, np.ones_like(r)]).reshape(3, -1)  # (N, 2, H*W)
    # one row and column of zeros before the image and two after it: what lies outside falls on them
    padded = np.pad(x, ((0, 0), (0, 0), (1, 2), (1, 2)))
    row, col = np.clip(points, -1.0, [[height], [width]]).transpose(1, 0, 2)  # (N, H*W) each
    r0, c0 = np.floor(row).astype(np.intp), np.floor(col).astype(np.intp)
    down, right = (row - r0)[..., None], (col - c0)[..., None]
    image = np.arange(n)[:, None]

    def at(dr: int, dc: int) -> NDArray[Any]:
        return padded[image, :, r0 + 1 + dr, c0 + 1 + dc]  # (N, H*W, C)

    top = (1 - right) * at(0, 0) + right * at(0, 1)
    bottom = (1 - right) * at(1, 0) + right * at(1, 1)
    result = (1 - down) * top + down * bottom  # (N, H*W, C)
    return np.ascontiguousarray(result.reshape(n, height, width, channels).transpose(0, 3, 1, 2), x.dtype)


@warp.fast
def warp(x: NDArray[Any], maps: NDArray[Any]) -> NDArray[Any]:
    x = np.ascontiguousarray(x)  # one memory order, one compilation
    out = np.empty_like(x)
    _warp_loop(x, maps, out)
    return out


@jit
def _warp_loop(x, maps, out):  # type: ignore[no-untyped-def]
    n, channels, height, width = x.shape
    for i in range(n):
        for r in range(height):
            for c in range(width):
                row = maps[i, 0, 0] * r + maps[i, 0, 1] * c + maps[i, 0, 2]
                col = maps[i, 1, 0] * r + maps[i, 1, 1] * c + maps[i, 1, 2]
                r0, c0 = int(np.floor(row)), int(np.floor(col))
                down, right = row - r0, col - c0
                w00, w01 = (1 - down) * (1 - right), (1 - down) * right
                w10, w11 = down * (1 - right), down * right
                if 0 <= r0 < height - 1 and 0 <= c0 < width - 1:  # all four neighbours are in the image
                    for k in range(channels):
                        upper = w00 * x[i, k, r0, c0] + w01 * x[i, k, r0, c0 + 1]
                        out[i, k, r, c] = upper + w10 * x[i, k, r0 + 1, c0] + w11 * x[i, k, r0 + 1, c0 + 1]
                    continue
                for k in range(channels):
                    value = 0.0
                    for dr in range(2):
                        for dc in range(2):
                            if 0 <= r0 + dr < height and 0 <= c0 + dc < width:
                                weight = (w11 if dc else w10) if dr else (w01 if dc else w00)
                                value += weight * x[i, k, r0 + dr, c0 + dc]
                    out[i, k, r, c] = value
