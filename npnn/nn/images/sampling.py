"""Images looked at in given places: a grid of points, and the pixels around each (spatial transformer networks).

Source: Jaderberg et al., Spatial transformer networks, 2015.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import DtypeError, ShapeError, warn
from npnn.function import Function
from npnn.kernels.taps import weighted_rows, weighted_rows_backward
from npnn.ops.indexing import Put
from npnn.ops.joining import stack
from npnn.ops.linalg import matmul
from npnn.tensor import Tensor, of_array

__all__ = ["affine_grid", "grid_sample"]

_CUBIC = -0.75  # the slope that the cubic through four pixels has at its ends


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Where the pixels of an image of ``size`` come from, by the affine map θ of coordinates from -1 to 1.

    theta (N, 2, 3), size (N, C, H, W) -> (N, H, W, 2); theta (N, 3, 4), size (N, C, D, H, W) -> (N, D, H, W, 3).
    -1 and 1 are the outer pixels' middles with ``align_corners``, else the image's edges.
    Errors: ShapeError for sizes that do not go together; DtypeError for a θ that is not floating-point.
    """
    dims = len(size) - 2
    if dims not in (2, 3) or theta.array.shape != (size[0], dims, dims + 1):
        raise ShapeError(
            f"affine_grid: expected a theta (N, 2, 3) or (N, 3, 4) for the size {tuple(size)}, got {theta.shape}"
        )
    if theta.array.dtype.kind != "f":
        raise DtypeError(f"Expected theta to have floating point type, but got {theta.dtype}")
    axes = []
    for n in size[2:]:
        places = np.linspace(-1, 1, n) if n > 1 else np.zeros(n)
        axes.append(places if _aligned("affine_grid", align_corners) else places * ((n - 1) / n if n else 1))
    points = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(size[2:])], -1).astype(theta.array.dtype)
    grid = matmul(of_array(points.reshape(1, -1, dims + 1)), theta.transpose(1, 2))
    return grid.reshape(size[0], *size[2:], dims)


def _aligned(name: str, align_corners: bool | None) -> bool:
    if align_corners is None:
        warn(f"{name}: align_corners is False unless it is given, as in PyTorch since 1.3")
    return bool(align_corners)


def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """The image at the places of the grid, whose last axis is (x, y) or (x, y, z), from -1 (left, top) to 1.

    input (N, C, H, W), grid (N, OH, OW, 2) -> (N, C, OH, OW); input (N, C, D, H, W), grid (N, OD, OH, OW, 3) likewise.
    ``mode`` is "bilinear" (between the pixels around a place), "nearest", or, of images, "bicubic".  What lies outside
    is 0 ("zeros"), the nearest pixel ("border") or the mirror image ("reflection").  ``align_corners``: see affine_grid.

    Errors: ShapeError, DtypeError for what does not fit, ValueError for another mode.
    """
    dims = input.array.ndim - 2
    shape = input.array.shape
    if dims not in (2, 3) or grid.array.ndim != dims + 2 or grid.array.shape[-1] != dims or len(grid.array) != shape[0]:
        raise ShapeError(
            f"grid_sample: an input of shape {input.shape} and a grid of shape {grid.shape} do not go together"
        )
    if 0 in shape[1:]:
        raise ShapeError(f"grid_sample: expected an input with pixels, got {input.shape}")
    if input.array.dtype != grid.array.dtype:
        raise DtypeError(f"grid_sample: input is {input.dtype}, grid {grid.dtype}: cast one of them")
    if mode not in ("bilinear", "nearest", "bicubic") or (mode == "bicubic" and dims == 3):
        raise ValueError(f"grid_sample: mode must be 'bilinear', 'nearest' or, of images, 'bicubic', got {mode!r}")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(f"grid_sample: padding_mode must be 'zeros', 'border' or 'reflection', got {padding_mode!r}")
    aligned = _aligned("grid_sample", align_corners)
    places = []
    for axis, n in enumerate(shape[2:]):
        x = grid.select(-1, dims - 1 - axis)
        x = (x + 1) * ((n - 1) / 2) if aligned else ((x + 1) * n - 1) / 2
        places.append(x if mode == "bicubic" else _brought_in(x, n, padding_mode, aligned))
    taps = {"bilinear": _linear, "nearest": _nearest, "bicubic": _cubic}[mode]
    rows, weights = [], []
    for choice in itertools.product(*[taps(x) for x in places]):
        weight, inside, row = 1.0, np.ones((), bool), np.zeros((), np.int64)
        for (at, w), n in zip(choice, shape[2:], strict=True):
            if mode == "bicubic" and padding_mode != "zeros":
                at = _bounced(at, n, padding_mode, aligned)[0]
            inside = inside & (at >= 0) & (at < n)
            row = row * n + np.clip(np.nan_to_num(at), 0, n - 1).astype(np.int64)
            weight = weight * w
        rows.append(row)
        weights.append(weight * inside.astype(input.array.dtype))
    index = np.stack(rows, -1).reshape(shape[0], -1, len(rows))
    joined = stack(weights, -1) if isinstance(weights[0], Tensor) else of_array(np.stack(weights, -1))
    pixels = input.movedim(1, -1).reshape(shape[0], -1, shape[1])
    y = Sampling.apply(pixels, joined.reshape(index.shape), index)
    return y.reshape(shape[0], *grid.array.shape[1:-1], shape[1]).movedim(-1, 1)


class Sampling(Function):
    """y[n, p] = Σ_t w[n, p, t] x[n, index[n, p, t]].   x (N, R, C), w and index (N, P, T) -> y (N, P, C)

    dx = dy w at the rows that were looked at, dw = Σ dy x over the channels
    """

    def forward(self, x: NDArray[Any], w: NDArray[Any], index: NDArray[Any]) -> NDArray[Any]:
        self.x, self.w, self.index = x, w, index
        return weighted_rows(x, index, w)

    def backward(self, dy: NDArray[Any]) -> Any:
        return *weighted_rows_backward(dy, self.x, self.index, self.w), None

    def derivative(self: Any, dy: Tensor) -> Any:
        at = np.arange(len(self.index))[:, None, None], self.index
        nothing = np.zeros(self.x.shape, dy.array.dtype)
        dx = Put.apply(nothing, dy.unsqueeze(2) * self.w[..., None], at, True)
        return dx, (self.x[at] * dy.unsqueeze(2)).sum(-1), None


def _linear(x: Tensor) -> list[tuple[Any, Any]]:
    """The pixels to both sides, and their weights."""
    low = np.floor(x.array)
    above = x - of_array(low)
    return [(low, 1 - above), (low + 1, above)]


def _nearest(x: Tensor) -> list[tuple[Any, Any]]:
    return [(np.rint(x.array), np.ones_like(x.array))]


def _cubic(x: Tensor) -> list[tuple[Any, Any]]:
    """Four pixels, and the weights of the cubic through them.   Source: Keys, Cubic convolution interpolation, 1981."""
    low, a = np.floor(x.array), _CUBIC
    t = x - of_array(low)
    u = 1 - t

    def near(d: Any) -> Any:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Any) -> Any:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [(low - 1, far(t + 1)), (low, near(t)), (low + 1, near(u)), (low + 2, far(u + 1))]


def _brought_in(x: Tensor, n: int, padding_mode: str, aligned: bool) -> Tensor:
    """The coordinate brought into the image: its new value, with the slope that this has."""
    if padding_mode == "zeros":
        return x
    value, slope = _bounced(x.array, n, padding_mode, aligned)
    slope = slope.astype(x.array.dtype)
    return x * of_array(slope) + of_array((value - x.array * slope).astype(x.array.dtype))


def _bounced(x: NDArray[Any], n: int, padding_mode: str, aligned: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Coordinates limited to the image, or reflected at its edges until they lie in it, and the slope: 1, -1 or 0."""
    slope = np.ones_like(x)
    if padding_mode == "reflection":
        low, high = (0.0, n - 1.0) if aligned else (-0.5, n - 0.5)
        span = high - low
        if span == 0:
            return np.zeros_like(x), np.zeros_like(x)
        slope = np.where(x < low, -1.0, 1.0)
        far = np.abs(x - low)
        rest, odd = np.fmod(far, span), np.floor(far / span) % 2 == 1
        x, slope = np.where(odd, span - rest, rest) + low, np.where(odd, -slope, slope)
    outside = (x <= 0) | (x >= n - 1)
    return np.clip(np.where(np.isfinite(x), x, 0), 0, n - 1), np.where(outside, 0, slope)
