"""The one place that decides how a convolution is computed.

A form is a module with the three passes ``forward``, ``backward_input`` and ``backward_weight``.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from npnn.kernels import im2col
from npnn.kernels.im2col import Geometry

__all__ = ["Geometry", "backward_input", "backward_weight", "forward"]


def forward(x: NDArray[Any], w: NDArray[Any], b: NDArray[Any] | None, geometry: Geometry) -> NDArray[Any]:
    """Channels-last convolution.   (N, H, W, C), (O, KH, KW, C/G), (O,) -> (N, OH, OW, O)"""
    return im2col.forward(x, w, b, geometry)


def backward_input(dy: NDArray[Any], w: NDArray[Any], size: tuple[int, int], geometry: Geometry) -> NDArray[Any]:
    return im2col.backward_input(dy, w, size, geometry)


def backward_weight(
    x: NDArray[Any], dy: NDArray[Any], kernel_size: tuple[int, int], geometry: Geometry
) -> tuple[NDArray[Any], NDArray[Any]]:
    return im2col.backward_weight(x, dy, kernel_size, geometry)
