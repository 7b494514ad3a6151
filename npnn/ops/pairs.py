"""Functions of two numbers beyond arithmetic: a distance, an angle, logarithms."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.function import Function
from npnn.ops.arithmetic import mul, pow
from npnn.ops.promotion import as_float, operands
from npnn.tensor import Tensor, _from_array

__all__ = [
    "arctan2", "atan2", "copysign", "gcd", "heaviside", "hypot", "lcm", "ldexp", "logaddexp", "logaddexp2", "xlogy",
]  # fmt: skip


class Hypot(Function):
    """y = √(a² + b²).   da = a dy / y, db = b dy / y"""

    def forward(self, a, b):
        self.a, self.b, self.y = a, b, np.hypot(a, b)
        return self.y

    def backward(self, dy):
        with np.errstate(divide="ignore", invalid="ignore"):
            return dy * (self.a / self.y), dy * (self.b / self.y)

    derivative = backward


class Atan2(Function):
    """y = the angle of (b, a).   da = b dy / (a² + b²), db = -a dy / (a² + b²), 0 at the origin"""

    def forward(self, a, b):
        self.a, self.b = a, b
        return np.arctan2(a, b)

    def backward(self, dy):
        square = self.a * self.a + self.b * self.b
        scale = np.divide(dy, square, out=np.zeros_like(dy), where=square != 0)
        return scale * self.b, -scale * self.a

    def derivative(self, dy):
        square = self.a * self.a + self.b * self.b
        origin = square == 0
        scale = (dy / (square + origin)).masked_fill(origin, 0)
        return scale * self.b, -scale * self.a


class CopySign(Function):
    """y = |a| with the sign of b.   da = dy sign(a) sign(b), 0 where a = 0; b has no gradient"""

    def forward(self, a, b):
        y = np.copysign(a, b)
        self.ratio = np.sign(a) * np.copysign(np.ones_like(y), b)
        return y

    def backward(self, dy):
        return dy * self.ratio, np.zeros_like(dy)

    derivative = backward


class LogAddExp(Function):
    """y = log(baseᵃ + baseᵇ).   da = dy baseᵃ⁻ʸ, db = dy baseᵇ⁻ʸ"""

    def forward(self, a, b, base):
        y = np.logaddexp2(a, b) if base == 2 else np.logaddexp(a, b)
        self.a, self.b, self.y, self.base = a, b, y, base
        return y

    def backward(self, dy):
        power = np.exp2 if self.base == 2 else np.exp
        return dy * power(self.a - self.y), dy * power(self.b - self.y), None

    derivative = backward


class XLogY(Function):
    """y = a ln b, 0 where a = 0.   da = ln b dy (0 where a = 0 and b <= 0), db = a dy / b"""

    def forward(self, a, b):
        self.a, self.b = a, b
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((a == 0) & ~np.isnan(b), 0, a * np.log(b)).astype(np.result_type(a, b))

    def backward(self, dy):
        with np.errstate(divide="ignore", invalid="ignore"):
            da = np.where((self.a == 0) & (self.b <= 0), 0, dy * np.log(self.b))
            return da, dy * (self.a / self.b)

    def derivative(self, dy):
        da = (dy * np.log(self.b)).masked_fill((np.asarray(self.a) == 0) & (np.asarray(self.b) <= 0), 0)
        return da, dy * (self.a / self.b)


def hypot(input: Tensor, other: Tensor) -> Tensor:
    """√(input² + other²)"""
    return Hypot.apply(*operands(input, other))


def atan2(input: Tensor, other: Tensor) -> Tensor:
    """The angle of the point (other, input), from -π to π"""
    a, b = (as_float(x) if isinstance(x, Tensor) else x for x in operands(input, other))
    return Atan2.apply(a, b)


def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """ln(exp(input) + exp(other)), finite however large they are"""
    return LogAddExp.apply(*operands(input, other), np.e)


def logaddexp2(input: Tensor, other: Tensor) -> Tensor:
    """The logarithm to base 2 of 2^input + 2^other"""
    return LogAddExp.apply(*operands(input, other), 2.0)


def xlogy(input: Any, other: Any) -> Tensor:
    """input ln(other), and 0 where input is 0"""
    a, b = (as_float(x) if isinstance(x, Tensor) else x for x in operands(input, other))
    return XLogY.apply(a, b)


def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """input 2^other"""
    return mul(input, pow(2.0, other))


arctan2 = atan2


def copysign(input: Any, other: Any) -> Tensor:
    """The size of input with the sign of other, which a negative zero has, too."""
    a, b = (x if isinstance(x, Tensor) else _from_array(np.asarray(x)) for x in operands(input, other))
    return CopySign.apply(as_float(a), as_float(b))


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below zero, 1 above it, and ``values`` at zero.   Errors: RuntimeError for different dtypes."""
    if input.array.dtype != values.array.dtype:
        raise RuntimeError(f"heaviside needs values of the input's dtype, got {input.dtype} and {values.dtype}")
    return _from_array(np.heaviside(input.array, values.array).astype(input.array.dtype))


def _whole(ufunc: np.ufunc, input: Tensor, other: Any) -> Tensor:
    a, b = operands(input, other)
    if a.array.dtype.kind not in "iu" or b.array.dtype.kind not in "iu":
        raise RuntimeError(f"{ufunc.__name__} needs whole numbers, got {a.dtype} and {b.dtype}")
    return _from_array(np.asarray(ufunc(a.array, b.array)))


def gcd(input: Tensor, other: Tensor) -> Tensor:
    """The largest whole number that divides both.   Errors: RuntimeError for what is not whole."""
    return _whole(np.gcd, input, other)


def lcm(input: Tensor, other: Tensor) -> Tensor:
    """The smallest whole number that both divide.   Errors: RuntimeError for what is not whole."""
    return _whole(np.lcm, input, other)
