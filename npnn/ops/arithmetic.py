"""Arithmetic on two operands.  Shapes broadcast; the engine sums the gradients back."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.ops.promotion import as_float, cast, operands
from npnn.tensor import Function, Tensor

__all__ = [
    "add", "addcdiv", "addcmul", "arctan2", "atan2", "clamp", "clamp_max", "clamp_min", "clip", "div", "divide",
    "float_power", "floor_divide", "fmax", "fmin", "fmod", "hypot", "ldexp", "lerp", "logaddexp", "logaddexp2",
    "maximum", "minimum", "mul", "multiply", "neg", "negative", "positive", "pow", "remainder", "rsub", "sub",
    "subtract", "true_divide", "xlogy",
]  # fmt: skip


class Add(Function):
    """y = a + b.   da = dy, db = dy"""

    def forward(self, a, b):
        return a + b

    def backward(self, dy):
        return dy, dy


class Sub(Function):
    """y = a - b.   da = dy, db = -dy"""

    def forward(self, a, b):
        return a - b

    def backward(self, dy):
        return dy, (-dy if self.needs_grad[1] else None)


class Mul(Function):
    """y = a b.   da = b dy, db = a dy"""

    def forward(self, a, b):
        need_a, need_b = self.needs_grad
        self.a, self.b = a if need_b else None, b if need_a else None
        return a * b

    def backward(self, dy):
        need_a, need_b = self.needs_grad
        return (dy * self.b if need_a else None), (dy * self.a if need_b else None)


class Div(Function):
    """y = a / b.   da = dy / b, db = -dy y / b"""

    def forward(self, a, b):
        y = a / b
        self.b, self.y = b, y if self.needs_grad[1] else None
        return y

    def backward(self, dy):
        da = dy / self.b
        return da, (-da * self.y if self.needs_grad[1] else None)


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


class Lerp(Function):
    """y = a + w (b - a).   da = (1 - w) dy, db = w dy, dw = (b - a) dy"""

    def forward(self, a, b, w):
        self.a, self.b, self.w = a, b, w
        near = a + w * (b - a)
        return np.where(np.abs(w) < 0.5, near, b - (b - a) * (1 - w)).astype(a.dtype, copy=False)

    def backward(self, dy):
        return dy * (1 - self.w), dy * self.w, dy * (self.b - self.a) if self.needs_grad[2] else None


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


class FExtreme(Function):
    """y = the larger (or smaller) of a and b, a number before nan.   dy goes to the one taken, to a where equal"""

    def forward(self, a, b, choose):
        y = choose(a, b)
        self.first = (a == y) | (np.isnan(a) & np.isnan(b))
        return y

    def backward(self, dy):
        return dy * self.first, dy * ~self.first, None


class Neg(Function):
    """y = -x.   dx = -dy"""

    def forward(self, x):
        return -x

    def backward(self, dy):
        return -dy


class Pow(Function):
    """y = aᵇ.   da = b aᵇ⁻¹ dy, db = y ln(a) dy  (0 where a = 0 and b >= 0, the limit)"""

    def forward(self, a, b):
        y = np.power(a, b)
        self.a, self.b, self.y = a, b, y if self.needs_grad[1] else None
        return y

    def backward(self, dy):
        a, b = self.a, self.b
        da = db = None
        if self.needs_grad[0]:
            if isinstance(b, (int, float)):
                da = dy * (b * np.power(a, b - 1)) if b != 0 else np.zeros_like(dy)
            else:
                with np.errstate(divide="ignore", invalid="ignore"):
                    da = np.where(b == 0, 0, dy * (b * np.power(a, b - 1)))
        if self.needs_grad[1]:
            with np.errstate(divide="ignore", invalid="ignore"):
                db = np.where((a == 0) & (b >= 0), 0, dy * self.y * np.log(a))
        return da, db


class Maximum(Function):
    """y = max(a, b).   dy goes to the larger one, half to each where they are equal; NaN wins"""

    def forward(self, a, b):
        self.a, self.b = a, b
        return np.maximum(a, b)

    def backward(self, dy):
        half = 0.5 * dy * (self.a == self.b)
        return half + dy * (self.a > self.b), half + dy * (self.a < self.b)


class Minimum(Function):
    """y = min(a, b).   dy goes to the smaller one, half to each where they are equal; NaN wins"""

    def forward(self, a, b):
        self.a, self.b = a, b
        return np.minimum(a, b)

    def backward(self, dy):
        half = 0.5 * dy * (self.a == self.b)
        return half + dy * (self.a < self.b), half + dy * (self.a > self.b)


class Clamp(Function):
    """y = min(max(x, lo), hi).   dx = dy where lo <= x <= hi; dlo = dy below, dhi = dy above (and where hi < lo)"""

    def forward(self, x, lo, hi):
        none = np.zeros(x.shape, bool)
        self.above = none if hi is None else (x > hi) | (lo is not None and np.less(hi, lo))
        self.below = none if lo is None else (x < lo) & ~self.above
        return np.clip(x, lo, hi)

    def backward(self, dy):
        return dy * ~(self.above | self.below), dy * self.below, dy * self.above


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


def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of both; the one that is a number, if one is nan"""
    return FExtreme.apply(*operands(input, other), np.fmax)


def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of both; the one that is a number, if one is nan"""
    return FExtreme.apply(*operands(input, other), np.fmin)


negative, multiply, subtract, divide, true_divide, arctan2 = neg, mul, sub, div, div, atan2


def _refuse_numbers(name: str, *operands: Any) -> None:
    for x in operands:
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}(): both arguments must be Tensor, not {type(x).__name__}: for a number use clamp")


def maximum(input: Any, other: Any) -> Tensor:
    """The larger of both, element by element.  NaN wins.   Errors: TypeError for a number."""
    _refuse_numbers("maximum", input, other)
    return Maximum.apply(*operands(input, other))


def minimum(input: Any, other: Any) -> Tensor:
    """The smaller of both, element by element.  NaN wins.   Errors: TypeError for a number."""
    _refuse_numbers("minimum", input, other)
    return Minimum.apply(*operands(input, other))


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """input, but at least min"""
    return clamp(input, min)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """input, but at most max"""
    return clamp(input, None, max)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """input limited to [min, max], numbers or tensors.  Errors: RuntimeError without any limit."""
    if min is None and max is None:
        raise RuntimeError("clamp needs min, max or both")
    bounds = []
    for bound in (min, max):
        if bound is not None:
            input, bound = operands(input, bound)
        bounds.append(bound)
    return Clamp.apply(input, *bounds)


clip = clamp
