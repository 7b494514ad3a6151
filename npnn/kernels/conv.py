"""The one place that decides how a convolution is computed: from its shapes alone, so that a run can be repeated.

A form is a module with three passes, ``forward``, ``backward_input`` and ``backward_weight``.  im2col
does everything; winograd does 3×3 kernels with a quarter of the multiplications, 1e-5 less exactly.
Arrays are channels-last: images (N, H, W, C), weights (O, KH, KW, C/G).
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import im2col, winograd
from npnn.kernels.im2col import Geometry
from npnn.kernels.tiles import PANEL

__all__ = ["Geometry", "backward_input", "backward_weight", "forward", "use_winograd"]

_winograd = os.environ.get("NPNN_WINOGRAD", "1") != "0"


def use_winograd(enabled: bool) -> None:
    """Allow Winograd's algorithm, or not: without it 3×3 convolutions are slower and more exact."""
    global _winograd
    _winograd = enabled


def choose(
    n: int, size: tuple[int, int], c: int, o: int, kernel_size: tuple[int, int], geometry: Geometry
) -> winograd.Form | None:
    """The Winograd form that computes ``n`` images of ``size`` (OH, OW) fastest, or None for im2col."""
    (top, left), (bottom, right) = geometry.before, geometry.after
    if not (
        _winograd
        and kernel_size == (3, 3)
        and geometry.stride == geometry.dilation == (1, 1)
        and geometry.groups == 1
        and max(top, left, bottom, right) <= 2
        and c % PANEL == o % PANEL == 0
    ):
        return None
    # Clock ticks for each pair of an input and an output channel, measured on a core with AVX-512: a
    # multiplication costs 1/32 in the products, and 1/2 when it is prepared by transforming the kernel.
    best, least = None, 9 * n * size[0] * size[1] / 32 + 6
    for name, form in winograd.FORMS.items():
        points, m = form.A.shape
        if name.endswith("bordered") and not (size == (m, m) and top == left == bottom == right == 1):
            continue
        tiles = n * -(-size[0] // m) * -(-size[1] // m)
        ticks = points**2 * (tiles / 32 + 1 / 2)
        if ticks < least:
            best, least = form, ticks
    return best


def forward(x: NDArray[Any], w: NDArray[Any], b: NDArray[Any] | None, geometry: Geometry) -> NDArray[Any]:
    """y = x ⋆ w + b.   (N, H, W, C), (O, KH, KW, C/G), (O,) -> (N, OH, OW, O)"""
    kernel_size = w.shape[1:3]
    size = geometry.output_size(x.shape[1:3], kernel_size)
    form = choose(len(x), size, x.shape[3], len(w), kernel_size, geometry)
    if form is None:
        return im2col.forward(x, w, b, geometry)
    return winograd.forward(x, w, np.zeros(len(w), w.dtype) if b is None else b, geometry.before, size, form)


def backward_input(dy: NDArray[Any], w: NDArray[Any], size: tuple[int, int], geometry: Geometry) -> NDArray[Any]:
    """dx, of ``size`` (H, W).   (N, OH, OW, O), (O, KH, KW, C/G) -> (N, H, W, C)"""
    form = choose(len(dy), size, len(w), w.shape[3], w.shape[1:3], geometry)
    if form is None:
        return im2col.backward_input(dy, w, size, geometry)
    return winograd.backward_input(dy, w, geometry.before, size, form)


def backward_weight(
    x: NDArray[Any], dy: NDArray[Any], kernel_size: tuple[int, int], geometry: Geometry
) -> tuple[NDArray[Any], NDArray[Any]]:
    """dw and db.   (N, H, W, C), (N, OH, OW, O) -> (O, KH, KW, C/G), (O,)"""
    form = choose(len(dy), dy.shape[1:3], x.shape[3], dy.shape[3], kernel_size, geometry)
    if form is None:
        return im2col.backward_weight(x, dy, kernel_size, geometry)
    return winograd.backward_weight(x, dy, geometry.before, form)
