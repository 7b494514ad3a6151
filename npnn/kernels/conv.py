"""The one place that decides how a convolution is computed: from its shapes alone, so that a run can be repeated.

A form is a module with three passes, ``forward``, ``backward_input`` and ``backward_weight``.  im2col
does everything; channelwise is for groups of one channel each; pointwise for kernels of one pixel;
winograd does 3×3 kernels with a quarter of the multiplications, 1e-5 less exactly.
Arrays are channels-last: images (N, H, W, C), weights (O, KH, KW, C/G).  The forms get them contiguous.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import channelwise, im2col, pointwise, winograd
from npnn.kernels.im2col import Geometry
from npnn.kernels.tiles import PANEL

__all__ = ["Geometry", "backward_input", "backward_weight", "forward", "use_winograd"]

_winograd = os.environ.get("NPNN_WINOGRAD", "1") != "0"


def use_winograd(enabled: bool) -> None:
    """Allow Winograd's algorithm, or not: without it 3×3 convolutions are slower and more exact."""
    global _winograd
    _winograd = enabled


def choose(
    n: int,
    size: tuple[int, int],
    c: int,
    o: int,
    kernel_size: tuple[int, int],
    geometry: Geometry,
    weight: bool = False,
) -> Any:
    """The form that computes ``n`` images of ``size`` (OH, OW) fastest: y and dx, or with ``weight`` dw."""
    if 1 < geometry.groups == c:
        return channelwise
    if pointwise.fits(kernel_size, geometry):
        return pointwise
    (top, left), (bottom, right) = geometry.before, geometry.after
    if not (
        _winograd
        and kernel_size == (3, 3)
        and geometry.stride == geometry.dilation == (1, 1)
        and geometry.groups == 1
        and max(top, left, bottom, right) <= 2
        and max(c, PANEL if weight else o) >= 64
        and min(c, o) >= PANEL
        and c % PANEL == o % PANEL == 0
    ):
        return im2col
    # Measured, with 32 to 512 channels and images of 1×1 to 32×32: with 32 of both, or 32 inputs for dw, the transforms
    # take longer than what they save.  Transforming the kernels pays from 16 tiles on, transforming the tiles where they
    # save more than half of the products.
    th, tw = winograd.grid_of(size)
    return winograd if n * th * tw >= 16 and 9 * size[0] * size[1] >= 2.5 * 36 * th * tw else im2col


def forward(x: NDArray[Any], w: NDArray[Any], b: NDArray[Any] | None, geometry: Geometry) -> NDArray[Any]:
    """y = x ⋆ w + b.   (N, H, W, C), (O, KH, KW, C/G), (O,) -> (N, OH, OW, O)"""
    x, w, b = np.ascontiguousarray(x), np.ascontiguousarray(w), None if b is None else np.ascontiguousarray(b)
    kernel_size = w.shape[1:3]
    size = geometry.output_size(x.shape[1:3], kernel_size)
    form = choose(len(x), size, x.shape[3], len(w), kernel_size, geometry)
    if form is not winograd:
        return form.forward(x, w, b, geometry)
    return winograd.forward(x, w, np.zeros(len(w), w.dtype) if b is None else b, geometry.before, size)


def backward_input(dy: NDArray[Any], w: NDArray[Any], size: tuple[int, int], geometry: Geometry) -> NDArray[Any]:
    """dx, of ``size`` (H, W).   (N, OH, OW, O), (O, KH, KW, C/G) -> (N, H, W, C)"""
    dy, w = np.ascontiguousarray(dy), np.ascontiguousarray(w)
    form = choose(len(dy), size, w.shape[3] * geometry.groups, len(w), w.shape[1:3], geometry)
    if form is not winograd:
        return form.backward_input(dy, w, size, geometry)
    return winograd.backward_input(dy, w, geometry.before, size)


def backward_weight(
    x: NDArray[Any], dy: NDArray[Any], kernel_size: tuple[int, int], geometry: Geometry
) -> tuple[NDArray[Any], NDArray[Any]]:
    """dw and db.   (N, H, W, C), (N, OH, OW, O) -> (O, KH, KW, C/G), (O,)"""
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    form = choose(len(dy), dy.shape[1:3], x.shape[3], dy.shape[3], kernel_size, geometry, weight=True)
    if form is not winograd:
        return form.backward_weight(x, dy, kernel_size, geometry)
    return winograd.backward_weight(x, dy, geometry.before)
