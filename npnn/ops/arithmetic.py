"""Arithmetic on two operands.  Shapes broadcast; the engine sums the gradients back."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.ops.promotion import as_float, operands
from npnn.tensor import Function, Tensor

__all__ = ["add", "clamp", "div", "maximum", "minimum", "mul", "neg", "pow", "remainder", "sub", "where"]


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


class Where(Function):
    """y = a where the condition holds, else b.   da = dy there, db = dy elsewhere"""

    def forward(self, condition, a, b):
        self.condition = condition
        return np.where(condition, a, b)

    def backward(self, dy):
        return None, np.where(self.condition, dy, 0), np.where(self.condition, 0, dy)


def add(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """input + alpha other"""
    return Add.apply(*operands(input, other if alpha == 1 else mul(other, alpha)))


def sub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """input - alpha other"""
    return Sub.apply(*operands(input, other if alpha == 1 else mul(other, alpha)))


def mul(input: Any, other: Any) -> Tensor:
    """input × other, element by element"""
    return Mul.apply(*operands(input, other))


def div(input: Any, other: Any) -> Tensor:
    """input / other; integers give float32"""
    a, b = operands(input, other)
    if isinstance(a, Tensor) and a.array.dtype.kind != "f":
        a = as_float(a)
    if isinstance(b, Tensor) and b.array.dtype.kind != "f":
        b = as_float(b)
    return Div.apply(*operands(a, b.item() if isinstance(b, np.generic) else b))


def remainder(input: Any, other: Any) -> Tensor:
    """input - other ⌊input / other⌋: what is left of a division, with the sign of other (as Python's %).

    Errors: RuntimeError for integers divided by 0; NotImplementedError for booleans.
    """
    a, b = operands(input, other)
    dtype, divisor = (a if isinstance(a, Tensor) else b).dtype, np.asarray(b.array if isinstance(b, Tensor) else b)
    if dtype.kind == "b":
        raise NotImplementedError("remainder of booleans")
    if dtype.kind in "iu" and not divisor.all():
        raise RuntimeError("ZeroDivisionError: the remainder of integers divided by 0")
    return Remainder.apply(a, b)


def neg(input: Tensor) -> Tensor:
    """-input"""
    return Neg.apply(input)


def pow(input: Any, exponent: Any) -> Tensor:
    """input to the power of exponent"""
    return Pow.apply(*operands(input, exponent))


def maximum(input: Any, other: Any) -> Tensor:
    """The larger of both, element by element.  NaN wins."""
    return Maximum.apply(*operands(input, other))


def minimum(input: Any, other: Any) -> Tensor:
    """The smaller of both, element by element.  NaN wins."""
    return Minimum.apply(*operands(input, other))


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


def where(condition: Any, input: Any, other: Any) -> Tensor:
    """input where the boolean condition holds, else other."""
    mask = np.asarray(condition)
    if mask.dtype != bool:
        raise TypeError(f"where needs a boolean condition, got {mask.dtype}")
    return Where.apply(mask, *operands(input, other))
