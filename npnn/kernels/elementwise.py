"""Activations made of lines and parabolas, in one pass over memory, which is all that they cost."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from npnn.kernels._jit import kernel
from npnn.kernels.exponential import number
from npnn.kernels.sweep import elementwise

__all__ = ["Pieces", "leaky_relu", "pieces", "pieces_backward", "relu", "relu_backward"]

_TINY = 256  # up to here NumPy is done before a compiled loop has been called


@kernel
def relu(x: NDArray[Any]) -> NDArray[Any]:
    """max(x, 0), in the memory order of x; a NaN stays one."""
    return np.maximum(x, 0)


@elementwise(relu, smallest=_TINY)
def relu(x):  # type: ignore[no-untyped-def]
    zero = number(x, 0)
    return zero if x <= zero else x


@kernel
def relu_backward(dy: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """dy where y > 0 (or NaN), 0 elsewhere, in the memory order of y.  Only the output is needed, not x."""
    return np.where(y <= 0, 0, dy)


@elementwise(relu_backward, arrays=2, smallest=_TINY)
def relu_backward(dy, y):  # type: ignore[no-untyped-def]
    zero = number(y, 0)
    return zero if y <= zero else dy


@kernel
def leaky_relu(a: NDArray[Any], x: NDArray[Any], slope: float) -> NDArray[Any]:
    """a where x > 0, slope · a elsewhere: the forward pass with a = x, the backward one with a = dy."""
    return np.where(x > 0, a, slope * a)


@elementwise(leaky_relu, arrays=2, smallest=_TINY)
def leaky_relu(a, x, slope):  # type: ignore[no-untyped-def]
    return a if x > number(x, 0) else number(x, slope) * a


class Pieces(NamedTuple):
    """Two lines and what is between them:

    left_slope x + left where x <= low, right_slope x + right where x >= high, (curve x + slope) x + value between.
    """

    low: float
    high: float
    left_slope: float = 0.0
    left: float = 0.0
    curve: float = 0.0
    slope: float = 0.0
    value: float = 0.0
    right_slope: float = 0.0
    right: float = 0.0


@kernel
def pieces(x: NDArray[Any], *shape: float) -> NDArray[Any]:
    """What Pieces(*shape) says, in the memory order of x; a NaN stays one."""
    p = Pieces(*shape)
    with np.errstate(invalid="ignore", over="ignore"):  # of the pieces that are not chosen
        left = p.left_slope * x + p.left if p.left_slope else p.left
        right = p.right_slope * x + p.right if p.right_slope else p.right
        between = (p.curve * x + p.slope) * x + p.value if p.curve else p.slope * x + p.value
        return np.where(x <= p.low, left, np.where(x >= p.high, right, between)).astype(x.dtype, copy=False)


@elementwise(pieces, smallest=_TINY)
def pieces(x, low, high, left_slope, left, curve, slope, value, right_slope, right):  # type: ignore[no-untyped-def]
    zero = number(x, 0)
    l1, c2, c1, r1 = number(x, left_slope), number(x, curve), number(x, slope), number(x, right_slope)
    below = (l1 * x if l1 != zero else zero) + number(x, left)  # 0 times infinity would be a NaN
    above = (r1 * x if r1 != zero else zero) + number(x, right)
    between = ((c2 * x if c2 != zero else zero) + c1) * x + number(x, value)
    return below if x <= number(x, low) else (above if x >= number(x, high) else between)


@kernel
def pieces_backward(dy: NDArray[Any], x: NDArray[Any], *shape: float) -> NDArray[Any]:
    """dy times the slope at x:   left_slope, 2 curve x + slope, or right_slope; 0 where that is 0, whatever dy is."""
    p = Pieces(*shape)
    with np.errstate(invalid="ignore", over="ignore"):
        between = 2 * p.curve * x + p.slope if p.curve else p.slope
    slope = np.where(x <= p.low, p.left_slope, np.where(x >= p.high, p.right_slope, between))
    with np.errstate(invalid="ignore"):
        return np.where(slope == 0, 0, dy * slope).astype(dy.dtype, copy=False)


@elementwise(pieces_backward, arrays=2, smallest=_TINY)
def pieces_backward(dy, x, low, high, left_slope, left, curve, slope, value, right_slope, right):  # type: ignore[no-untyped-def]
    twice, zero = number(x, 2 * curve), number(x, 0)
    between = (twice * x if twice != zero else zero) + number(x, slope)
    right_or_between = number(x, right_slope) if x >= number(x, high) else between
    steep = number(x, left_slope) if x <= number(x, low) else right_or_between
    return dy * steep if steep != zero else zero
