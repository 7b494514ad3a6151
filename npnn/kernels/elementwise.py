"""Activations made of straight lines, in one pass over memory, which is all that they cost."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel

__all__ = ["leaky_relu", "relu", "relu_backward", "sweep"]

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
            np.copyto(array, given)
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
