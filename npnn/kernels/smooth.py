"""Activations that need an exponential: sigmoid, SiLU, GELU, ELU and softplus, forward and backward.

The twins are for float32 and read and write memory once.  They have their own exponential, as the one of
the C library takes one number at a time; float64 goes to NumPy and SciPy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels._jit import jit, kernel
from npnn.kernels.elementwise import sweep
from npnn.kernels.exponential import log_series

__all__ = [
    "elu", "elu_backward", "exp_of_negative", "gelu", "gelu_backward", "sigmoid", "silu", "silu_backward", "softplus",
    "softplus_backward",
]  # fmt: skip

prange = range  # numba reads this name as its parallel range

_DENSITY_AT_0 = 1 / math.sqrt(2 * math.pi)


@jit(fastmath={"contract"})
def _exp_parts(x):  # type: ignore[no-untyped-def]
    """m and 2ᵏ such that eˣ = (1 + m) 2ᵏ, for -87 <= x <= 0 in float32.

    k is the integer nearest to x / ln 2 and 1 + m = eʳ the rest, |r| <= ln 2 / 2, for which seven terms
    of the series do.  ln 2 is taken off in two parts, the first of few digits, to keep r exact; 2ᵏ is
    made by writing k into the bits of the exponent.
    Source: Cody & Waite, Software manual for the elementary functions, 1980, chapter 6.
    """
    f = np.float32
    k = np.floor(x * f(1.44269504) + f(0.5))
    r = x - k * f(0.693359375) + k * f(2.12194440e-4)
    p = ((((f(1 / 5040) * r + f(1 / 720)) * r + f(1 / 120)) * r + f(1 / 24)) * r + f(1 / 6)) * r + f(0.5)
    return (p * r + f(1)) * r, np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)


@jit(fastmath={"contract"})
def exp_of_negative(x):  # type: ignore[no-untyped-def]
    """eˣ for x <= 0 in float32, to 1e-7; 0 below -87, where float32 runs out of normal numbers."""
    lowest = np.float32(-87)
    m, power = _exp_parts(lowest if x < lowest else x)
    return np.float32(0) if x < lowest else (np.float32(1) + m) * power


@jit(fastmath={"contract"}, error_model="numpy")
def _sigmoid_of(x):  # type: ignore[no-untyped-def]
    one = np.float32(1)
    e = exp_of_negative(-abs(x))
    return (one if x >= 0 else e) / (one + e)


@kernel
def sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    """σ = 1 / (1 + e⁻ˣ); where e⁻ˣ overflows the result is 0, as it should be."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


@sigmoid.fast
def sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    return sweep(_sigmoid, x) if x.dtype == np.float32 else sigmoid.reference(x)


@jit(parallel=True)
def _sigmoid(chunks, x, y):  # type: ignore[no-untyped-def]
    for chunk in prange(chunks):
        part = slice(x.size * chunk // chunks, x.size * (chunk + 1) // chunks)
        a, b = x[part], y[part]
        for i in range(a.size):
            b[i] = _sigmoid_of(a[i])


@kernel
def silu(x: NDArray[Any]) -> NDArray[Any]:
    """x σ(x)"""
    return x * sigmoid.reference(x)


@silu.fast
def silu(x: NDArray[Any]) -> NDArray[Any]:
    return sweep(_silu, x) if x.dtype == np.float32 else silu.reference(x)


@jit(parallel=True)
def _silu(chunks, x, y):  # type: ignore[no-untyped-def]
    for chunk in prange(chunks):
        part = slice(x.size * chunk // chunks, x.size * (chunk + 1) // chunks)
        a, b = x[part], y[part]
        for i in range(a.size):
            b[i] = a[i] * _sigmoid_of(a[i])


@kernel
def silu_backward(dy: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    """dx = dy σ (1 + x (1 - σ))"""
    s = sigmoid.reference(x)
    return dy * (s * (1 + x * (1 - s)))


@silu_backward.fast
def silu_backward(dy: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    return sweep(_silu_backward, x, dy) if x.dtype == np.float32 else silu_backward.reference(dy, x)


@jit(parallel=True)
def _silu_backward(chunks, x, dy, dx):  # type: ignore[no-untyped-def]
    one = np.float32(1)
    for chunk in prange(chunks):
        part = slice(x.size * chunk // chunks, x.size * (chunk + 1) // chunks)
        a, b, c = x[part], dy[part], dx[part]
        for i in range(a.size):
            s = _sigmoid_of(a[i])
            c[i] = b[i] * (s * (one + a[i] * (one - s)))


@kernel
def gelu(x: NDArray[Any]) -> NDArray[Any]:
    """x Φ(x), Φ the standard normal distribution"""
    from scipy.special import ndtr  # late: it takes 0.2 s to import

    return x * ndtr(x)


@gelu.fast
def gelu(x: NDArray[Any]) -> NDArray[Any]:
    return sweep(_gelu, x) if x.dtype == np.float32 else gelu.reference(x)


@jit(fastmath={"contract"}, error_model="numpy")
def _normal(x):  # type: ignore[no-untyped-def]
    """Φ(x) and e^(-x²/2).  Φ(-|x|) = e^(-x²/2) P(1 / (1 + 0.275 |x|)), where the polynomial P, a least-squares fit
    of SciPy's erfcx, leaves an error of 5e-9."""
    f = np.float32
    t = f(1) / (f(1) + f(0.275) * abs(x))
    p = ((f(-0.11485864) * t + f(0.45199996)) * t + f(-0.33099545)) * t + f(0.33393395)
    p = (p * t + f(0.042110813)) * t + f(0.11780936)
    e = exp_of_negative(f(-0.5) * x * x)
    tail = p * t * e
    return (tail if x < 0 else f(1) - tail), e


@jit(parallel=True)
def _gelu(chunks, x, y):  # type: ignore[no-untyped-def]
    for chunk in prange(chunks):
        part = slice(x.size * chunk // chunks, x.size * (chunk + 1) // chunks)
        a, b = x[part], y[part]
        for i in range(a.size):
            b[i] = a[i] * _normal(a[i])[0]


@kernel
def gelu_backward(dy: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    """dx = dy (Φ + x φ), φ = e^(-x²/2) / √(2π) the density"""
    from scipy.special import ndtr

    near = np.clip(x, -100, 100)  # beyond, φ is 0 and x² could overflow
    return dy * (ndtr(x) + near * np.exp(-0.5 * near * near) * _DENSITY_AT_0)


@gelu_backward.fast
def gelu_backward(dy: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    return sweep(_gelu_backward, x, dy) if x.dtype == np.float32 else gelu_backward.reference(dy, x)


@jit(parallel=True)
def _gelu_backward(chunks, x, dy, dx):  # type: ignore[no-untyped-def]
    scale = np.float32(_DENSITY_AT_0)
    for chunk in prange(chunks):
        part = slice(x.size * chunk // chunks, x.size * (chunk + 1) // chunks)
        a, b, c = x[part], dy[part], dx[part]
        for i in range(a.size):
            cdf, e = _normal(a[i])
            c[i] = b[i] * (cdf + a[i] * e * scale)


@kernel
def elu(x: NDArray[Any], alpha: float, scale: float, inner: float) -> NDArray[Any]:
    """scale · x where x > 0, scale · α (e^(inner · x) - 1) elsewhere"""
    return scale * np.maximum(x, 0) + (scale * alpha) * np.expm1(inner * np.minimum(x, 0))


@elu.fast
def elu(x: NDArray[Any], alpha: float, scale: float, inner: float) -> NDArray[Any]:
    if x.dtype != np.float32 or inner < 0:
        return elu.reference(x, alpha, scale, inner)
    return sweep(_elu, x, numbers=(alpha, scale, inner))


@jit(parallel=True, fastmath={"contract"})
def _elu(chunks, x, y, alpha, scale, inner):  # type: ignore[no-untyped-def]
    right, left, steep = np.float32(scale), np.float32(scale * alpha), np.float32(inner)
    one, lowest = np.float32(1), np.float32(-87)
    for chunk in prange(chunks):
        part = slice(x.size * chunk // chunks, x.size * (chunk + 1) // chunks)
        a, b = x[part], y[part]
        for i in range(a.size):
            m, power = _exp_parts(min(max(steep * a[i], lowest), one))
            b[i] = left * (m * power + (power - one)) if a[i] <= 0 else right * a[i]


@kernel
def elu_backward(dy: NDArray[Any], x: NDArray[Any], alpha: float, scale: float, inner: float) -> NDArray[Any]:
    """dx = scale · dy where x > 0, scale · α · inner · e^(inner · x) dy elsewhere"""
    return dy * np.where(x > 0, scale, (scale * alpha * inner) * np.exp(inner * np.minimum(x, 0)))


@elu_backward.fast
def elu_backward(dy: NDArray[Any], x: NDArray[Any], alpha: float, scale: float, inner: float) -> NDArray[Any]:
    if x.dtype != np.float32 or inner < 0:
        return elu_backward.reference(dy, x, alpha, scale, inner)
    return sweep(_elu_backward, x, dy, numbers=(alpha, scale, inner))


@jit(parallel=True)
def _elu_backward(chunks, x, dy, dx, alpha, scale, inner):  # type: ignore[no-untyped-def]
    right, left, steep = np.float32(scale), np.float32(scale * alpha * inner), np.float32(inner)
    zero = np.float32(0)
    for chunk in prange(chunks):
        part = slice(x.size * chunk // chunks, x.size * (chunk + 1) // chunks)
        a, b, c = x[part], dy[part], dx[part]
        for i in range(a.size):
            c[i] = b[i] * (left * exp_of_negative(min(steep * a[i], zero)) if a[i] <= 0 else right)


@kernel
def softplus(x: NDArray[Any], beta: float, threshold: float) -> NDArray[Any]:
    """ln(1 + e^(βx)) / β = (max(βx, 0) + ln(1 + e^-|βx|)) / β, and x itself where βx > threshold"""
    z = beta * x
    return np.where(z > threshold, x, (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta).astype(
        x.dtype, copy=False
    )


@softplus.fast
def softplus(x: NDArray[Any], beta: float, threshold: float) -> NDArray[Any]:
    if x.dtype != np.float32:
        return softplus.reference(x, beta, threshold)
    return sweep(_softplus, x, numbers=(beta, threshold))


@jit(fastmath={"contract"})
def _log1p(t):  # type: ignore[no-untyped-def]
    """ln(1 + t) for 0 <= t <= 1 in float32, to 2e-7 of itself: a series in t, or in what half of 1 + t is from 1."""
    f = np.float32
    upper = t > f(0.41421356)
    m = f(0.5) * (t - f(1)) if upper else t
    z = m * m
    return (log_series(m) * m * z - f(0.5) * z + m) + (f(0.69314718056) if upper else f(0))


@jit(parallel=True, error_model="numpy")
def _softplus(chunks, x, y, beta, threshold):  # type: ignore[no-untyped-def]
    steep, inverse, limit, zero = np.float32(beta), np.float32(1 / beta), np.float32(threshold), np.float32(0)
    for chunk in prange(chunks):
        part = slice(x.size * chunk // chunks, x.size * (chunk + 1) // chunks)
        a, b = x[part], y[part]
        for i in range(a.size):
            z = steep * a[i]
            smooth = ((z if z > zero else zero) + _log1p(exp_of_negative(-abs(z)))) * inverse
            b[i] = a[i] if (z > limit) | (z != z) else smooth


@kernel
def softplus_backward(dy: NDArray[Any], x: NDArray[Any], beta: float, threshold: float) -> NDArray[Any]:
    """dx = σ(βx) dy, and dy where βx > threshold"""
    z = beta * x
    return dy * np.where(z > threshold, 1, sigmoid.reference(z)).astype(dy.dtype, copy=False)


@softplus_backward.fast
def softplus_backward(dy: NDArray[Any], x: NDArray[Any], beta: float, threshold: float) -> NDArray[Any]:
    if x.dtype != np.float32:
        return softplus_backward.reference(dy, x, beta, threshold)
    return sweep(_softplus_backward, x, dy, numbers=(beta, threshold))


@jit(parallel=True)
def _softplus_backward(chunks, x, dy, dx, beta, threshold):  # type: ignore[no-untyped-def]
    steep, limit, one = np.float32(beta), np.float32(threshold), np.float32(1)
    for chunk in prange(chunks):
        part = slice(x.size * chunk // chunks, x.size * (chunk + 1) // chunks)
        a, b, c = x[part], dy[part], dx[part]
        for i in range(a.size):
            z = steep * a[i]
            c[i] = b[i] * (one if z > limit else _sigmoid_of(z))
