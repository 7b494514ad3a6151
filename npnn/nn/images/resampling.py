"""Images of another size: nearest, linear, cubic and by area, each a product with a matrix of weights along an axis."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from npnn.errors import ShapeError
from npnn.function import Function
from npnn.kernels.resample import along
from npnn.nn.checks import check_floating
from npnn.nn.module import Module
from npnn.tensor import Tensor

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d", "interpolate", "upsample"]


class Taps(NamedTuple):
    """A matrix of weights, (m, n), of which most are 0: row i has weights[starts[i]:starts[i + 1]] in these columns."""

    starts: NDArray[Any]
    columns: NDArray[Any]
    weights: NDArray[Any]


def _taps(matrix: NDArray[Any], dtype: Any) -> Taps:
    rows, columns = np.nonzero(matrix)
    starts = np.searchsorted(rows, np.arange(len(matrix) + 1))
    return Taps(starts, columns, matrix[rows, columns].astype(dtype))


class Resample(Function):
    """y = x with each spatial axis multiplied by a matrix of weights, one row for each place of the result.

    Interpolation is separable and linear: one axis after the other.   dx = dy times the transposed matrices
    x (N, C, *) -> y (N, C, *'), in the memory order of x
    """

    def forward(self, x: NDArray[Any], axes: list[tuple[Taps, Taps]]) -> NDArray[Any]:
        self.axes = axes
        self.last = not x.flags.c_contiguous and np.moveaxis(x, 1, -1).flags.c_contiguous  # channels lie side by side
        return self._walk(x, [there for there, _ in axes])

    def backward(self, dy: NDArray[Any]) -> Any:
        return self._walk(dy, [back for _, back in self.axes]), None

    def _walk(self, x: NDArray[Any], matrices: list[Taps]) -> NDArray[Any]:
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1) if self.last else x)
        for axis, matrix in sorted(enumerate(matrices, 1 if self.last else 2), key=lambda place: _order(x, *place)):
            before, after = x.shape[:axis], x.shape[axis + 1 :]
            y = along(x.reshape(math.prod(before), x.shape[axis], math.prod(after)), *matrix)
            x = y.reshape(*before, len(matrix.starts) - 1, *after)
        return np.moveaxis(x, -1, 1) if self.last else x

    def again(self, v: NDArray[Any]) -> NDArray[Any]:
        return self._walk(v, [there for there, _ in self.axes])


def _order(x: NDArray[Any], axis: int, matrix: Taps) -> tuple[float, int]:
    """The axis that grows least comes first, so that the others work on less; of equal ones that of the longest rows.

    Where they grow, the last axis, whose loop is the slowest, is to see the fewest rows.
    """
    growth = (len(matrix.starts) - 1) / max(x.shape[axis], 1)
    return growth, -axis if growth > 1 else axis


def _nearest_weights(n: int, m: int, scale: float, exact: bool) -> NDArray[Any]:
    places = np.arange(m)
    found = np.floor((places + 0.5) * scale) if exact else np.floor(places * np.float32(scale))
    weights = np.zeros((m, n))
    weights[places, np.minimum(found.astype(np.int64), n - 1)] = 1
    return weights


def _sources(n: int, m: int, scale: float, align: bool) -> NDArray[Any]:
    """Where each place of the result lies in the input."""
    places = np.arange(m, dtype=np.float64)
    if align:
        return places * ((n - 1) / (m - 1)) if m > 1 else places * 0
    return (places + 0.5) * scale - 0.5


def _linear_weights(n: int, m: int, scale: float, align: bool) -> NDArray[Any]:
    at = np.maximum(_sources(n, m, scale, align), 0)
    low = np.minimum(at.astype(np.int64), n - 1)
    high, w = np.minimum(low + 1, n - 1), at - low
    weights = np.zeros((m, n))
    np.add.at(weights, (np.arange(m), low), 1 - w)
    np.add.at(weights, (np.arange(m), high), w)
    return weights


def _cubic_weights(n: int, m: int, scale: float, align: bool) -> NDArray[Any]:
    """Keys's kernel with a = -3/4, edges repeated.   Source: Keys, Cubic convolution interpolation, 1981."""
    at = _sources(n, m, scale, align)
    first, a = np.floor(at).astype(np.int64), -0.75
    weights = np.zeros((m, n))
    for k in range(-1, 3):
        d = np.abs(at - (first + k))
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((d - 5) * d + 8) * d * a - 4 * a
        np.add.at(weights, (np.arange(m), np.clip(first + k, 0, n - 1)), np.where(d <= 1, near, far))
    return weights


def _area_weights(n: int, m: int) -> NDArray[Any]:
    weights = np.zeros((m, n))
    for i in range(m):
        start, stop = i * n // m, -(-(i + 1) * n // m)
        weights[i, start:stop] = 1 / (stop - start)
    return weights


def _antialiased_weights(n: int, m: int, scale: float, align: bool, cubic: bool) -> NDArray[Any]:
    """A kernel as wide as the step between places, so that no pixel is passed over."""
    scale = (n - 1) / (m - 1) if align and m > 1 else scale
    width, reach = max(scale, 1.0), 2.0 if cubic else 1.0
    weights = np.zeros((m, n))
    for i in range(m):
        center = scale * (i + 0.5)
        low, high = max(int(center - reach * width + 0.5), 0), min(int(center + reach * width + 0.5), n)
        d = np.abs((np.arange(low, high) - center + 0.5) / width)
        if cubic:
            a = -0.5
            w = np.where(
                d < 1, ((a + 2) * d - (a + 3)) * d * d + 1, np.where(d < 2, (((d - 5) * d + 8) * d - 4) * a, 0)
            )
        else:
            w = np.maximum(1 - d, 0)
        weights[i, low:high] = w / w.sum()
    return weights


@functools.lru_cache(maxsize=64)  # a network asks for the same ones at each step
def _tables(
    mode: str, n: int, m: int, scale: float, align: bool, antialias: bool, dtype: np.dtype[Any]
) -> tuple[Taps, Taps]:
    """The weights of one axis, and those of the way back."""
    if mode in ("nearest", "nearest-exact"):
        matrix = _nearest_weights(n, m, scale, mode == "nearest-exact")
    elif mode == "area":
        matrix = _area_weights(n, m)
    elif antialias:
        matrix = _antialiased_weights(n, m, scale, align, mode == "bicubic")
    else:
        matrix = (_cubic_weights if mode == "bicubic" else _linear_weights)(n, m, scale, align)
    return _taps(matrix, dtype), _taps(matrix.T, dtype)


_MODES = {
    "nearest": None,
    "nearest-exact": None,
    "area": None,
    "linear": 1,
    "bilinear": 2,
    "bicubic": 2,
    "trilinear": 3,
}


def interpolate(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Tensor:  # fmt: skip
    """The image, sequence or volume in another size.   (N, C, *) -> (N, C, *')

    ``size`` or ``scale_factor``, for all axes or each; ``mode`` nearest, nearest-exact, area, linear (3 axes),
    bilinear, bicubic (4) or trilinear (5).  ``align_corners`` puts the outermost pixels onto each other.
    Errors: ValueError, ShapeError, NotImplementedError for what does not go together.
    """
    dims = input.array.ndim - 2
    if mode not in _MODES:
        raise NotImplementedError(f"interpolate: mode must be one of {', '.join(_MODES)}, got {mode!r}")
    if dims < 1 or dims > 3 or (_MODES[mode] or dims) != dims:
        raise NotImplementedError(f"Input Error: a {input.array.ndim}-D input does not go with mode {mode!r}")
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise ValueError("align_corners option can only be set with the interpolating modes: linear | bilinear | ...")
    if (size is None) == (scale_factor is None):
        raise ValueError("either size or scale_factor should be defined, and only one of them")
    if antialias and (mode not in ("bilinear", "bicubic") or dims != 2):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input"
        )
    old = input.array.shape[2:]
    factors: list[float | None] = [None] * dims
    if size is not None:
        new = [int(n) for n in (size if isinstance(size, (tuple, list)) else [size] * dims)]
    else:
        given = list(scale_factor) if isinstance(scale_factor, (tuple, list)) else [scale_factor] * dims
        factors = [None if recompute_scale_factor else float(f) for f in given]
        new = [math.floor(n * float(f)) for n, f in zip(old, given, strict=True)]
    if len(new) != dims or min(new) < 1 or min(old) < 1:
        raise ShapeError(f"interpolate: {new} is no size for an input of shape {input.shape}")
    scales = [1 / f if f else n / m for f, n, m in zip(factors, old, new, strict=True)]
    if mode not in ("nearest", "nearest-exact"):
        check_floating("interpolate", input)
    each = zip(old, new, scales, strict=True)
    dtype = input.array.dtype
    return Resample.apply(input, [_tables(mode, n, m, s, bool(align_corners), antialias, dtype) for n, m, s in each])


upsample = interpolate


class Upsample(Module):
    """Another size: see interpolate.   (N, C, *) -> (N, C, *')"""

    def __init__(
        self, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ):  # fmt: skip
        super().__init__()
        self.size, self.mode, self.align_corners = size, mode, align_corners
        self.scale_factor = (
            tuple(map(float, scale_factor))
            if isinstance(scale_factor, tuple)
            else (float(scale_factor) if scale_factor else None)
        )
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        first = f"scale_factor={self.scale_factor!r}" if self.scale_factor is not None else f"size={self.size!r}"
        return f"{first}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Upsample with mode nearest."""

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """Upsample with mode bilinear and aligned corners."""

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__(size, scale_factor, "bilinear", True)
