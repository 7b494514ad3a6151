"""Which dtype a mixed operation has: torch's rule, not NumPy's, so that float32 stays float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from npnn import dtypes
from npnn.cast import as_float, cast
from npnn.tensor import Tensor, of_array

__all__ = ["as_float", "cast", "common_dtype", "operands"]

_RANK = {"b": 0, "i": 1, "u": 1, "f": 2}  # bool < integer < floating point
_SCALAR = {bool: dtypes.bool_, int: dtypes.int64}
_NUMBERS = frozenset({*_SCALAR, float})


def operands(a: Any, b: Any, numbers: bool = False) -> tuple[Any, Any]:
    """Both operands in the dtype that torch would compute in; Python numbers stay as they are if they fit.

    The higher category (bool < integer < floating point) wins; within one category the wider
    dtype.  A tensor without axes only counts if its category is higher, a Python number likewise.
    Errors: TypeError for two Python numbers, unless ``numbers``.
    """
    if isinstance(a, Tensor):
        # the two common cases first: these lines run at every + of a small model
        same = b.array.dtype == a.array.dtype if isinstance(b, Tensor) else _fits(b, a)
    else:
        same = isinstance(b, Tensor) and _fits(a, b)
    if same:
        return a, b
    if type(a) in _NUMBERS and type(b) in _NUMBERS:
        if not numbers:
            raise TypeError(f"argument 'input' must be Tensor, not {type(a).__name__}")
        return operands(of_array(a), b)
    a, b = _tensor_or_number(a), _tensor_or_number(b)
    dtype = _common(a, b)
    return tuple([cast(x, dtype) if isinstance(x, Tensor) else dtype.type(x) for x in (a, b)])  # type: ignore[return-value]


def _fits(number: Any, x: Tensor) -> bool:
    """True for a Python number that takes the floating-point dtype of x, whatever its value."""
    return type(number) in (float, int) and x.array.dtype.kind == "f"


def _tensor_or_number(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x
    if isinstance(x, np.generic):
        return x.item()
    return x if type(x) in _NUMBERS else of_array(x)


def _common(a: Any, b: Any) -> np.dtype[Any]:
    weights = []
    for x in (a, b):
        dtype = x.array.dtype if isinstance(x, Tensor) else _scalar(x)
        priority = (2 if x.array.ndim else 1) if isinstance(x, Tensor) else 0
        weights.append((_RANK[dtype.kind], priority, dtype))
    (rank_a, priority_a, dtype_a), (rank_b, priority_b, dtype_b) = weights
    if rank_a != rank_b:
        return dtype_a if rank_a > rank_b else dtype_b
    if priority_a != priority_b:
        return dtype_a if priority_a > priority_b else dtype_b
    return np.promote_types(dtype_a, dtype_b)


def _scalar(x: Any) -> np.dtype[Any]:
    return _SCALAR[type(x)] if type(x) in _SCALAR else dtypes.default_float()


def common_dtype(tensors: Sequence[Tensor]) -> np.dtype[Any]:
    """The dtype that torch would put several tensors into: that of an operation on all of them."""
    first = tensors[0].array.dtype
    if all(x.array.dtype == first for x in tensors):
        return first
    weights = [(_RANK[x.array.dtype.kind], bool(x.array.ndim), x.array.dtype) for x in tensors]
    top = max(rank for rank, _, _ in weights)
    highest = [(axes, dtype) for rank, axes, dtype in weights if rank == top]
    counted = [dtype for axes, dtype in highest if axes] or [dtype for _, dtype in highest]
    found = counted[0]
    for dtype in counted[1:]:
        found = np.promote_types(found, dtype)
    return found
