"""The pixels of images, sorted into phases and padded, so that a tap of any kernel sees pixels side by side."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from npnn.kernels.im2col import Geometry

__all__ = ["Plan", "placed", "plan_of", "sorted_pixels"]

Array = NDArray[Any]


class Plan(NamedTuple):
    """Where the taps of a kernel look: for each its phase, and its place in the padded rows of that phase.

    At output i a tap looks at pixel i s + ρ with ρ = k d - p: pixel i + q of phase ρ mod s, with q = ⌊ρ / s⌋.
    """

    phase: tuple[Array, Array]  # ρ mod s, of the taps along rows and columns
    place: tuple[Array, Array]  # q, less the least of them
    first: tuple[int, int]  # the least q
    extent: tuple[int, int]  # the largest place
    members: tuple[tuple[Array, ...], tuple[Array, ...]]  # the taps of each phase, along rows and columns


@functools.lru_cache(maxsize=256)
def plan_of(kernel_size: tuple[int, ...], geometry: Geometry) -> Plan:
    (sh, sw), before, _, dilation, _ = geometry
    shifts = [np.arange(n) * d - p for n, d, p in zip(kernel_size, dilation, before, strict=True)]
    q = [shift // s for shift, s in zip(shifts, (sh, sw), strict=True)]
    first = int(q[0].min()), int(q[1].min())
    place = q[0] - first[0], q[1] - first[1]
    extent = int(place[0].max()), int(place[1].max())
    phase = shifts[0] % sh, shifts[1] % sw
    members = [tuple(np.flatnonzero(p == r) for r in range(s)) for p, s in zip(phase, (sh, sw), strict=True)]
    return Plan(phase, place, first, extent, (members[0], members[1]))


def _place(out: Array, x: Array, top: int, left: int) -> None:
    """out[n, i, j] = x[n, i + top, j + left] where that is inside of x; the rest stays.   (N, H', W', C), (N, H, W, C)"""
    part = x[:, max(top, 0) : max(top + out.shape[1], 0), max(left, 0) : max(left + out.shape[2], 0)]
    i, j = max(-top, 0), max(-left, 0)
    out[:, i : i + part.shape[1], j : j + part.shape[2]] = part


def placed(x: Array, rows: int, columns: int, top: int, left: int) -> Array:
    """(N, H, W, C) -> (N, rows, columns, C): x[:, top:, left:], of which what is outside of x is zero."""
    n, h, w, c = x.shape
    if (rows, columns, top, left) == (h, w, 0, 0):
        return np.ascontiguousarray(x)
    out = np.zeros((n, rows, columns, c), x.dtype)
    _place(out, x, top, left)
    return out


def sorted_pixels(x: Array, size: tuple[int, int], plan: Plan, stride: tuple[int, int]) -> Array:
    """(N, H, W, C) -> (s s, N, OH + extent, OW + extent, C): all phases, as the taps look at them."""
    (sh, sw), (top, left) = stride, plan.first
    rows, columns = (n + extent for n, extent in zip(size, plan.extent, strict=True))
    if sh * sw == 1:
        return placed(x, rows, columns, top, left)[None]
    phases = np.zeros((sh * sw, len(x), rows, columns, x.shape[3]), x.dtype)
    for r in range(sh):
        for c in range(sw):
            _place(phases[r * sw + c], x[:, r::sh, c::sw], top, left)
    return phases
