"""What Tensors can do.  Each file holds one family, forward above backward; this one lends them to Tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npnn import dtypes
from npnn.autograd import is_grad_enabled
from npnn.ops import arithmetic, creation, elementwise, indexing, linalg, reductions, shape
from npnn.ops.promotion import cast, operands
from npnn.tensor import Tensor

__all__: list[str] = []


def _compare(ufunc: np.ufunc) -> Callable[[Tensor, Any], Tensor]:
    def compare(self: Tensor, other: Any) -> Tensor:
        """Element by element; the result is boolean and carries no gradient."""
        if other is None:  # x == None is a question about identity
            return NotImplemented
        a, b = (x.array if isinstance(x, Tensor) else x for x in operands(self, other))
        return Tensor(ufunc(a, b))

    return compare


def _in_place(ufunc: np.ufunc) -> Callable[[Tensor, Any], Tensor]:
    def change(self: Tensor, other: Any) -> Tensor:
        self._check_in_place()
        if isinstance(other, Tensor):
            if other.requires_grad and is_grad_enabled():
                raise RuntimeError("an in-place change would lose the other tensor's gradient: write x = x + y")
            other = other.array
        elif isinstance(other, np.generic):
            other = other.item()
        ufunc(self.array, other, out=self.array, casting="same_kind")
        self._mark_changed()
        return self

    return change


def _reflected(op: Callable[[Any, Any], Tensor]) -> Callable[[Tensor, Any], Tensor]:
    return lambda self, other: op(other, self)


def _to(self: Tensor, *args: Any, device: Any = None, dtype: Any = None) -> Tensor:
    """The tensor in another dtype (npnn.float32, "float64", np.int64, or another tensor's); "cpu" changes nothing."""
    found = dtypes.destination(args, device, dtype)
    return self if found is None else cast(self, found)


# ---- operators: plain functions of two arguments, as they are the hot path of small models

_BINARY = {"add": arithmetic.add, "sub": arithmetic.sub, "mul": arithmetic.mul, "truediv": arithmetic.div,
           "mod": arithmetic.remainder, "pow": arithmetic.pow, "matmul": linalg.matmul}  # fmt: skip
_CHANGE: dict[str, np.ufunc] = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide,
                                "mod": np.remainder, "pow": np.power}  # fmt: skip
_COMPARE: dict[str, np.ufunc] = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
                                 "gt": np.greater, "ge": np.greater_equal, "and": np.bitwise_and,
                                 "or": np.bitwise_or, "xor": np.bitwise_xor}  # fmt: skip
_TORCHS_NAME = {"truediv": "div", "mod": "remainder"}
_METHODS: dict[str, Any] = {
    **{f"__{name}__": op for name, op in _BINARY.items()},
    **{f"__r{name}__": _reflected(op) for name, op in _BINARY.items()},
    **{f"__i{name}__": _in_place(ufunc) for name, ufunc in _CHANGE.items()},
    **{f"{_TORCHS_NAME.get(name, name)}_": _in_place(ufunc) for name, ufunc in _CHANGE.items()},
    **{f"__{name}__": _compare(ufunc) for name, ufunc in _COMPARE.items()},
    "__neg__": arithmetic.neg,
    "__abs__": elementwise.abs,
    "__invert__": lambda self: Tensor(~self.array),
    "__getitem__": indexing.getitem,
    "__setitem__": indexing.setitem,
    # every function whose first argument is a tensor
    **{
        name: getattr(family, name)
        for family in (arithmetic, elementwise, linalg, reductions, shape, indexing)
        for name in family.__all__
        if name not in {"cat", "stack", "where", "getitem", "setitem"}
    },
    "view": shape.reshape,  # here a reshape copies only when it must
    "clip": arithmetic.clamp,
    "to": _to,
    "type": lambda self, dtype: cast(self, dtype),
    "float": lambda self: cast(self, dtypes.float32),
    "double": lambda self: cast(self, dtypes.float64),
    "long": lambda self: cast(self, dtypes.int64),
    "int": lambda self: cast(self, dtypes.int32),
    "bool": lambda self: cast(self, dtypes.bool_),
    "isnan": lambda self: Tensor(np.isnan(self.array)),
    "isfinite": lambda self: Tensor(np.isfinite(self.array)),
    "T": property(lambda self: shape.Permute.apply(self, tuple(range(self.array.ndim))[::-1])),
    "mT": property(lambda self: shape.transpose(self, -2, -1)),
}
for _name, _method in _METHODS.items():
    setattr(Tensor, _name, _method)

# ---- what `npnn.` offers as functions

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(family, name)
    for family in (arithmetic, elementwise, linalg, reductions, shape, indexing, creation)
    for name in family.__all__
    if name not in {"getitem", "setitem", "contiguous", "expand", "expand_as", "repeat"}
}
