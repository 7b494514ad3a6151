"""Activations made of lines and parabolas, in one pass over memory, which is all that they cost."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel
from npnn.kernels.order import copy_in_order

__all__ = ["Pieces", "leaky_relu", "pieces", "pieces_backward", "relu", "relu_backward", "sweep"]

prange = range  # numba reads this name as its parallel range

_TINY = 256  # up to here NumPy is done before a compiled loop has been called


def sweep(loop: Any, *arrays: NDArray[Any], numbers: tuple[float, ...] = ()) -> NDArray[Any]:
    """Run ``loop(chunks, *arrays, out, *numbers)`` over all elements, in the memory order of the first array.

    The loop is given flat views; an array in another order, or with gaps, is copied first.
    """
    out = np.empty_like(arrays[0])
    flat = []
    for array in arrays:
        if array.strides != out.strides:
            array, given = np.empty_like(out), array
            copy_in_order(array, given)
        flat.append(array.ravel("K"))
    threads.run(loop, threads.split(out.size), *flat, out.ravel("K"), *numbers)
    return out


@kernel
def relu(x: NDArray[Any]) -> NDArray[Any]:
    """max(x, 0), in the memory order of x; a NaN stays one."""
    return np.maximum(x, 0)


@relu.fast
def relu(x: NDArray[Any]) -> NDArray[Any]:
    return relu.reference(x) if x.size <= _TINY or x.dtype.kind != "f" else sweep(_relu, x)


@jit(parallel=True)
def _relu(chunks, x, y):  # type: ignore[no-untyped-def]
    zero = x.dtype.type(0)
    for chunk in prange(chunks):
        part = slice(x.size * chunk // chunks, x.size * (chunk + 1) // chunks)
        a, b = x[part], y[part]
        for i in range(a.size):
            b[i] = zero if a[i] <= zero else a[i]


@kernel
def relu_backward(dy: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """dy where y > 0 (or NaN), 0 elsewhere, in the memory order of y.  Only the output is needed, not x."""
    return np.where(y <= 0, 0, dy)


@relu_backward.fast
def relu_backward(dy: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    return relu_backward.reference(dy, y) if y.size <= _TINY else sweep(_relu_backward, y, dy)


@jit(parallel=True)
def _relu_backward(chunks, y, dy, dx):  # type: ignore[no-untyped-def]
    zero = y.dtype.type(0)
    for chunk in prange(chunks):
        part = slice(y.size * chunk // chunks, y.size * (chunk + 1) // chunks)
        a, b, c = y[part], dy[part], dx[part]
        for i in range(a.size):
            c[i] = zero if a[i] <= zero else b[i]


@kernel
def leaky_relu(a: NDArray[Any], x: NDArray[Any], slope: float) -> NDArray[Any]:
    """a where x > 0, slope · a elsewhere: the forward pass with a = x, the backward one with a = dy."""
    return np.where(x > 0, a, slope * a)


@leaky_relu.fast
def leaky_relu(a: NDArray[Any], x: NDArray[Any], slope: float) -> NDArray[Any]:
    return leaky_relu.reference(a, x, slope) if a.size <= _TINY else sweep(_leaky_relu, x, a, numbers=(slope,))


@jit(parallel=True)
def _leaky_relu(chunks, x, a, y, slope):  # type: ignore[no-untyped-def]
    factor = x.dtype.type(slope)
    zero = x.dtype.type(0)
    for chunk in prange(chunks):
        part = slice(x.size * chunk // chunks, x.size * (chunk + 1) // chunks)
        condition, b, c = x[part], a[part], y[part]
        for i in range(b.size):
            c[i] = b[i] if condition[i] > zero else factor * b[i]


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
def pieces(x: NDArray[Any], shape: Pieces) -> NDArray[Any]:
    """What Pieces says, in the memory order of x; a NaN stays one."""
    p = shape
    with np.errstate(invalid="ignore", over="ignore"):  # of the pieces that are not chosen
        left = p.left_slope * x + p.left if p.left_slope else p.left
        right = p.right_slope * x + p.right if p.right_slope else p.right
        between = (p.curve * x + p.slope) * x + p.value if p.curve else p.slope * x + p.value
        return np.where(x <= p.low, left, np.where(x >= p.high, right, between)).astype(x.dtype, copy=False)


@pieces.fast
def pieces(x: NDArray[Any], shape: Pieces) -> NDArray[Any]:
    if x.size <= _TINY or x.dtype.kind != "f":
        return pieces.reference(x, shape)
    return sweep(_pieces, x, numbers=tuple(shape))


@jit(parallel=True)
def _pieces(chunks, x, y, low, high, left_slope, left, curve, slope, value, right_slope, right):  # type: ignore[no-untyped-def]
    of, zero = x.dtype.type, x.dtype.type(0)
    low, high, l1, l0, r1, r0 = of(low), of(high), of(left_slope), of(left), of(right_slope), of(right)
    c2, c1, c0 = of(curve), of(slope), of(value)
    for chunk in prange(chunks):
        part = slice(x.size * chunk // chunks, x.size * (chunk + 1) // chunks)
        a, b = x[part], y[part]
        for i in range(a.size):
            v = a[i]
            below = (l1 * v if l1 != zero else zero) + l0  # 0 times infinity would be a NaN
            above = (r1 * v if r1 != zero else zero) + r0
            between = ((c2 * v if c2 != zero else zero) + c1) * v + c0
            b[i] = below if v <= low else (above if v >= high else between)


@kernel
def pieces_backward(dy: NDArray[Any], x: NDArray[Any], shape: Pieces) -> NDArray[Any]:
    """dy times the slope at x:   left_slope, 2 curve x + slope, or right_slope; 0 where that is 0, whatever dy is."""
    p = shape
    with np.errstate(invalid="ignore", over="ignore"):
        between = 2 * p.curve * x + p.slope if p.curve else p.slope
    slope = np.where(x <= p.low, p.left_slope, np.where(x >= p.high, p.right_slope, between))
    with np.errstate(invalid="ignore"):
        return np.where(slope == 0, 0, dy * slope).astype(dy.dtype, copy=False)


@pieces_backward.fast
def pieces_backward(dy: NDArray[Any], x: NDArray[Any], shape: Pieces) -> NDArray[Any]:
    if x.size <= _TINY or x.dtype.kind != "f" or dy.dtype != x.dtype:
        return pieces_backward.reference(dy, x, shape)
    p = shape
    return sweep(_pieces_backward, x, dy, numbers=(p.low, p.high, p.left_slope, 2 * p.curve, p.slope, p.right_slope))


@jit(parallel=True)
def _pieces_backward(chunks, x, dy, dx, low, high, left_slope, curve, slope, right_slope):  # type: ignore[no-untyped-def]
    of, zero = x.dtype.type, x.dtype.type(0)
    low, high, left, twice, middle, right = of(low), of(high), of(left_slope), of(curve), of(slope), of(right_slope)
    for chunk in prange(chunks):
        part = slice(x.size * chunk // chunks, x.size * (chunk + 1) // chunks)
        a, b, c = x[part], dy[part], dx[part]
        for i in range(a.size):
            v = a[i]
            between = (twice * v if twice != zero else zero) + middle
            steep = left if v <= low else (right if v >= high else between)
            c[i] = b[i] * steep if steep != zero else zero
