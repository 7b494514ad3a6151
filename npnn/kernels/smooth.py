"""Activations that need an exponential: sigmoid, SiLU, GELU, ELU and softplus, forward and backward.

Each is written for whole arrays, and once more for one element: sweep makes a loop of that.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels._jit import jit, kernel
from npnn.kernels.exponential import exp_of_negative, exp_parts, log1p, lowest, normal_tail, number
from npnn.kernels.sweep import elementwise

__all__ = [
    "elu", "elu_backward", "gelu", "gelu_backward", "sigmoid", "silu", "silu_backward", "softplus", "softplus_backward",
]  # fmt: skip

_DENSITY_AT_0 = 1 / math.sqrt(2 * math.pi)


@jit(fastmath={"contract"}, error_model="numpy", forceinline=True)
def sigmoid_of(x):  # type: ignore[no-untyped-def]
    one = number(x, 1)
    e = exp_of_negative(-abs(x))
    return (one if x >= 0 else e) / (one + e)


@kernel
def sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    """σ = 1 / (1 + e⁻ˣ); where e⁻ˣ overflows the result is 0, as it should be."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


@elementwise(sigmoid)
def sigmoid(x):  # type: ignore[no-untyped-def]
    return sigmoid_of(x)


@kernel
def silu(x: NDArray[Any]) -> NDArray[Any]:
    """x σ(x)"""
    return x * sigmoid.reference(x)


@elementwise(silu)
def silu(x):  # type: ignore[no-untyped-def]
    return x * sigmoid_of(x)


@kernel
def silu_backward(dy: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    """dx = dy σ (1 + x (1 - σ))"""
    s = sigmoid.reference(x)
    return dy * (s * (1 + x * (1 - s)))


@elementwise(silu_backward, arrays=2)
def silu_backward(dy, x):  # type: ignore[no-untyped-def]
    s, one = sigmoid_of(x), number(x, 1)
    return dy * (s * (one + x * (one - s)))


@kernel
def gelu(x: NDArray[Any]) -> NDArray[Any]:
    """x Φ(x), Φ the standard normal distribution"""
    from scipy.special import ndtr  # late: it takes 0.2 s to import

    return x * ndtr(x)


@jit(fastmath={"contract"}, forceinline=True)
def normal(x):  # type: ignore[no-untyped-def]
    """Φ(x) and e^(-x²/2)."""
    e = exp_of_negative(number(x, -0.5) * x * x)
    tail = normal_tail(abs(x)) * e
    return (tail if x < 0 else number(x, 1) - tail), e


@elementwise(gelu)
def gelu(x):  # type: ignore[no-untyped-def]
    return x * normal(x)[0]


@kernel
def gelu_backward(dy: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    """dx = dy (Φ + x φ), φ = e^(-x²/2) / √(2π) the density"""
    from scipy.special import ndtr

    near = np.clip(x, -100, 100)  # beyond, φ is 0 and x² could overflow
    return dy * (ndtr(x) + near * np.exp(-0.5 * near * near) * _DENSITY_AT_0)


@elementwise(gelu_backward, arrays=2)
def gelu_backward(dy, x):  # type: ignore[no-untyped-def]
    below, e = normal(x)
    return dy * (below + x * e * number(x, _DENSITY_AT_0))


@kernel
def elu(x: NDArray[Any], alpha: float, scale: float, inner: float) -> NDArray[Any]:
    """scale · x where x > 0, scale · α (e^(inner · x) - 1) elsewhere"""
    return scale * np.maximum(x, 0) + (scale * alpha) * np.expm1(inner * np.minimum(x, 0))


def _falls(alpha: float, scale: float, inner: float) -> bool:
    return inner >= 0


@elementwise(elu, when=_falls)
def elu(x, alpha, scale, inner):  # type: ignore[no-untyped-def]
    one = number(x, 1)
    m, power = exp_parts(min(max(number(x, inner) * x, lowest(x)), one))
    return number(x, scale * alpha) * (m * power + (power - one)) if x <= 0 else number(x, scale) * x


@kernel
def elu_backward(dy: NDArray[Any], x: NDArray[Any], alpha: float, scale: float, inner: float) -> NDArray[Any]:
    """dx = scale · dy where x > 0, scale · α · inner · e^(inner · x) dy elsewhere"""
    return dy * np.where(x > 0, scale, (scale * alpha * inner) * np.exp(inner * np.minimum(x, 0)))


@elementwise(elu_backward, arrays=2, when=_falls)
def elu_backward(dy, x, alpha, scale, inner):  # type: ignore[no-untyped-def]
    z, zero = number(x, inner) * x, number(x, 0)
    left = number(x, scale * alpha * inner) * exp_of_negative(zero if z > zero else z)  # a NaN stays one
    return dy * (number(x, scale) if x > zero else left)


@kernel
def softplus(x: NDArray[Any], beta: float, threshold: float) -> NDArray[Any]:
    """ln(1 + e^(βx)) / β = (max(βx, 0) + ln(1 + e^-|βx|)) / β, and x itself where βx > threshold"""
    z = beta * x
    return np.where(z > threshold, x, (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta).astype(
        x.dtype, copy=False
    )


@elementwise(softplus)
def softplus(x, beta, threshold):  # type: ignore[no-untyped-def]
    z, zero = number(x, beta) * x, number(x, 0)
    smooth = ((z if z > zero else zero) + log1p(exp_of_negative(-abs(z)))) * number(x, 1 / beta)
    return x if (z > number(x, threshold)) | (z != z) else smooth


@kernel
def softplus_backward(dy: NDArray[Any], x: NDArray[Any], beta: float, threshold: float) -> NDArray[Any]:
    """dx = σ(βx) dy, and dy where βx > threshold"""
    z = beta * x
    return dy * np.where(z > threshold, 1, sigmoid.reference(z)).astype(dy.dtype, copy=False)


@elementwise(softplus_backward, arrays=2)
def softplus_backward(dy, x, beta, threshold):  # type: ignore[no-untyped-def]
    z = number(x, beta) * x
    return dy * (number(x, 1) if z > number(x, threshold) else sigmoid_of(z))
