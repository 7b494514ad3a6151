"""Convolution with a kernel of one pixel: a matrix product, each pixel a row of it.   y = x wᵀ + b"""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from npnn.kernels.blas import affine, column_sums, matmul
from npnn.kernels.im2col import Geometry

__all__ = ["backward_input", "backward_weight", "fits", "forward"]

Array = NDArray[Any]


def fits(kernel_size: tuple[int, int], geometry: Geometry) -> bool:
    """True where each output sees one pixel, in the same place."""
    borders = (*geometry.before, *geometry.after)
    return kernel_size == (1, 1) == geometry.stride and geometry.groups == 1 and not any(borders)


def _matrix(a: Array) -> Array:
    """(N, H, W, C) -> (N·H·W, C), and (O, 1, 1, C) -> (O, C)"""
    return a.reshape(math.prod(a.shape[:3]), a.shape[3])


def forward(x: Array, w: Array, b: Array | None, geometry: Geometry) -> Array:
    rows, weights = _matrix(x), _matrix(w)
    y = matmul(rows, weights, False, True) if b is None else affine(rows, weights, b)
    return y.reshape(*x.shape[:3], len(w))


def backward_input(dy: Array, w: Array, size: tuple[int, int], geometry: Geometry) -> Array:
    return matmul(_matrix(dy), _matrix(w), False, False).reshape(len(dy), *size, w.shape[3])


def backward_weight(x: Array, dy: Array, kernel_size: tuple[int, int], geometry: Geometry) -> tuple[Array, Array]:
    rows = _matrix(dy)
    dw = matmul(rows, _matrix(x), True, False)
    return dw.reshape(dy.shape[3], 1, 1, x.shape[3]), column_sums(rows)
