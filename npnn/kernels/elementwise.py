"""ReLU in one pass over memory: the activation that every image network uses, on its largest arrays.

The other activations are plain NumPy, as their time goes into exp and tanh rather than memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel

__all__ = ["relu", "relu_backward", "sigmoid"]

prange = range  # numba reads this name as its parallel range

_TINY = 256  # up to here NumPy is done before a compiled loop has been called


@kernel
def relu(x: NDArray[Any]) -> NDArray[Any]:
    """max(x, 0), in the memory order of x; a NaN stays one."""
    return np.maximum(x, 0)


@relu.fast
def relu(x: NDArray[Any]) -> NDArray[Any]:
    if x.size <= _TINY or x.dtype.kind != "f":
        return relu.reference(x)
    y = np.empty_like(x)
    if y.strides != x.strides:  # x has gaps: no flat view of it
        np.copyto(y, x)
        x = y
    threads.run(_relu, threads.split(x.size), x.ravel("K"), y.ravel("K"))
    return y


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
    if y.size <= _TINY:
        return relu_backward.reference(dy, y)
    dx = np.empty_like(y)
    if dy.strides != y.strides:
        np.copyto(dx, dy)
        dy = dx
    threads.run(_relu_backward, threads.split(y.size), dy.ravel("K"), y.ravel("K"), dx.ravel("K"))
    return dx


@jit(parallel=True)
def _relu_backward(chunks, dy, y, dx):  # type: ignore[no-untyped-def]
    zero = y.dtype.type(0)
    for chunk in prange(chunks):
        part = slice(y.size * chunk // chunks, y.size * (chunk + 1) // chunks)
        a, b, c = dy[part], y[part], dx[part]
        for i in range(a.size):
            c[i] = zero if b[i] <= zero else a[i]


def sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    """1 / (1 + e⁻ˣ), exact to the last digits at both ends: e is never taken of a positive number."""
    e = np.exp(-np.abs(x))
    return np.maximum(e, x >= 0) / (1 + e)  # e / (1 + e) on the left, 1 / (1 + e) on the right
