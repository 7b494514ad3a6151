"""Names that scripts use now and then: memory looked at by strides, slices put in place, windows, questions about dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from npnn import dtypes
from npnn.inplace import AsStrided
from npnn.ops import creation
from npnn.ops.comparison import asked
from npnn.ops.indexing import Put
from npnn.ops.joining import cat, tensor_split
from npnn.ops.promotion import operands
from npnn.ops.shape import axis_of, reshape, transpose
from npnn.tensor import Tensor, of_array

__all__ = [
    "adjoint", "as_strided", "atleast_3d", "bitwise_left_shift", "bitwise_right_shift", "can_cast", "conj", "dsplit",
    "dstack", "frombuffer", "hamming_window", "hann_window", "is_complex", "is_nonzero", "is_same_size", "is_signed",
    "promote_types", "real", "select_scatter", "slice_scatter", "unravel_index",
]  # fmt: skip


def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """The memory of ``input`` looked at in another way: element (i, j, ...) is the one at offset + i stride₀ + j stride₁ ...

    Strides are counted in elements.  Gradients add up where an element is seen twice.
    Errors: RuntimeError for places outside of the tensor's memory.
    """
    if not input.array.flags.c_contiguous:
        raise RuntimeError("as_strided needs a tensor whose elements lie in order: call contiguous() first")
    offset = storage_offset or 0
    reach = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if min(size, default=1) > 0 and not (
        min(stride, default=0) >= 0 and offset >= 0 and reach < max(input.array.size, 1)
    ):
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset} are out of bounds for a "
            f"storage of {input.array.size} elements"
        )
    item = input.array.itemsize
    flat = input.array.reshape(-1)[offset:]
    view = np.lib.stride_tricks.as_strided(flat, tuple(size), tuple([s * item for s in stride]))
    return AsStrided.apply(input, view)  # type: ignore[no-any-return]


def adjoint(input: Tensor) -> Tensor:
    """The last two axes exchanged, of real numbers."""
    return transpose(input, -2, -1)


def real(input: Tensor) -> Tensor:
    """The tensor itself: its numbers are real."""
    return input


def conj(input: Tensor) -> Tensor:
    """The tensor itself: its numbers are real."""
    return input


def is_complex(input: Tensor) -> bool:
    """False: there are no complex numbers."""
    return False


def is_signed(input: Tensor) -> bool:
    """True unless the dtype is uint8 or bool's like: whether it has negative numbers."""
    return input.array.dtype.kind in "fi"


def is_nonzero(input: Tensor) -> bool:
    """Whether the single element is not 0.  Errors: RuntimeError unless there is one."""
    if input.array.size != 1:
        raise RuntimeError(f"Boolean value of Tensor with {input.array.size} values is ambiguous")
    return bool(input.array.item())


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether both have one shape."""
    return input.array.shape == other.array.shape


def promote_types(type1: Any, type2: Any) -> Any:
    """The dtype of an operation on tensors of both."""
    a, b = (of_array(np.empty(1, dtypes.resolve(t))) for t in (type1, type2))
    return dtypes.OF[operands(a, b)[0].array.dtype]


def can_cast(from_: Any, to: Any) -> bool:
    """Whether in-place operations put numbers of one dtype into another: floats not into integers, those not into bool."""
    rank = {"b": 0, "u": 1, "i": 1, "f": 2}
    return rank[dtypes.resolve(from_).kind] <= rank[dtypes.resolve(to).kind]


def bitwise_left_shift(input: Any, other: Any) -> Tensor:
    """input · 2^other, of integers"""
    return asked(np.left_shift, *operands(input, other))


def bitwise_right_shift(input: Any, other: Any) -> Tensor:
    """⌊input / 2^other⌋, of integers"""
    return asked(np.right_shift, *operands(input, other))


def atleast_3d(input: Tensor) -> Tensor:
    """input with at least three axes: (), (N,), (M, N) -> (1, 1, 1), (1, N, 1), (M, N, 1)"""
    shape = input.array.shape
    if len(shape) > 2:
        return input
    return reshape(input, *{0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}[len(shape)])


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """One behind the other: along the third axis, those with fewer as atleast_3d makes them."""
    return cat([atleast_3d(t) for t in tensors], 2)


def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """tensor_split along the third axis.   Errors: RuntimeError for fewer axes."""
    if input.array.ndim < 3:
        raise RuntimeError(f"torch.dsplit requires a tensor with at least 3 dimension, but got {input.array.ndim}")
    return tensor_split(input, indices_or_sections, 2)


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """input with ``src`` in the place of the slice ``index`` along ``dim``.   src has the shape of that slice"""
    axis = axis_of(dim, input.array.ndim)
    return _put(input, src, (*(slice(None),) * axis, index))


def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """input with ``src`` in the place of input[start:end:step] along ``dim``.   src has the shape of those slices"""
    axis = axis_of(dim, input.array.ndim)
    return _put(input, src, (*(slice(None),) * axis, slice(start, end, step)))


def _put(input: Tensor, src: Tensor, index: Any) -> Tensor:
    expected = input.array[index].shape
    if src.array.shape != expected:
        raise RuntimeError(
            f"expected src to have a size equal to the slice {list(expected)}, got {list(src.array.shape)}"
        )
    return Put.apply(input, src, index, False)  # type: ignore[no-any-return]


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Places in a tensor read as one row, as places along each axis of ``shape``."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    return tuple([of_array(np.asarray(i, np.int64)) for i in np.unravel_index(indices.array, sizes)])


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A tensor on the memory of bytes, an array or the like, ``count`` elements from byte ``offset`` on."""
    return of_array(np.frombuffer(buffer, dtypes.resolve(dtype), count, offset), requires_grad=requires_grad)


def _window(name: str, n: int, periodic: bool, a: float, b: float, options: dict[str, Any]) -> Tensor:
    """a - b cos(2π i / m): m is n, so that windows follow on each other, or n - 1, so that both ends are equal."""
    unknown = set(options) - {"dtype", "layout", "device", "requires_grad", "pin_memory"}
    if unknown:
        raise TypeError(f"{name}() got an unexpected keyword argument '{unknown.pop()}'")
    values = a - b * np.cos(2 * np.pi * np.arange(n) / max(n if periodic else n - 1, 1)) if n != 1 else np.ones(1)
    made = creation.as_tensor(values, options.get("dtype") or dtypes.default_float(), options.get("device"))
    return made.requires_grad_() if options.get("requires_grad") else made


def hann_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """(1 - cos(2π i / n)) / 2   (n,)   ``dtype``, ``device``, ``requires_grad`` as for ones."""
    return _window("hann_window", window_length, periodic, 0.5, 0.5, options)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, **options: Any
) -> Tensor:
    """α - β cos(2π i / n)   (n,)   ``dtype``, ``device``, ``requires_grad`` as for ones."""
    return _window("hamming_window", window_length, periodic, alpha, beta, options)
