"""What Tensors can do.  Each file holds one family, forward above backward; this one lends them to Tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npnn import dtypes
from npnn.ops import arithmetic, creation, elementwise, indexing, linalg, reductions, shape
from npnn.ops.promotion import cast, operands
from npnn.tensor import Tensor, is_grad_enabled

__all__: list[str] = []


def _compare(ufunc: np.ufunc) -> Callable[[Tensor, Any], Tensor]:
    def compare(self: Tensor, other: Any) -> Tensor:
        """Element by element; the result is boolean and carries no gradient."""
        if other is None:  # x == None is a question about identity
            return NotImplemented
        a, b = (x.data if isinstance(x, Tensor) else x for x in operands(self, other))
        return Tensor(ufunc(a, b))

    return compare


def _in_place(ufunc: np.ufunc) -> Callable[[Tensor, Any], Tensor]:
    def change(self: Tensor, other: Any) -> Tensor:
        self._check_in_place()
        if isinstance(other, Tensor):
            if other.requires_grad and is_grad_enabled():
                raise RuntimeError("an in-place change would lose the other tensor's gradient: write x = x + y")
            other = other.data
        elif isinstance(other, np.generic):
            other = other.item()
        ufunc(self.data, other, out=self.data, casting="same_kind")
        self._mark_changed()
        return self

    return change


def _reflected(op: Callable[[Any, Any], Tensor]) -> Callable[[Tensor, Any], Tensor]:
    return lambda self, other: op(other, self)


def _to(self: Tensor, dtype: Any) -> Tensor:
    """The tensor in another dtype (npnn.float32, "float64", np.int64, or another tensor's)."""
    return cast(self, dtype.dtype if isinstance(dtype, Tensor) else dtype)


# ---- operators

_BINARY = {"add": arithmetic.add, "sub": arithmetic.sub, "mul": arithmetic.mul, "truediv": arithmetic.div,
           "pow": arithmetic.pow, "matmul": linalg.matmul}  # fmt: skip
for _name, _op in _BINARY.items():
    # a plain function with two arguments: the operators are the hot path of small models
    setattr(Tensor, f"__{_name}__", _op)
    setattr(Tensor, f"__r{_name}__", _reflected(_op))
_IN_PLACE = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power}
for _name, _ufunc in _IN_PLACE.items():
    setattr(Tensor, f"__i{_name}__", _in_place(_ufunc))
    setattr(Tensor, "div_" if _name == "truediv" else f"{_name}_", _in_place(_ufunc))
_COMPARE = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
            "ge": np.greater_equal, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}  # fmt: skip
for _name, _ufunc in _COMPARE.items():
    setattr(Tensor, f"__{_name}__", _compare(_ufunc))
Tensor.__neg__ = arithmetic.neg  # type: ignore[attr-defined]
Tensor.__abs__ = elementwise.abs  # type: ignore[attr-defined]
Tensor.__invert__ = lambda self: Tensor(~self.data)  # type: ignore[attr-defined]
Tensor.__getitem__ = indexing.getitem  # type: ignore[attr-defined]
Tensor.__setitem__ = indexing.setitem  # type: ignore[attr-defined]

# ---- methods: every function whose first argument is a tensor

_NOT_METHODS = {"cat", "stack", "where", "getitem", "setitem"}
for _family in (arithmetic, elementwise, linalg, reductions, shape, indexing):
    for _name in _family.__all__:
        if _name not in _NOT_METHODS:
            setattr(Tensor, _name, getattr(_family, _name))
Tensor.view = shape.reshape  # type: ignore[attr-defined]  # here a reshape copies only when it must
Tensor.clip = arithmetic.clamp  # type: ignore[attr-defined]
Tensor.to = Tensor.type = _to  # type: ignore[attr-defined]
Tensor.float = lambda self: cast(self, dtypes.float32)  # type: ignore[attr-defined]
Tensor.double = lambda self: cast(self, dtypes.float64)  # type: ignore[attr-defined]
Tensor.long = lambda self: cast(self, dtypes.int64)  # type: ignore[attr-defined]
Tensor.int = lambda self: cast(self, dtypes.int32)  # type: ignore[attr-defined]
Tensor.bool = lambda self: cast(self, dtypes.bool_)  # type: ignore[attr-defined]
Tensor.isnan = lambda self: Tensor(np.isnan(self.data))  # type: ignore[attr-defined]
Tensor.isfinite = lambda self: Tensor(np.isfinite(self.data))  # type: ignore[attr-defined]
Tensor.T = property(lambda self: shape.Permute.apply(self, tuple(range(self.data.ndim))[::-1]))  # type: ignore[attr-defined]
Tensor.mT = property(lambda self: shape.transpose(self, -2, -1))  # type: ignore[attr-defined]

# ---- what `npnn.` offers as functions

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(family, name)
    for family in (arithmetic, elementwise, linalg, reductions, shape, indexing, creation)
    for name in family.__all__
    if name not in {"getitem", "setitem", "contiguous", "expand", "expand_as", "repeat"}
}
