"""New tensors: filled or counted.  Random ones are in ``drawing``.

All take ``dtype``, ``device`` (the CPU) and ``requires_grad`` as in torch; ``layout`` and ``pin_memory`` are accepted.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn import dtypes
from npnn.device import check_device
from npnn.tensor import Tensor, of_array

__all__ = [
    "arange", "as_tensor", "asarray", "complex", "empty", "empty_like", "eye", "from_numpy", "full", "full_like",
    "is_floating_point", "is_tensor", "linspace", "logspace", "numel", "ones", "ones_like", "result_type",
    "scalar_tensor", "tril_indices", "triu_indices", "zeros", "zeros_like",
]  # fmt: skip


def sizes_of(size: tuple[Any, ...]) -> tuple[int, ...]:
    """f(2, 3), f((2, 3)) and f([2, 3]) mean the same."""
    given = size[0] if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    return tuple([operator.index(n) for n in given])


def _float(dtype: Any) -> np.dtype[Any]:
    return dtypes.default_float() if dtype is None else dtypes.resolve(dtype)


def _made(array: NDArray[Any], device: Any, requires_grad: bool) -> Tensor:
    check_device(device)
    return of_array(array, requires_grad=requires_grad)


def from_numpy(array: NDArray[Any]) -> Tensor:
    """A Tensor that shares the array's memory and keeps its dtype."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy needs an array, got {type(array).__name__}")
    return of_array(array)


def zeros(
    *size: Any, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """All elements 0."""
    return _made(np.zeros(sizes_of(size), _float(dtype)), device, requires_grad)


def ones(
    *size: Any, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """All elements 1."""
    return _made(np.ones(sizes_of(size), _float(dtype)), device, requires_grad)


def empty(
    *size: Any, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Elements as they happen to lie in memory, to be overwritten."""
    return _made(np.empty(sizes_of(size), _float(dtype)), device, requires_grad)


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """All elements ``fill_value``; without a dtype, float32, int64 or bool after the value."""
    value = dtypes.as_array(fill_value, dtype)
    return _made(np.full(sizes_of((size,)), value, value.dtype), device, requires_grad)


def zeros_like(
    input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    memory_format: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Zeros in the input's shape, dtype and memory order."""
    return _made(np.zeros_like(input.array, None if dtype is None else dtypes.resolve(dtype)), device, requires_grad)


def ones_like(
    input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    memory_format: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Ones in the input's shape, dtype and memory order."""
    return _made(np.ones_like(input.array, None if dtype is None else dtypes.resolve(dtype)), device, requires_grad)


def empty_like(
    input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    memory_format: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Unset elements in the input's shape, dtype and memory order."""
    return _made(np.empty_like(input.array, None if dtype is None else dtypes.resolve(dtype)), device, requires_grad)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, memory_format: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """``fill_value`` in the input's shape, dtype and memory order."""
    kind = None if dtype is None else dtypes.resolve(dtype)
    return _made(np.full_like(input.array, fill_value, kind), device, requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, ... up to but without end; int64 for integers, else float32."""
    if end is None:
        start, end = 0, start
    start, end, step = (x.item() if isinstance(x, (Tensor, np.generic)) else x for x in (start, end, step))
    if step == 0 or (end - start) * step < 0:
        raise RuntimeError(f"arange: no step of {step} leads from {start} to {end}")
    whole = all(isinstance(x, (int, np.integer)) for x in (start, end, step))
    kind = dtypes.resolve(dtype) if dtype is not None else dtypes.int64 if whole else dtypes.default_float()
    return _made(np.arange(start, end, step).astype(kind), device, requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """``steps`` equally spaced numbers from start to end, both included: counted from the nearer end."""
    kind = _float(dtype)
    if steps < 2 or kind.kind != "f":
        return _made(np.linspace(start, end, steps).astype(kind), device, requires_grad)
    first, last, i = kind.type(start), kind.type(end), np.arange(steps)
    step = (last - first) / kind.type(steps - 1)
    near = i < steps // 2
    values = np.where(near, first + step * i.astype(kind), last - step * (steps - 1 - i).astype(kind))
    return _made(values.astype(kind), device, requires_grad)


def logspace(
    start: float, end: float, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """``steps`` numbers from base^start to base^end, each the same multiple of the one before."""
    return _made(np.logspace(start, end, steps, base=base).astype(_float(dtype)), device, requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Ones on the diagonal, zeros elsewhere.   (n, m)"""
    return _made(np.eye(n, m, dtype=_float(dtype)), device, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` as a Tensor, without copying where that is possible."""
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    return of_array(dtypes.as_array(data, dtype))


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """as_tensor, with a copy if asked."""
    out = as_tensor(obj, dtype, device)
    out = out.detach().clone() if copy else out
    return out.requires_grad_() if requires_grad else out


def scalar_tensor(
    s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A number as a tensor without axes, float32."""
    return _made(np.array(s, _float(dtype)), device, requires_grad)


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = dtypes.int64, device: Any = None, layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """The places on and below a diagonal: a row of rows and a row of columns."""
    return _made(np.stack(np.tril_indices(row, offset, col)).astype(dtypes.resolve(dtype)), device, False)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = dtypes.int64, device: Any = None, layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """The places on and above a diagonal: a row of rows and a row of columns."""
    return _made(np.stack(np.triu_indices(row, offset, col)).astype(dtypes.resolve(dtype)), device, False)


def is_tensor(obj: Any) -> bool:
    """True for a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """True for float32 and float64."""
    return input.array.dtype.kind == "f"


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.array.size


def result_type(tensor1: Any, tensor2: Any) -> Any:
    """The dtype of an operation on both."""
    from npnn.ops.promotion import operands  # late: it is the one place that needs it

    pair = operands(tensor1, tensor2)
    return dtypes.OF[np.result_type(*[x.array if isinstance(x, Tensor) else x for x in pair])]


def complex(real: Any, imag: Any) -> Any:
    """Errors: TypeError: tensors hold no complex numbers."""
    raise TypeError(f"tensors hold {', '.join(dtypes.DTYPES)}: no complex numbers")
