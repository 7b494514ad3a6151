"""Loops along one axis, each place after the one before: running sums, products and extremes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel
from npnn.kernels.scatter import three_axes

__all__ = ["running_extreme", "running_product", "running_product_backward", "running_sum"]

Array = NDArray[Any]
prange = range  # numba reads this name as its parallel range
_TOGETHER = 4  # rows that are added up side by side, so that none waits for the sum before


def _walked(loop: Any, x: Array, axis: int, *more: Any) -> Array:
    """y of x's shape, written by loop(chunks, x, ..., y) on three axes: those before, the axis, those after."""
    rows = three_axes(x, axis)
    y = np.empty(rows.shape, x.dtype)
    threads.run(loop, threads.split(2 * x.size), rows, *more, y)
    return y.reshape(x.shape)


# ---- sums and products


@kernel
def running_sum(x: Array, axis: int, backwards: bool) -> Array:
    """yᵢ = x₀ + ... + xᵢ, or, backwards, xᵢ + ... + xₙ; summed in float64"""
    x = np.flip(x, axis) if backwards else x
    y = np.cumsum(x, axis=axis, dtype=np.float64 if x.dtype.kind == "f" else x.dtype).astype(x.dtype, copy=False)
    return np.flip(y, axis) if backwards else y


@running_sum.fast
def running_sum(x: Array, axis: int, backwards: bool) -> Array:
    if x.dtype.kind != "f" or not x.size:
        return running_sum.reference(x, axis, backwards)
    return _walked(_sums, x, axis, -1 if backwards else 1)


@jit(parallel=True)
def _sums(chunks, x, step, y):  # type: ignore[no-untyped-def]
    A, n, B = x.shape
    first = 0 if step > 0 else n - 1
    for chunk in prange(chunks):
        total = np.empty(B, np.float64)
        start, end = A * chunk // chunks, A * (chunk + 1) // chunks
        if B == 1:
            for a in range(start, end - _TOGETHER + 1, _TOGETHER):
                s0 = s1 = s2 = s3 = 0.0
                for k in range(n):
                    i = first + step * k
                    s0 += x[a, i, 0]
                    s1 += x[a + 1, i, 0]
                    s2 += x[a + 2, i, 0]
                    s3 += x[a + 3, i, 0]
                    y[a, i, 0], y[a + 1, i, 0], y[a + 2, i, 0], y[a + 3, i, 0] = s0, s1, s2, s3
            start = end - (end - start) % _TOGETHER
        for a in range(start, end):
            if B == 1:
                s, source, out = 0.0, x[a, :, 0], y[a, :, 0]
                for k in range(n):
                    s += source[first + step * k]
                    out[first + step * k] = s
                continue
            total[:] = 0
            for k in range(n):
                source, out = x[a, first + step * k], y[a, first + step * k]
                for b in range(B):
                    total[b] += source[b]
                    out[b] = total[b]


@kernel
def running_product(x: Array, axis: int) -> Array:
    """yᵢ = x₀ · ... · xᵢ"""
    return np.cumprod(x, axis=axis)


@running_product.fast
def running_product(x: Array, axis: int) -> Array:
    return _walked(_products, x, axis) if x.dtype.kind == "f" and x.size else running_product.reference(x, axis)


@jit(parallel=True)
def _products(chunks, x, y):  # type: ignore[no-untyped-def]
    A, n, B = x.shape
    for chunk in prange(chunks):
        for a in range(A * chunk // chunks, A * (chunk + 1) // chunks):
            if B == 1:
                s = x[a, 0, 0]
                y[a, 0, 0] = s
                for k in range(1, n):
                    s *= x[a, k, 0]
                    y[a, k, 0] = s
                continue
            for b in range(B):
                y[a, 0, b] = x[a, 0, b]
            for k in range(1, n):
                before, source, out = y[a, k - 1], x[a, k], y[a, k]
                for b in range(B):
                    out[b] = before[b] * source[b]


@kernel
def running_product_backward(dy: Array, x: Array, y: Array, axis: int) -> Array:
    """dxⱼ = yⱼ₋₁ sⱼ with sⱼ = dyⱼ + xⱼ₊₁ sⱼ₊₁: exact where some x are 0"""
    x, y, s = (np.moveaxis(v, axis, 0) for v in (x, y, dy))
    s = np.array(s, order="C")
    for j in range(len(x) - 2, -1, -1):
        s[j] += x[j + 1] * s[j + 1]
    s[1:] *= y[:-1]
    return np.moveaxis(s, 0, axis)


@running_product_backward.fast
def running_product_backward(dy: Array, x: Array, y: Array, axis: int) -> Array:
    if x.dtype.kind != "f" or not x.size or dy.dtype != x.dtype:
        return running_product_backward.reference(dy, x, y, axis)
    return _walked(_products_backward, dy, axis, three_axes(x, axis), three_axes(y, axis))


@jit(parallel=True)
def _products_backward(chunks, dy, x, y, dx):  # type: ignore[no-untyped-def]
    A, n, B = x.shape
    for chunk in prange(chunks):
        s = np.empty(B, dy.dtype)
        for a in range(A * chunk // chunks, A * (chunk + 1) // chunks):
            if B == 1:
                t = dy[a, n - 1, 0]
                for j in range(n - 1, 0, -1):
                    dx[a, j, 0] = t * y[a, j - 1, 0]
                    t = dy[a, j - 1, 0] + x[a, j, 0] * t
                dx[a, 0, 0] = t
                continue
            s[:] = 0
            for j in range(n - 1, -1, -1):
                for b in range(B):
                    s[b] = dy[a, j, b] + (x[a, j + 1, b] * s[b] if j + 1 < n else 0)
                    dx[a, j, b] = s[b] * y[a, j - 1, b] if j else s[b]


# ---- extremes


@kernel
def running_extreme(x: Array, axis: int, largest: bool) -> tuple[Array, Array]:
    """The largest (or smallest) of x₀ ... xᵢ, and where it is, the last of equal ones; nan wins from there on."""
    y = (np.maximum if largest else np.minimum).accumulate(x, axis=axis)
    numbers = np.arange(x.shape[axis]).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    return y, np.maximum.accumulate(np.where((x == y) | (x != x), numbers, 0), axis=axis)


@running_extreme.fast
def running_extreme(x: Array, axis: int, largest: bool) -> tuple[Array, Array]:
    if x.dtype.kind != "f" or not x.size:
        return running_extreme.reference(x, axis, largest)
    rows = three_axes(x, axis)
    y, places = np.empty(rows.shape, x.dtype), np.empty(rows.shape, np.int64)
    threads.run(_extremes, threads.split(2 * x.size), rows, largest, y, places)
    return y.reshape(x.shape), places.reshape(x.shape)


@jit
def _extremes_of_a_row(row, largest, y, places):  # type: ignore[no-untyped-def]
    n, k, where = len(row), 0, 0
    top = row[0]
    if largest:
        while k < n and top == top:  # a comparison with nan fails: nan is taken, and ends this loop
            if not row[k] < top:
                top, where = row[k], k
            y[k], places[k] = top, where
            k += 1
    else:
        while k < n and top == top:
            if not row[k] > top:
                top, where = row[k], k
            y[k], places[k] = top, where
            k += 1
    for i in range(k, n):  # behind nan: the last one
        if row[i] != row[i]:
            where = i
        y[i], places[i] = top, where


@jit(parallel=True)
def _extremes(chunks, x, largest, y, places):  # type: ignore[no-untyped-def]
    A, n, B = x.shape
    for chunk in prange(chunks):
        for a in range(A * chunk // chunks, A * (chunk + 1) // chunks):
            if B == 1:
                _extremes_of_a_row(x[a, :, 0], largest, y[a, :, 0], places[a, :, 0])
                continue
            y[a, 0], places[a, 0] = x[a, 0], 0
            for k in range(1, n):
                before, at, out, where = y[a, k - 1], places[a, k - 1], y[a, k], places[a, k]
                for b in range(B):
                    v = x[a, k, b]
                    taken = v != v or (v >= before[b] if largest else v <= before[b])  # beside nan nothing but nan
                    out[b], where[b] = (v, k) if taken else (before[b], at[b])
