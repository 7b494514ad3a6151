"""Functions of two numbers beyond arithmetic: a distance, an angle, logarithms."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.function import Function
from npnn.ops.arithmetic import mul, pow
from npnn.ops.promotion import as_float, operands
from npnn.tensor import Tensor

__all__ = ["arctan2", "atan2", "hypot", "ldexp", "logaddexp", "logaddexp2", "xlogy"]


class Hypot(Function):
    """y = √(a² + b²).   da = a dy / y, db = b dy / y"""

    def forward(self, a, b):
        self.a, self.b, self.y = a, b, np.hypot(a, b)
        return self.y

    def backward(self, dy):
        with np.errstate(divide="ignore", invalid="ignore"):
            return dy * (self.a / self.y), dy * (self.b / self.y)


class Atan2(Function):
    """y = the angle of (b, a).   da = b dy / (a² + b²), db = -a dy / (a² + b²), 0 at the origin"""

    def forward(self, a, b):
        self.a, self.b = a, b
        return np.arctan2(a, b)

    def backward(self, dy):
        square = self.a * self.a + self.b * self.b
        scale = np.divide(dy, square, out=np.zeros_like(dy), where=square != 0)
        return scale * self.b, -scale * self.a


class LogAddExp(Function):
    """y = log(baseᵃ + baseᵇ).   da = dy baseᵃ⁻ʸ, db = dy baseᵇ⁻ʸ"""

    def forward(self, a, b, base):
        y = np.logaddexp2(a, b) if base == 2 else np.logaddexp(a, b)
        self.a, self.b, self.y, self.base = a, b, y, base
        return y

    def backward(self, dy):
        power = np.exp2 if self.base == 2 else np.exp
        return dy * power(self.a - self.y), dy * power(self.b - self.y), None


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
