"""One optimiser step on one array, in one pass over memory.

Every kernel changes the parameters ``p`` and the optimiser's arrays in place, and only reads the
gradient ``g``.  The NumPy forms show the rule, a line per formula, and each line reads and writes
whole arrays.  A step on millions of weights is as slow as memory is, so the fast twins apply all
lines to one weight, then go to the next: every number is read once and written once (Adam: 28
bytes a weight).  They see an array as the row of numbers that it is in memory, whatever its shape.

In the compiled loops each thread takes slices and counts from 0: numba vectorises that, but not an
index that starts elsewhere, which it must test for being negative.  ``if x is not None`` is decided
when a loop is compiled, for each case that a program meets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel

__all__ = ["adagrad", "adam", "rmsprop", "sgd"]

prange = range  # numba reads this name as its parallel range

Array = NDArray[Any]

#: A division that looks for a zero divisor first, as Python's does, cannot be vectorised.
_OPTIONS: dict[str, Any] = {"parallel": True, "error_model": "numpy", "fastmath": {"contract"}}


def _rows(p: Array, g: Array, *state: Array | None) -> list[Any] | None:
    """The arrays as rows in the memory order of ``p``; None if ``p`` or a state array cannot be seen so."""
    strides, size = p.strides, p.size
    if g.strides != strides and not (p.flags.c_contiguous and g.flags.c_contiguous):
        g, other = np.empty_like(p), g
        np.copyto(g, other, casting="same_kind")
    rows: list[Any] = [p.ravel("K"), g.ravel("K")]
    if rows[0].base is None:  # ravel had to copy: p has gaps in memory
        return None
    for a in state:
        if a is None:
            rows.append(None)
        elif a.size == size and (a.strides == strides or (a.flags.c_contiguous and p.flags.c_contiguous)):
            rows.append(a.ravel("K"))
        else:
            return None
    return rows


@kernel
def sgd(
    p: Array, g: Array, buffer: Array | None,
    lr: float, momentum: float, gain: float, decay: float, nesterov: bool,
) -> None:  # fmt: skip
    """p ← p - lr g;   with a momentum buffer   b ← momentum b + gain g,   p ← p - lr b

    ``decay`` adds decay p to the gradient; Nesterov's form adds the gradient to the buffer once more.
    """
    if decay:
        g = g + decay * p
    if buffer is not None:
        buffer *= momentum
        buffer += gain * g
        g = g + momentum * buffer if nesterov else buffer
    p -= lr * g


@sgd.fast
def sgd(
    p: Array, g: Array, buffer: Array | None,
    lr: float, momentum: float, gain: float, decay: float, nesterov: bool,
) -> None:  # fmt: skip
    small = buffer is None and p.size <= 1024  # two NumPy calls cost less than one compiled call
    rows = None if small else _rows(p, g, buffer)
    if rows is None:
        return sgd.reference(p, g, buffer, lr, momentum, gain, decay, nesterov)
    scalars = float(lr), float(momentum), float(gain), float(decay), bool(nesterov)
    return threads.run(_sgd_loop, threads.split(2 * p.size), *rows, *scalars)


@jit(**_OPTIONS)
def _sgd_loop(chunks, p, g, buffer, lr, momentum, gain, decay, nesterov):  # type: ignore[no-untyped-def]
    n, number = p.size, p.dtype.type  # Python's floats are doubles: they must not widen the arithmetic
    lr, momentum, gain, decay = number(lr), number(momentum), number(gain), number(decay)
    for chunk in prange(chunks):
        lo, hi = n * chunk // chunks, n * (chunk + 1) // chunks
        q, h = p[lo:hi], g[lo:hi]
        b = None if buffer is None else buffer[lo:hi]
        for i in range(q.size):
            d = h[i]
            if decay != 0:
                d += decay * q[i]
            if b is not None:
                b[i] = momentum * b[i] + gain * d
                d = d + momentum * b[i] if nesterov else b[i]
            q[i] -= lr * d


@kernel
def adam(
    p: Array, g: Array, m: Array, v: Array, peak: Array | None,
    step_size: float, beta1: float, beta2: float, correction: float, eps: float, decay: float, keep: float,
) -> None:  # fmt: skip
    """m ← mean of g, v ← mean of g² (fading exponentially),   p ← keep p - step_size m / (correction √v + eps)

    ``peak`` (AMSGrad) holds the largest v so far, and takes its place in the quotient.
    """
    if decay:
        g = g + decay * p
    m += (1 - beta1) * (g - m)
    v *= beta2
    v += (1 - beta2) * g * g
    if peak is not None:
        v = np.maximum(peak, v, out=peak)
    p *= keep
    p -= step_size * m / (correction * np.sqrt(v) + eps)


@adam.fast
def adam(
    p: Array, g: Array, m: Array, v: Array, peak: Array | None,
    step_size: float, beta1: float, beta2: float, correction: float, eps: float, decay: float, keep: float,
) -> None:  # fmt: skip
    rows = _rows(p, g, m, v, peak)
    if rows is None:
        return adam.reference(p, g, m, v, peak, step_size, beta1, beta2, correction, eps, decay, keep)
    scalars = float(step_size), float(beta1), float(beta2), float(correction), float(eps), float(decay), float(keep)
    return threads.run(_adam_loop, threads.split(4 * p.size), *rows, *scalars)


@jit(**_OPTIONS)
def _adam_loop(chunks, p, g, m, v, peak, step_size, beta1, beta2, correction, eps, decay, keep):  # type: ignore[no-untyped-def]
    n, number = p.size, p.dtype.type
    new1, new2, beta2 = number(1 - beta1), number(1 - beta2), number(beta2)
    step_size, correction, eps = number(step_size), number(correction), number(eps)
    decay, keep = number(decay), number(keep)
    for chunk in prange(chunks):
        lo, hi = n * chunk // chunks, n * (chunk + 1) // chunks
        q, h, a, b = p[lo:hi], g[lo:hi], m[lo:hi], v[lo:hi]
        top = None if peak is None else peak[lo:hi]
        for i in range(q.size):
            d = h[i]
            if decay != 0:
                d += decay * q[i]
            a[i] += new1 * (d - a[i])
            b[i] = beta2 * b[i] + new2 * d * d
            second = b[i]
            if top is not None:
                second = top[i] if top[i] > second else second
                top[i] = second
            q[i] = keep * q[i] - step_size * a[i] / (correction * np.sqrt(second) + eps)


@kernel
def rmsprop(
    p: Array, g: Array, square: Array, mean: Array | None, buffer: Array | None,
    lr: float, alpha: float, eps: float, momentum: float, decay: float,
) -> None:  # fmt: skip
    """s ← mean of g² (fading exponentially),   p ← p - lr g / (√s + eps)

    With ``mean`` (centered) the variance, s - (mean of g)², takes the place of s; where rounding makes
    it negative it counts as 0.  With ``buffer`` the quotients are gathered with momentum.
    """
    if decay:
        g = g + decay * p
    square *= alpha
    square += (1 - alpha) * g * g
    spread = square
    if mean is not None:
        mean += (1 - alpha) * (g - mean)
        spread = np.maximum(square - mean * mean, 0)
    update = g / (np.sqrt(spread) + eps)
    if buffer is not None:
        buffer *= momentum
        buffer += update
        update = buffer
    p -= lr * update


@rmsprop.fast
def rmsprop(
    p: Array, g: Array, square: Array, mean: Array | None, buffer: Array | None,
    lr: float, alpha: float, eps: float, momentum: float, decay: float,
) -> None:  # fmt: skip
    rows = _rows(p, g, square, mean, buffer)
    if rows is None:
        return rmsprop.reference(p, g, square, mean, buffer, lr, alpha, eps, momentum, decay)
    scalars = float(lr), float(alpha), float(eps), float(momentum), float(decay)
    return threads.run(_rmsprop_loop, threads.split(4 * p.size), *rows, *scalars)


@jit(**_OPTIONS)
def _rmsprop_loop(chunks, p, g, square, mean, buffer, lr, alpha, eps, momentum, decay):  # type: ignore[no-untyped-def]
    n, number = p.size, p.dtype.type
    new, alpha, zero = number(1 - alpha), number(alpha), number(0)
    lr, eps, momentum, decay = number(lr), number(eps), number(momentum), number(decay)
    for chunk in prange(chunks):
        lo, hi = n * chunk // chunks, n * (chunk + 1) // chunks
        q, h, s = p[lo:hi], g[lo:hi], square[lo:hi]
        a = None if mean is None else mean[lo:hi]
        b = None if buffer is None else buffer[lo:hi]
        for i in range(q.size):
            d = h[i]
            if decay != 0:
                d += decay * q[i]
            s[i] = alpha * s[i] + new * d * d
            spread = s[i]
            if a is not None:
                a[i] += new * (d - a[i])
                spread -= a[i] * a[i]
                spread = zero if spread < 0 else spread
            d /= np.sqrt(spread) + eps
            if b is not None:
                b[i] = momentum * b[i] + d
                d = b[i]
            q[i] -= lr * d


@kernel
def adagrad(p: Array, g: Array, total: Array, lr: float, eps: float, decay: float) -> None:
    """s ← s + g²,   p ← p - lr g / (√s + eps)"""
    if decay:
        g = g + decay * p
    total += g * g
    p -= lr * g / (np.sqrt(total) + eps)


@adagrad.fast
def adagrad(p: Array, g: Array, total: Array, lr: float, eps: float, decay: float) -> None:
    rows = _rows(p, g, total)
    if rows is None:
        return adagrad.reference(p, g, total, lr, eps, decay)
    return threads.run(_adagrad_loop, threads.split(3 * p.size), *rows, float(lr), float(eps), float(decay))


@jit(**_OPTIONS)
def _adagrad_loop(chunks, p, g, total, lr, eps, decay):  # type: ignore[no-untyped-def]
    n, number = p.size, p.dtype.type
    lr, eps, decay = number(lr), number(eps), number(decay)
    for chunk in prange(chunks):
        lo, hi = n * chunk // chunks, n * (chunk + 1) // chunks
        q, h, s = p[lo:hi], g[lo:hi], total[lo:hi]
        for i in range(q.size):
            d = h[i]
            if decay != 0:
                d += decay * q[i]
            s[i] += d * d
            q[i] -= lr * d / (np.sqrt(s[i]) + eps)
