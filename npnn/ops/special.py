"""Functions of one number that need one line: what they are, and their derivative.

A row of the table is a formula, the function, and its derivative as a function of x or of y = f(x),
whichever is simpler; the other is then not kept.  At singular points the derivative is what the
formula gives (inf or nan), as in torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from npnn.function import Function
from npnn.ops.promotion import as_float
from npnn.tensor import Tensor, _from_array

Array = NDArray[Any]


class Row(NamedTuple):
    formula: str
    f: Callable[[Array], Array]
    slope_of_x: Callable[[Array], Array] | None = None
    slope_of_y: Callable[[Array], Array] | None = None


def _scipy(name: str) -> Callable[[Array], Array]:
    def call(x: Array) -> Array:
        import scipy.special  # late: it takes 0.2 s to import

        return getattr(scipy.special, name)(x)

    return call


def _trigamma(x: Array) -> Array:
    if isinstance(x, Tensor):
        raise NotImplementedError("create_graph=True: the gradient of digamma cannot be differentiated again in npnn")
    import scipy.special

    return scipy.special.zeta(2, x)


def _sinc(x: Array) -> Array:
    angle = np.pi * (x + (x == 0))
    return (x == 0) + (x != 0) * np.sin(angle) / angle


def _exact(function: np.ufunc) -> Callable[[Array], Array]:
    """Computed in float64: NumPy's float32 form gives 1.9999999 for log10 100 on some processors."""
    return lambda x: function(x, dtype=np.float64).astype(x.dtype)


def _normal_tail(x: Array) -> Array:
    return 2 / math.sqrt(math.pi) * np.exp(-x * x)


_SMOOTH = {
    "acos": Row("arccos x", np.arccos, lambda x: -1 / np.sqrt(1 - x * x)),
    "acosh": Row("arcosh x", np.arccosh, lambda x: 1 / np.sqrt(x * x - 1)),
    "asin": Row("arcsin x", np.arcsin, lambda x: 1 / np.sqrt(1 - x * x)),
    "asinh": Row("arsinh x", np.arcsinh, lambda x: 1 / np.sqrt(x * x + 1)),
    "atan": Row("arctan x", np.arctan, lambda x: 1 / (x * x + 1)),
    "atanh": Row("artanh x", np.arctanh, lambda x: 1 / (1 - x * x)),
    "cosh": Row("cosh x", np.cosh, np.sinh),
    "deg2rad": Row("π x / 180", np.deg2rad, lambda x: np.full_like(x, math.pi / 180)),
    "digamma": Row("ψ(x) = (ln Γ)'(x)", _scipy("digamma"), lambda x: _trigamma(x)),
    "erfc": Row("1 - erf x", _scipy("erfc"), lambda x: -_normal_tail(x)),
    "erfinv": Row("the x' with erf x' = x", _scipy("erfinv"), None, lambda y: 1 / _normal_tail(y)),
    "exp2": Row("2ˣ", np.exp2, None, lambda y: y * math.log(2)),
    "lgamma": Row("ln |Γ(x)|", _scipy("gammaln"), lambda x: _scipy("digamma")(x)),
    "log10": Row("the logarithm to base 10", _exact(np.log10), lambda x: 1 / (x * math.log(10))),
    "log2": Row("the logarithm to base 2", np.log2, lambda x: 1 / (x * math.log(2))),
    "rad2deg": Row("180 x / π", np.rad2deg, lambda x: np.full_like(x, 180 / math.pi)),
    "sinc": Row(
        "sin(πx) / πx, and 1 at 0", np.sinc,
        lambda x: (np.cos(np.pi * x) - _sinc(x)) / (x + (x == 0)),
    ),
    "sinh": Row("sinh x", np.sinh, np.cosh),
    "tan": Row("tan x", np.tan, None, lambda y: 1 + y * y),
}  # fmt: skip


def _trunc(x: Array) -> Array:
    return np.trunc(x) if x.dtype.kind == "f" else x.copy()


_STEPS: dict[str, Row] = {  # constant between jumps: the derivative is 0
    "ceil": Row("⌈x⌉, the next whole number upwards", np.ceil),
    "floor": Row("⌊x⌋, the next whole number downwards", np.floor),
    "sign": Row("-1, 0 or 1", np.sign),
    "sgn": Row("-1, 0 or 1", np.sign),
    "trunc": Row("x without what is behind the point", _trunc),
    "fix": Row("x without what is behind the point", _trunc),
}


class Smooth(Function):
    """y = f(x), with f a row of the table.   dx = f'(x) dy"""

    def forward(self, x: Array, row: Row) -> Array:
        with np.errstate(all="ignore"):
            y = row.f(x)
        self.row, self.kept = row, x if row.slope_of_x is not None else y
        return y

    def backward(self, dy: Array) -> Any:
        slope = self.row.slope_of_x or self.row.slope_of_y
        assert slope is not None
        with np.errstate(all="ignore"):
            return dy * slope(self.kept), None

    def derivative(self: Any, dy: Any) -> Any:
        slope = self.row.slope_of_x or self.row.slope_of_y
        assert slope is not None
        kept = self.output(self.kept) if self.row.slope_of_x is None else self.input(0, self.kept)
        return dy * slope(kept), None


class Steps(Function):
    """y = a function that is constant between jumps.   dx = 0"""

    def forward(self, x: Array, f: Callable[[Array], Array]) -> Array:
        return f(x)

    def backward(self, dy: Array) -> Any:
        return np.zeros_like(dy), None

    derivative = backward


class Frac(Function):
    """y = x - trunc x, with the sign of x.   dx = dy"""

    def forward(self, x: Array) -> Array:
        return x - np.trunc(x)

    def backward(self, dy: Array) -> Any:
        return dy

    derivative = backward


class NanToNum(Function):
    """y = x with other numbers for nan, inf and -inf.   dx = dy where x is finite, 0 elsewhere"""

    def forward(self, x: Array, nan: float, posinf: float | None, neginf: float | None) -> Array:
        self.finite = np.isfinite(x)
        return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)

    def backward(self, dy: Array) -> Any:
        return dy * self.finite, None, None, None

    derivative = backward


class Logit(Function):
    """y = ln(x / (1 - x)).   dx = dy / (x (1 - x)), 0 where x was limited to [eps, 1 - eps]"""

    def forward(self, x: Array, eps: float | None) -> Array:
        self.x, self.eps = x, eps
        z = x if eps is None else np.where(x < eps, eps, np.minimum(x, 1 - eps)).astype(x.dtype)
        with np.errstate(all="ignore"):
            return np.log(z / (1 - z))

    def backward(self, dy: Array) -> Any:
        x, eps = self.x, self.eps
        with np.errstate(all="ignore"):
            dx = dy / (x * (1 - x))
        if eps is None:
            return np.where((x < 0) | (x > 1), np.nan, dx).astype(dy.dtype), None
        return np.where((x < eps) | (x > 1 - eps), 0, dx).astype(dy.dtype), None

    def derivative(self, dy):
        x = self.x
        dx = dy / (x * (1 - x))
        return dx if self.eps is None else dx.masked_fill((x < self.eps) | (x > 1 - self.eps), 0), None


def _made(name: str, row: Row, op: type[Function]) -> Callable[[Tensor], Tensor]:
    def function(input: Tensor) -> Tensor:
        if op is Smooth:
            return Smooth.apply(as_float(input), row)
        if input.array.dtype.kind != "f":
            return _from_array(row.f(input.array).astype(input.array.dtype, copy=False))
        return Steps.apply(input, row.f)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{row.formula}, element by element" + ("" if op is Smooth else "; its gradient is 0")
    return function


_MADE = {name: _made(name, row, Smooth) for name, row in _SMOOTH.items()}
_MADE.update({name: _made(name, row, Steps) for name, row in _STEPS.items()})
globals().update(_MADE)
arccos, arccosh, arcsin, arcsinh, arctan, arctanh = (_MADE[n] for n in "acos acosh asin asinh atan atanh".split())


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest whole number (to even from halfway), or number of so many decimals; its gradient is 0"""
    if input.array.dtype.kind != "f":
        return _from_array(input.array.copy())
    return Steps.apply(input, lambda x: np.round(x, decimals))


def frac(input: Tensor) -> Tensor:
    """What is behind the point, with the sign of input"""
    return Frac.apply(input)


def nan_to_num(
    input: Tensor, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """input with ``nan`` for nan, and the largest and the smallest number (or those given) for inf and -inf"""
    if input.array.dtype.kind != "f":
        return _from_array(input.array.copy())
    return NanToNum.apply(input, nan or 0.0, posinf, neginf)


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """ln(input / (1 - input)), the inverse of sigmoid; with ``eps``, of input limited to [eps, 1 - eps]"""
    return Logit.apply(as_float(input), eps if eps is None else float(eps))


__all__ = [
    *_MADE, "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "frac", "logit", "nan_to_num", "round",
]  # fmt: skip
