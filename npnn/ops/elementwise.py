"""Functions of one number, applied to every element."""

from __future__ import annotations

import numpy as np

from npnn.function import Function
from npnn.kernels import smooth
from npnn.ops.promotion import as_float
from npnn.tensor import Tensor

__all__ = [
    "abs", "absolute", "cos", "erf", "exp", "expm1", "log", "log1p", "reciprocal", "rsqrt", "sigmoid", "sin",
    "sqrt", "square", "tanh",
]  # fmt: skip


class Exp(Function):
    """y = eˣ.   dx = y dy"""

    def forward(self, x):
        self.y = np.exp(x)
        return self.y

    def backward(self, dy):
        return dy * self.y

    derivative = backward


class Expm1(Function):
    """y = eˣ - 1, exact near 0.   dx = (y + 1) dy"""

    def forward(self, x):
        self.y = np.expm1(x)
        return self.y

    def backward(self, dy):
        return dy * (self.y + 1)

    derivative = backward


class Log(Function):
    """y = ln x.   dx = dy / x"""

    def forward(self, x):
        self.x = x
        with np.errstate(divide="ignore", invalid="ignore"):  # ln 0 = -inf, ln(-1) = nan
            return np.log(x)

    def backward(self, dy):
        with np.errstate(divide="ignore", invalid="ignore"):
            return dy / self.x

    derivative = backward


class Log1p(Function):
    """y = ln(1 + x), exact near 0.   dx = dy / (1 + x)"""

    def forward(self, x):
        self.x = x
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log1p(x)

    def backward(self, dy):
        with np.errstate(divide="ignore", invalid="ignore"):
            return dy / (1 + self.x)

    derivative = backward


class Sqrt(Function):
    """y = √x.   dx = dy / 2y"""

    def forward(self, x):
        with np.errstate(invalid="ignore"):
            self.y = np.sqrt(x)
        return self.y

    def backward(self, dy):
        with np.errstate(divide="ignore", invalid="ignore"):
            return dy / (2 * self.y)

    derivative = backward


class Rsqrt(Function):
    """y = 1/√x.   dx = -y³ dy / 2"""

    def forward(self, x):
        with np.errstate(divide="ignore", invalid="ignore"):
            self.y = 1 / np.sqrt(x)
        return self.y

    def backward(self, dy):
        return dy * (-0.5 * self.y * self.y * self.y)

    derivative = backward


class Reciprocal(Function):
    """y = 1/x.   dx = -y² dy"""

    def forward(self, x):
        with np.errstate(divide="ignore"):
            self.y = 1 / x
        return self.y

    def backward(self, dy):
        return -dy * self.y * self.y

    derivative = backward


class Square(Function):
    """y = x².   dx = 2x dy"""

    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dy):
        return dy * (2 * self.x)

    derivative = backward


class Abs(Function):
    """y = |x|.   dx = sign(x) dy  (0 at 0)"""

    def forward(self, x):
        self.x = x
        return np.abs(x)

    def backward(self, dy):
        return dy * np.sign(self.x)

    derivative = backward


class Sin(Function):
    """y = sin x.   dx = cos(x) dy"""

    def forward(self, x):
        self.x = x
        return np.sin(x)

    def backward(self, dy):
        return dy * np.cos(self.x)

    derivative = backward


class Cos(Function):
    """y = cos x.   dx = -sin(x) dy"""

    def forward(self, x):
        self.x = x
        return np.cos(x)

    def backward(self, dy):
        return -dy * np.sin(self.x)

    derivative = backward


class Tanh(Function):
    """y = tanh x.   dx = (1 - y²) dy"""

    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy):
        return dy * (1 - self.y * self.y)

    derivative = backward


class Sigmoid(Function):
    """y = 1 / (1 + e⁻ˣ).   dx = y (1 - y) dy"""

    def forward(self, x):
        self.y = smooth.sigmoid(x)
        return self.y

    def backward(self, dy):
        return dy * (self.y * (1 - self.y))

    derivative = backward


class Erf(Function):
    """y = erf x.   dx = 2/√π e^(-x²) dy"""

    def forward(self, x):
        from scipy.special import erf as array_erf  # late: it takes 0.2 s to import

        self.x = x
        return array_erf(x)

    def backward(self, dy):
        return dy * (1.1283791670955126 * np.exp(-self.x * self.x))

    derivative = backward


def exp(input: Tensor) -> Tensor:
    """e to the power of input"""
    return Exp.apply(as_float(input))


def expm1(input: Tensor) -> Tensor:
    """exp(input) - 1, exact near 0"""
    return Expm1.apply(as_float(input))


def log(input: Tensor) -> Tensor:
    """The natural logarithm; -inf at 0, nan below"""
    return Log.apply(as_float(input))


def log1p(input: Tensor) -> Tensor:
    """ln(1 + input), exact near 0"""
    return Log1p.apply(as_float(input))


def sqrt(input: Tensor) -> Tensor:
    """The square root; nan below 0"""
    return Sqrt.apply(as_float(input))


def rsqrt(input: Tensor) -> Tensor:
    """1/√input"""
    return Rsqrt.apply(as_float(input))


def reciprocal(input: Tensor) -> Tensor:
    """1/input"""
    return Reciprocal.apply(as_float(input))


def square(input: Tensor) -> Tensor:
    """input²"""
    return Square.apply(input)


def abs(input: Tensor) -> Tensor:
    """|input|"""
    return Abs.apply(input)


absolute = abs


def sin(input: Tensor) -> Tensor:
    """The sine of input, in radians"""
    return Sin.apply(as_float(input))


def cos(input: Tensor) -> Tensor:
    """The cosine of input, in radians"""
    return Cos.apply(as_float(input))


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent, (eˣ - e⁻ˣ) / (eˣ + e⁻ˣ)"""
    return Tanh.apply(as_float(input))


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-input))"""
    return Sigmoid.apply(as_float(input))


def erf(input: Tensor) -> Tensor:
    """The error function, 2/√π ∫₀ˣ exp(-t²) dt"""
    return Erf.apply(as_float(input))
