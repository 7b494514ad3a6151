"""Questions about elements: comparisons, tests for nan, logic.  The answers are boolean and carry no gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npnn.function import Function
from npnn.modes import mode
from npnn.ops.promotion import operands
from npnn.tensor import Tensor, _from_array

__all__ = [
    "allclose", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "eq", "equal", "ge", "greater",
    "greater_equal", "gt", "isclose", "isfinite", "isin", "isinf", "isnan", "isneginf", "isposinf", "isreal", "le",
    "less", "less_equal", "logical_and", "logical_not", "logical_or", "logical_xor", "lt", "ne", "not_equal", "signbit",
]  # fmt: skip


class Question(Function):
    """y = f(x, ...), boolean, without a gradient.  Asked as an operation only where somebody writes down what is applied."""

    def forward(self, *arrays, ufunc):
        return np.asarray(ufunc(*arrays))


def asked(ufunc: Callable[..., Any], *inputs: Any) -> Tensor:
    if mode.observer is not None:
        return Question.apply(*inputs, ufunc=ufunc)
    return _from_array(np.asarray(ufunc(*(x.array if isinstance(x, Tensor) else x for x in inputs))))


def _comparison(name: str, ufunc: np.ufunc, doc: str) -> Callable[[Any, Any], Tensor]:
    def compare(input: Any, other: Any) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}(): argument 'input' must be Tensor, not {type(input).__name__}")
        return asked(ufunc, *operands(input, other))

    compare.__name__ = compare.__qualname__ = name
    compare.__doc__ = f"{doc}, element by element; the shapes broadcast."
    return compare


eq = _comparison("eq", np.equal, "input = other")
ne = _comparison("ne", np.not_equal, "input ≠ other")
lt = _comparison("lt", np.less, "input < other")
le = _comparison("le", np.less_equal, "input <= other")
gt = _comparison("gt", np.greater, "input > other")
ge = _comparison("ge", np.greater_equal, "input >= other")
not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge
bitwise_and = _comparison("bitwise_and", np.bitwise_and, "Both, bit by bit")
bitwise_or = _comparison("bitwise_or", np.bitwise_or, "One or both, bit by bit")
bitwise_xor = _comparison("bitwise_xor", np.bitwise_xor, "One but not both, bit by bit")
logical_and = _comparison("logical_and", np.logical_and, "Both are not 0")
logical_or = _comparison("logical_or", np.logical_or, "One or both are not 0")
logical_xor = _comparison("logical_xor", np.logical_xor, "One but not both are not 0")


def _test(name: str, ufunc: Callable[[Any], Any], doc: str) -> Callable[[Tensor], Tensor]:
    def test(input: Tensor) -> Tensor:
        return asked(ufunc, input)

    test.__name__ = test.__qualname__ = name
    test.__doc__ = f"{doc}, element by element."
    return test


isnan = _test("isnan", np.isnan, "True where input is not a number")
isinf = _test("isinf", np.isinf, "True where input is infinite")
isfinite = _test("isfinite", np.isfinite, "True where input is neither infinite nor nan")
isposinf = _test("isposinf", np.isposinf, "True where input is +inf")
isneginf = _test("isneginf", np.isneginf, "True where input is -inf")
isreal = _test("isreal", np.isreal, "True: tensors hold no complex numbers")
signbit = _test("signbit", np.signbit, "True where the sign is minus, also of -0")
logical_not = _test("logical_not", np.logical_not, "True where input is 0")
bitwise_not = _test("bitwise_not", np.invert, "Every bit turned round")


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """|input - other| <= atol + rtol |other|, element by element."""
    with np.errstate(invalid="ignore"):
        return _from_array(np.asarray(np.isclose(input.array, other.array, rtol, atol, equal_nan)))


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """True if isclose holds for every element."""
    return bool(isclose(input, other, rtol, atol, equal_nan).array.all())


def equal(input: Tensor, other: Tensor) -> bool:
    """True if both have the same shape and the same elements."""
    return bool(np.array_equal(input.array, other.array))


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Which of the elements are among the test elements."""
    a, b = (x.array if isinstance(x, Tensor) else x for x in (elements, test_elements))
    return _from_array(np.asarray(np.isin(a, b, assume_unique=assume_unique, invert=invert)))
