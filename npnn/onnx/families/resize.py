"""Pictures of another size: along each axis a matrix product, whose matrix says how much of each input goes where.

The matrix of an axis of n inputs and m outputs, (m, n), follows from three attributes.

    where output i lies among the inputs      coordinate_transformation_mode    x_i
    how much an input at distance d counts    mode                              k(d)
    what lies beyond the ends                 the last input, or nothing (exclude_outside)

    W_ij = k(s (j - x_i)) / Σ_j k(s (j - x_i)),     s = min(1, m / n) with antialias, else 1

Source: ONNX operators, Resize; Keys, Cubic convolution interpolation for digital image processing, 1981.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.onnx.table import ONNXError, reads
from npnn.tensor import Tensor, of_array

Floats = NDArray[np.float64]

ROUND: dict[str, Callable[[Floats], Any]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


@reads("Resize")
def _read_resize(
    x: Tensor,
    roi: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
    *,
    mode: str,
    coordinate_transformation_mode: str,
    nearest_mode: str,
    cubic_coeff_a: float,
    exclude_outside: int,
    extrapolation_value: float,
    antialias: int,
    keep_aspect_ratio_policy: str,
    axes: Sequence[int] | None = None,
) -> Tensor:
    """x (any shape) -> (floor(shape * scales)) or (sizes), along ``axes``."""
    chosen = [axis % x.ndim for axis in (range(x.ndim) if axes is None else axes)]
    old = np.array([x.shape[axis] for axis in chosen])
    new, factors = _sizes(old, scales, sizes, keep_aspect_ratio_policy)
    crop = coordinate_transformation_mode == "tf_crop_and_resize"
    box = np.asarray(roi.array, float).reshape(2, -1) if crop and roi is not None else np.array([[0.0], [1.0]])
    starts, ends = np.broadcast_to(box, (2, len(chosen)))
    y = x
    for axis, n, m, factor, start, end in zip(chosen, old, new, factors, starts, ends, strict=True):
        at = _places(coordinate_transformation_mode, n, m, factor, start, end)
        if mode == "nearest":
            y = y.index_select(axis, of_array(np.clip(ROUND[nearest_mode](at), 0, n - 1).astype(np.int64)))
        elif m != n or not np.array_equal(at, np.arange(n)):
            s = min(1.0, factor) if antialias else 1.0
            W = _matrix(at, n, s, _kernel(mode, cubic_coeff_a), 1 if mode == "linear" else 2, bool(exclude_outside))
            y = (y.movedim(axis, -1) @ of_array(W.T.astype(x.array.dtype))).movedim(-1, axis)
        if crop:
            outside = ((at < 0) | (at > n - 1)).reshape(-1, *[1] * (x.ndim - 1 - axis))
            y = y.masked_fill(of_array(outside), extrapolation_value)
    return y


def _sizes(old: Any, scales: Tensor | None, sizes: Tensor | None, policy: str) -> tuple[Any, Any]:
    """The new sizes, and new / old as it was meant: not rounded where it was given."""
    if sizes is None or sizes.numel() == 0:
        if scales is None or scales.numel() == 0:
            raise ONNXError("it has neither scales nor sizes")
        factors = np.asarray(scales.array, float)
        return np.floor(old * factors).astype(int), factors
    new = np.asarray(sizes.array)
    factors = new / old
    if policy != "stretch":  # one factor for all axes
        factors = np.full(len(old), factors.min() if policy == "not_larger" else factors.max())
        new = np.floor(old * factors + 0.5).astype(int)
    return new, factors


def _places(mode: str, n: int, m: int, factor: float, start: float, end: float) -> Floats:
    """Where each of the m outputs lies among the n inputs, (m,)."""
    i = np.arange(m, dtype=float)
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and m > 1):
        return (i + 0.5) / factor - 0.5
    if mode == "half_pixel_symmetric":  # the middle stays in the middle where m is not n * factor
        return n / 2 * (1 - m / (factor * n)) + (i + 0.5) / factor - 0.5
    if mode == "asymmetric":
        return i / factor
    if mode == "tf_half_pixel_for_nn":
        return (i + 0.5) / factor
    if mode == "align_corners":
        size = m if np.isclose(n * factor, m) else n * factor  # as it was before it was rounded
        return i * (n - 1) / (size - 1 if size != 1 else 1)
    if mode == "tf_crop_and_resize":
        return (n - 1) * (start + (end - start) * (i / (m - 1) if m > 1 else i + 0.5))
    if mode == "pytorch_half_pixel":
        return np.zeros(m)
    raise ONNXError(f"coordinate_transformation_mode={mode!r} cannot be read")


def _kernel(mode: str, a: float) -> Callable[[Floats], Floats]:
    """How much an input at distance d counts."""
    if mode == "linear":
        return lambda d: np.maximum(0, 1 - np.abs(d))
    if mode != "cubic":
        raise ONNXError(f"mode={mode!r} cannot be read")

    def cubic(d: Floats) -> Floats:
        d = np.abs(d)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = a * (((d - 5) * d + 8) * d - 4)
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    return cubic


def _matrix(at: Floats, n: int, s: float, kernel: Any, reach: int, exclude: bool) -> Floats:
    """(m, n): how much of each input each output is made of."""
    W = np.zeros((len(at), n))
    first, width = np.floor(at).astype(int), int(np.ceil(reach / s))
    for o, step in itertools.product(range(len(at)), range(1 - width, 1 + width)):
        j = first[o] + step
        if not exclude or 0 <= j < n:
            W[o, min(max(j, 0), n - 1)] += kernel(np.float64(s * (j - at[o])))
    return W / W.sum(1, keepdims=True)
