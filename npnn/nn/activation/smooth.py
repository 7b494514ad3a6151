"""Smooth activations: Sigmoid, Tanh and Softplus, and the gates made of them (SiLU, Mish, GELU, GLU)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import ShapeError
from npnn.function import Function
from npnn.kernels import smooth as kernels
from npnn.nn.checks import check_floating
from npnn.nn.module import Module
from npnn.ops.elementwise import erf, sigmoid, tanh
from npnn.ops.joining import cat, chunk
from npnn.tensor import Tensor

__all__ = [
    "GELU", "GLU", "Mish", "SiLU", "Sigmoid", "Softplus", "Tanh", "gelu", "glu", "mish", "sigmoid", "silu",
    "softplus", "tanh",
]  # fmt: skip


class SoftplusFunction(Function):
    """y = log(1 + e^(βx)) / β, and x itself where βx > threshold.   dx = sigmoid(βx) dy, dy there"""

    def forward(self, x: NDArray[Any], beta: float, threshold: float) -> NDArray[Any]:
        self.x, self.beta, self.threshold = x, beta, threshold
        return kernels.softplus(x, beta, threshold)

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        return kernels.softplus_backward(dy, self.x, self.beta, self.threshold)

    def derivative(self: Any, dy: Tensor) -> Any:
        z = self.x * self.beta
        return dy * sigmoid(z).masked_fill(z > self.threshold, 1)


class SiLUFunction(Function):
    """y = x σ, σ = sigmoid(x).   dx = dy σ (1 + x (1 - σ))"""

    def forward(self, x: NDArray[Any]) -> NDArray[Any]:
        self.x = x
        return kernels.silu(x)

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        return kernels.silu_backward(dy, self.x)

    def derivative(self: Any, dy: Tensor) -> Tensor:
        gate = sigmoid(self.x)
        return dy * (gate * (1 + self.x * (1 - gate)))


class MishFunction(Function):
    """y = x t, t = tanh(log(1 + eˣ)).   dx = dy (t + x (1 - t²) sigmoid(x))"""

    def forward(self, x: NDArray[Any]) -> NDArray[Any]:
        self.x, self.t = x, np.tanh(kernels.softplus(x, 1.0, math.inf))
        return x * self.t

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        x, t = self.x, self.t
        return dy * (t + x * (1 - t * t) * kernels.sigmoid(x))

    def derivative(self: Any, dy: Tensor) -> Tensor:
        t = tanh(softplus(self.x, 1.0, math.inf))
        return dy * (t + self.x * (1 - t * t) * sigmoid(self.x))


class GELUFunction(Function):
    """y = x Φ(x), Φ the standard normal distribution.   dx = dy (Φ + x φ), φ its density"""

    def forward(self, x: NDArray[Any]) -> NDArray[Any]:
        self.x = x
        return kernels.gelu(x)

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        return kernels.gelu_backward(dy, self.x)

    def derivative(self: Any, dy: Tensor) -> Tensor:
        x = self.x
        below = 0.5 * (1 + erf(x * math.sqrt(0.5)))
        return dy * (below + x * (-0.5 * x * x).exp() / math.sqrt(2 * math.pi))


class TanhGELUFunction(Function):
    """y = x (1 + t) / 2, t = tanh(u), u = √(2/π) (x + a x³).   dx = dy ((1 + t) + x (1 - t²) u') / 2"""

    A, ROOT = 0.044715, math.sqrt(2 / math.pi)

    def forward(self, x: NDArray[Any]) -> NDArray[Any]:
        self.x, z = x, np.clip(x, -100, 100)  # beyond, t is ±1 and x³ could overflow
        self.t = np.tanh(self.ROOT * z * (1 + self.A * z * z))
        return 0.5 * x * (1 + self.t)

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        x, t = np.clip(self.x, -100, 100), self.t
        du = self.ROOT * (1 + 3 * self.A * x * x)
        return dy * (0.5 * (1 + t + x * (1 - t * t) * du))

    def derivative(self: Any, dy: Tensor) -> Tensor:
        x = self.x.clamp(-100, 100)
        t = tanh(self.ROOT * x * (1 + self.A * x * x))
        du = self.ROOT * (1 + 3 * self.A * x * x)
        return dy * (0.5 * (1 + t + x * (1 - t * t) * du))


class GLUFunction(Function):
    """y = a sigmoid(b), where a and b are the two halves of x along an axis.   da = σ dy, db = a σ (1 - σ) dy"""

    def forward(self, x: NDArray[Any], dim: int) -> NDArray[Any]:
        self.x, self.dim = x, dim
        self.a, b = np.split(x, 2, axis=dim)
        self.gate = kernels.sigmoid(b)
        return self.a * self.gate

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        da = dy * self.gate
        return np.concatenate([da, da * self.a * (1 - self.gate)], axis=self.dim)

    def derivative(self: Any, dy: Tensor) -> Any:
        a, b = chunk(self.x, 2, self.dim)
        gate = sigmoid(b)
        return cat([dy * gate, dy * a * gate * (1 - gate)], self.dim)


# ---- functions (sigmoid and tanh are npnn.ops.elementwise's)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(βx)) / β, a smooth max(x, 0); x itself where βx > threshold, as it is equal there to all digits.

    Source: Dugas et al., Incorporating second-order functional knowledge for better option pricing, 2001.
    """
    check_floating("softplus", input)
    return SoftplusFunction.apply(input, beta=float(beta), threshold=float(threshold))


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x sigmoid(x), also called swish.

    Source: Elfwing, Uchibe & Doya, Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning, 2018.
    """
    check_floating("silu", input)
    return SiLUFunction.apply(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(log(1 + eˣ))

    Source: Misra, Mish: a self regularized non-monotonic activation function, 2020.
    """
    check_floating("mish", input)
    return MishFunction.apply(input)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Φ(x) with the standard normal distribution Φ; ``approximate="tanh"`` is a formula close to it.

    Errors: RuntimeError for another ``approximate``.
    Source: Hendrycks & Gimpel, Gaussian error linear units, 2016.
    """
    check_floating("gelu", input)
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"approximate must be 'none' or 'tanh', got {approximate!r}")
    return (TanhGELUFunction if approximate == "tanh" else GELUFunction).apply(input)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a sigmoid(b), where a and b are the first and the second half of x along ``dim``.   (*, 2M, *) -> (*, M, *)

    Errors: ShapeError if that axis cannot be halved.
    Source: Dauphin et al., Language modeling with gated convolutional networks, 2017.
    """
    check_floating("glu", input)
    if not -input.ndim <= dim < input.ndim:
        raise IndexError(f"glu: dim must be from {-input.ndim} to {input.ndim - 1}, got {dim}")
    if input.shape[dim] % 2:
        raise ShapeError(f"expected an even number of elements along dim={dim}, got {input.shape}")
    return GLUFunction.apply(input, dim=dim)


# ---- modules


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ).   Any shape."""

    def forward(self, input: Tensor) -> Tensor:
        return sigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent.   Any shape."""

    def forward(self, input: Tensor) -> Tensor:
        return tanh(input)


class Softplus(Module):
    """log(1 + e^(βx)) / β: see softplus.   Any shape."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        return softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class _Gate(Module):
    """What the gates with torch's ``inplace`` argument share; it is accepted and does nothing."""

    def __init__(self, inplace: bool = False):
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class SiLU(_Gate):
    """x sigmoid(x).   Any shape."""

    def forward(self, input: Tensor) -> Tensor:
        return silu(input)


class Mish(_Gate):
    """x tanh(log(1 + eˣ)).   Any shape."""

    def forward(self, input: Tensor) -> Tensor:
        return mish(input)


class GELU(Module):
    """x Φ(x): see gelu.   Any shape."""

    def __init__(self, approximate: str = "none"):
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class GLU(Module):
    """a sigmoid(b): see glu.   (*, 2M, *) -> (*, M, *)"""

    def __init__(self, dim: int = -1):
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
