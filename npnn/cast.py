"""From one dtype to another, and the gradient back."""

from __future__ import annotations

from typing import Any

from npnn import dtypes
from npnn.function import Function
from npnn.tensor import Tensor

__all__ = ["Cast", "as_float", "cast"]


class Cast(Function):
    """y = x in another dtype.   dx = dy in x's dtype (the engine casts)."""

    def forward(self, x, dtype):
        return x.astype(dtype)

    def backward(self, dy):
        return dy, None

    derivative = backward


def cast(x: Tensor, dtype: Any) -> Tensor:
    """The tensor in another dtype; the tensor itself if it has that dtype already."""
    dtype = dtypes.resolve(dtype)
    return x if x.array.dtype == dtype else Cast.apply(x, dtype)


def as_float(x: Tensor) -> Tensor:
    """Integers and booleans as float32, for functions whose results are not whole numbers."""
    return x if x.array.dtype.kind == "f" else cast(x, dtypes.default_float())
