"""Arithmetic on two operands.  Shapes broadcast; the engine sums the gradients back."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.function import Function
from npnn.ops.promotion import as_float, cast, operands
from npnn.tensor import Tensor

__all__ = [
    "add", "addcdiv", "addcmul", "div", "divide", "float_power", "floor_divide", "fmod", "lerp", "mul", "multiply",
    "neg", "negative", "positive", "pow", "remainder", "rsub", "sub", "subtract", "true_divide",
]  # fmt: skip


class Add(Function):
    """y = a + b.   da = dy, db = dy"""

    def forward(self, a, b):
        return a + b

    def backward(self, dy):
        return dy, dy

    derivative = backward


class Sub(Function):
    """y = a - b.   da = dy, db = -dy"""

    def forward(self, a, b):
        return a - b

    def backward(self, dy):
        return dy, (-dy if self.needs_grad[1] else None)

    derivative = backward


class Mul(Function):
    """y = a b.   da = b dy, db = a dy"""

    def forward(self, a, b):
        need_a, need_b = self.needs_grad
        self.a, self.b = a if need_b else None, b if need_a else None
        return a * b

    def backward(self, dy):
        need_a, need_b = self.needs_grad
        return (dy * self.b if need_a else None), (dy * self.a if need_b else None)

    derivative = backward


class Div(Function):
    """y = a / b.   da = dy / b, db = -dy y / b"""

    def forward(self, a, b):
        y = a / b
        self.b, self.y = b, y if self.needs_grad[1] else None
        return y

    def backward(self, dy):
        da = dy / self.b
        return da, (-da * self.y if self.needs_grad[1] else None)

    derivative = backward


class Remainder(Function):
    """y = a - b ⌊a / b⌋, with the sign of b.   da = dy, db = -dy ⌊a / b⌋"""

    def forward(self, a, b):
        if self.needs_grad[1]:
            self.a, self.b = a, b
        with np.errstate(invalid="ignore"):  # by 0: nan
            return np.remainder(a, b)

    def backward(self, dy):
        if not self.needs_grad[1]:
            return dy, None
        with np.errstate(divide="ignore", invalid="ignore"):
            return dy, -dy * np.floor(self.a / self.b)

    derivative = backward


class Fmod(Function):
    """y = a - b trunc(a / b), with the sign of a.   da = dy, db = -dy trunc(a / b)"""

    def forward(self, a, b):
        if self.needs_grad[1]:
            self.a, self.b = a, b
        with np.errstate(invalid="ignore"):
            return np.fmod(a, b)

    def backward(self, dy):
        if not self.needs_grad[1]:
            return dy, None
        with np.errstate(divide="ignore", invalid="ignore"):
            return dy, -dy * np.trunc(self.a / self.b)

    derivative = backward


class Lerp(Function):
    """y = a + w (b - a).   da = (1 - w) dy, db = w dy, dw = (b - a) dy"""

    def forward(self, a, b, w):
        self.a, self.b, self.w = a, b, w
        near = a + w * (b - a)
        return np.where(np.abs(w) < 0.5, near, b - (b - a) * (1 - w)).astype(a.dtype, copy=False)

    def backward(self, dy):
        return dy * (1 - self.w), dy * self.w, dy * (self.b - self.a) if self.needs_grad[2] else None

    derivative = backward


class Neg(Function):
    """y = -x.   dx = -dy"""

    def forward(self, x):
        return -x

    def backward(self, dy):
        return -dy

    derivative = backward


def _power(a, b):
    """aᵇ, where b is a small number by products and roots, as torch computes it: NumPy's power takes ten times as long."""
    if isinstance(b, (int, float)) and getattr(a, "dtype", None) is not None and a.dtype.kind == "f":
        if b == 3:
            return a * a * a
        if b in (0.5, -0.5):
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.sqrt(a) if b > 0 else 1 / np.sqrt(a)
    return np.power(a, b)


class Pow(Function):
    """y = aᵇ.   da = b aᵇ⁻¹ dy, db = y ln(a) dy  (0 where a = 0 and b >= 0, the limit)"""

    def forward(self, a, b):
        y = _power(a, b)
        self.a, self.b, self.y = a, b, y if self.needs_grad[1] else None
        return y

    def backward(self, dy):
        a, b = self.a, self.b
        da = db = None
        if self.needs_grad[0]:
            if isinstance(b, (int, float)):
                da = dy * (b * _power(a, b - 1)) if b != 0 else np.zeros_like(dy)
            else:
                with np.errstate(divide="ignore", invalid="ignore"):
                    da = np.where(b == 0, 0, dy * (b * np.power(a, b - 1)))
        if self.needs_grad[1]:
            with np.errstate(divide="ignore", invalid="ignore"):
                db = np.where((a == 0) & (b >= 0), 0, dy * self.y * np.log(a))
        return da, db

    def derivative(self, dy):
        a, b = self.a, self.b
        da = db = None
        if self.needs_grad[0]:
            if isinstance(b, (int, float)):
                da = dy * (b * pow(a, b - 1)) if b != 0 else np.zeros_like(dy)
            else:
                da = (dy * (b * pow(a, b - 1))).masked_fill(np.asarray(b) == 0, 0)
        if self.needs_grad[1]:
            limit = (np.asarray(a) == 0) & (np.asarray(b) >= 0)
            db = (dy * (pow(a, b) * np.log(a))).masked_fill(limit, 0)
        return da, db


def _old_order(other: Any, old: tuple[Any, ...], alpha: float) -> tuple[Any, float]:
    """torch still takes (input, alpha, other), a number before the tensor that it multiplies."""
    return (old[0], other) if old else (other, alpha)


def add(input: Any, other: Any, *old: Any, alpha: float = 1) -> Tensor:
    """input + alpha other"""
    other, alpha = _old_order(other, old, alpha)
    return Add.apply(*operands(input, other if alpha == 1 else mul(other, alpha), numbers=True))


def sub(input: Any, other: Any, *old: Any, alpha: float = 1) -> Tensor:
    """input - alpha other   Errors: RuntimeError for booleans."""
    other, alpha = _old_order(other, old, alpha)
    return Sub.apply(*operands(input, other if alpha == 1 else mul(other, alpha), numbers=True))


def mul(input: Any, other: Any) -> Tensor:
    """input × other, element by element"""
    return Mul.apply(*operands(input, other, numbers=True))


class Rounded(Function):
    """y = a / b rounded down (floor) or towards 0 (trunc).   da = db = 0"""

    def forward(self, a, b, mode):
        self.shapes = np.shape(a), np.shape(b)
        with np.errstate(divide="ignore", invalid="ignore"):
            if mode == "floor":
                return np.floor_divide(a, b)
            y = np.trunc(np.true_divide(a, b))
            return y.astype(np.result_type(a, b))

    def backward(self, dy):
        return np.zeros(self.shapes[0], dy.dtype), np.zeros(self.shapes[1], dy.dtype), None

    derivative = backward


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other; integers give float32 unless the result is rounded ("floor", or "trunc" towards 0)

    Errors: RuntimeError for integers divided by 0 and rounded, or another rounding mode.
    """
    a, b = operands(input, other, numbers=True)
    if rounding_mode is not None:
        if rounding_mode not in ("floor", "trunc"):
            raise RuntimeError(
                f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
            )
        _refuse_zero(a, b)
        return Rounded.apply(a, b, rounding_mode)
    if isinstance(a, Tensor) and a.array.dtype.kind != "f":
        a = as_float(a)
    if isinstance(b, Tensor) and b.array.dtype.kind != "f":
        b = as_float(b)
    return Div.apply(*operands(a, b.item() if isinstance(b, np.generic) else b, numbers=True))


def remainder(input: Any, other: Any) -> Tensor:
    """input - other ⌊input / other⌋: what is left of a division, with the sign of other (as Python's %).

    Errors: RuntimeError for integers divided by 0; NotImplementedError for booleans.
    """
    a, b = operands(input, other)
    if (a if isinstance(a, Tensor) else b).dtype.kind == "b":
        raise NotImplementedError("remainder of booleans")
    _refuse_zero(a, b)
    return Remainder.apply(a, b)


def _refuse_zero(a: Any, b: Any) -> None:
    dtype, divisor = (a if isinstance(a, Tensor) else b).dtype, np.asarray(b.array if isinstance(b, Tensor) else b)
    if dtype.kind in "iu" and not divisor.all():
        raise RuntimeError("ZeroDivisionError: integers divided by 0")


def fmod(input: Any, other: Any) -> Tensor:
    """What is left of a division rounded towards 0, with the sign of input."""
    a, b = operands(input, other)
    _refuse_zero(a, b)
    return Fmod.apply(a, b)


def floor_divide(input: Any, other: Any) -> Tensor:
    """⌊input / other⌋"""
    return div(input, other, rounding_mode="floor")


def neg(input: Tensor) -> Tensor:
    """-input   Errors: RuntimeError for booleans."""
    if input.array.dtype.kind == "b":
        raise RuntimeError("Negation, the `-` operator, on a bool tensor is not supported: use ~ or logical_not()")
    return Neg.apply(input)


def positive(input: Tensor) -> Tensor:
    """input itself   Errors: RuntimeError for booleans."""
    if input.array.dtype.kind == "b":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


def pow(input: Any, exponent: Any) -> Tensor:
    """input to the power of exponent   Errors: RuntimeError for integers to a negative power."""
    a, b = operands(input, exponent)
    if (a if isinstance(a, Tensor) else b).dtype.kind in "iu" and (
        np.asarray(b.array if isinstance(b, Tensor) else b) < 0
    ).any():
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    return Pow.apply(a, b)


def float_power(input: Any, exponent: Any) -> Tensor:
    """input to the power of exponent, in float64"""
    double = [cast(x, "float64") if isinstance(x, Tensor) else float(x) for x in (input, exponent)]
    return Pow.apply(*double)


def rsub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """other - alpha input"""
    return sub(other, input, alpha=alpha)


def addcmul(input: Tensor, tensor1: Any, tensor2: Any, *old: Any, value: float = 1) -> Tensor:
    """input + value tensor1 tensor2"""
    if old:
        value, tensor1, tensor2 = tensor1, tensor2, old[0]
    product = mul(tensor1, tensor2)
    return add(input, product if value == 1 else mul(product, value))


def addcdiv(input: Tensor, tensor1: Any, tensor2: Any, *old: Any, value: float = 1) -> Tensor:
    """input + value tensor1 / tensor2"""
    if old:
        value, tensor1, tensor2 = tensor1, tensor2, old[0]
    ratio = div(tensor1, tensor2)
    return add(input, ratio if value == 1 else mul(ratio, value))


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """input + weight (end - input): from input, at weight 0, to end, at weight 1"""
    return Lerp.apply(input, end, weight)


negative, multiply, subtract, divide, true_divide = neg, mul, sub, div, div
