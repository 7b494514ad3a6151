"""New tensors: filled, counted, or drawn at random."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn import dtypes
from npnn.random import generator
from npnn.tensor import Tensor

__all__ = [
    "arange", "empty", "empty_like", "eye", "from_numpy", "full", "full_like", "linspace", "ones", "ones_like", "rand",
    "randint", "randn", "randperm", "zeros", "zeros_like",
]  # fmt: skip


def _sizes(size: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else tuple(size)


def _float(dtype: Any) -> np.dtype[Any]:
    return dtypes.resolve(dtypes.float32 if dtype is None else dtype)


def from_numpy(array: NDArray[Any]) -> Tensor:
    """A Tensor that shares the array's memory and keeps its dtype."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy needs an array, got {type(array).__name__}")
    return Tensor(array)


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """All elements 0."""
    return Tensor(np.zeros(_sizes(size), _float(dtype)), requires_grad=requires_grad)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """All elements 1."""
    return Tensor(np.ones(_sizes(size), _float(dtype)), requires_grad=requires_grad)


def empty(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Elements as they happen to lie in memory, to be overwritten."""
    return Tensor(np.empty(_sizes(size), _float(dtype)), requires_grad=requires_grad)


def full(size: Any, fill_value: float, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """All elements ``fill_value``; without a dtype, float32, int64 or bool after the value."""
    return Tensor(np.full(size, fill_value, dtypes.as_array(fill_value, dtype).dtype), requires_grad=requires_grad)


def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the input's shape, dtype and memory order."""
    return Tensor(np.zeros_like(input.array, dtype), requires_grad=requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the input's shape, dtype and memory order."""
    return Tensor(np.ones_like(input.array, dtype), requires_grad=requires_grad)


def empty_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Unset elements in the input's shape, dtype and memory order."""
    return Tensor(np.empty_like(input.array, dtype), requires_grad=requires_grad)


def full_like(input: Tensor, fill_value: float, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """``fill_value`` in the input's shape, dtype and memory order."""
    return Tensor(np.full_like(input.array, fill_value, dtype), requires_grad=requires_grad)


def arange(start: float, end: float | None = None, step: float = 1, *, dtype: Any = None) -> Tensor:
    """start, start + step, ... up to but without end; int64 for integers, else float32."""
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) * step < 0:
        raise RuntimeError(f"arange: no step of {step} leads from {start} to {end}")
    whole = all(isinstance(x, (int, np.integer)) for x in (start, end, step))
    kind = dtypes.resolve(dtype) if dtype is not None else dtypes.int64 if whole else dtypes.float32
    return Tensor(np.arange(start, end, step).astype(kind))


def linspace(start: float, end: float, steps: int, *, dtype: Any = None) -> Tensor:
    """``steps`` equally spaced numbers from start to end, both included."""
    return Tensor(np.linspace(start, end, steps).astype(_float(dtype)))


def eye(n: int, m: int | None = None, *, dtype: Any = None) -> Tensor:
    """Ones on the diagonal, zeros elsewhere.   (n, m)"""
    return Tensor(np.eye(n, m, dtype=_float(dtype)))


def rand(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform in [0, 1)."""
    return Tensor(generator().random(_sizes(size), _float(dtype)), requires_grad=requires_grad)


def randn(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Standard normal."""
    return Tensor(generator().standard_normal(_sizes(size), _float(dtype)), requires_grad=requires_grad)


def randint(low: int, high: int, size: Any, *, dtype: Any = dtypes.int64) -> Tensor:
    """Whole numbers from low to high - 1."""
    return Tensor(generator().integers(low, high, size).astype(dtypes.resolve(dtype)))


def randperm(n: int) -> Tensor:
    """The numbers 0 to n - 1 in random order."""
    return Tensor(generator().permutation(n))
