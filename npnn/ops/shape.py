"""Operations that move elements without changing them.  Backward moves the gradient back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from npnn.errors import ShapeError
from npnn.ops.promotion import cast
from npnn.tensor import Function, Tensor

__all__ = [
    "cat", "chunk", "clone", "contiguous", "expand", "expand_as", "flatten", "flip", "permute", "repeat", "reshape",
    "split", "squeeze", "stack", "swapaxes", "t", "transpose", "unbind", "unflatten", "unsqueeze",
]  # fmt: skip


class Reshape(Function):
    """y = x with the same elements, in row-major order, in another shape.   dx = dy in x's shape"""

    def forward(self, x, shape):
        self.shape = x.shape
        return x.reshape(shape)

    def backward(self, dy):
        return dy.reshape(self.shape), None


class Permute(Function):
    """y = x with its axes in another order.   dx = dy with the order undone"""

    def forward(self, x, dims):
        self.dims = dims
        return x.transpose(dims)

    def backward(self, dy):
        return dy.transpose(np.argsort(self.dims)), None


class Expand(Function):
    """y = x repeated along axes of size 1, without copying.   dx = dy summed over them (the engine does it)"""

    def forward(self, x, shape):
        return np.broadcast_to(x, shape)

    def backward(self, dy):
        return dy, None


class Concatenate(Function):
    """y = the inputs one after the other along an axis.   dx = each one's piece of dy"""

    def forward(self, *arrays, dim):
        self.dim = dim
        self.ends = np.cumsum([a.shape[dim] for a in arrays])
        return np.concatenate(arrays, axis=dim)

    def backward(self, dy):
        return tuple(np.split(dy, self.ends[:-1], axis=self.dim))


class Flip(Function):
    """y = x read backwards along some axes.   dx = dy read backwards"""

    def forward(self, x, dims):
        self.dims = dims
        return np.flip(x, dims)

    def backward(self, dy):
        return np.flip(dy, self.dims), None


class Clone(Function):
    """y = a copy of x, in the memory order asked for.   dx = dy"""

    def forward(self, x, order):
        return x.copy(order=order)

    def backward(self, dy):
        return dy, None


def axis_of(dim: int, ndim: int) -> int:
    if not -ndim <= dim < ndim:
        raise IndexError(f"dimension out of range: expected {-ndim} to {ndim - 1}, got {dim}")
    return dim % ndim


def _sizes(args: tuple[Any, ...]) -> tuple[int, ...]:
    """f(2, 3), f((2, 3)) and f([2, 3]) mean the same."""
    given = args[0] if len(args) == 1 and isinstance(args[0], (tuple, list)) else args
    return tuple([int(n) for n in given])


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape; one size may be -1 and is then worked out."""
    sizes = _sizes(shape)
    try:
        return Reshape.apply(input, sizes)
    except ValueError:
        raise ShapeError(f"cannot reshape {input.shape} ({input.array.size} elements) to {sizes}") from None


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Axes start_dim to end_dim become one.   (N, C, H, W), start_dim=1 -> (N, C H W)"""
    ndim = max(input.array.ndim, 1)  # a single number counts as a row of one
    first, last = axis_of(start_dim, ndim), axis_of(end_dim, ndim)
    if first > last:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    shape = input.shape
    middle = int(np.prod(shape[first : last + 1]))
    return Reshape.apply(input, (*shape[:first], middle, *shape[last + 1 :]))


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One axis becomes several, of the given sizes."""
    axis = axis_of(dim, input.array.ndim)
    size, known = input.shape[axis], math.prod(n for n in sizes if n != -1)
    if -1 in sizes:
        sizes = [size // max(known, 1) if n == -1 else n for n in sizes]
    if math.prod(sizes) != size:
        raise ShapeError(f"unflatten: {tuple(sizes)} does not multiply up to the size {size} of axis {dim}")
    return reshape(input, *input.shape[:axis], *sizes, *input.shape[axis + 1 :])


def permute(input: Tensor, *dims: Any) -> Tensor:
    """The axes in the given order."""
    order = tuple([axis_of(d, input.array.ndim) for d in _sizes(dims)])
    if sorted(order) != list(range(input.array.ndim)):
        raise RuntimeError(f"permute: {_sizes(dims)} is not an order of the {input.array.ndim} axes")
    return Permute.apply(input, order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes exchanged."""
    order = list(range(input.array.ndim))
    a, b = axis_of(dim0, len(order)), axis_of(dim1, len(order))
    order[a], order[b] = order[b], order[a]
    return Permute.apply(input, tuple(order))


swapaxes = transpose


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix.   (M, N) -> (N, M)"""
    if input.array.ndim > 2:
        raise RuntimeError(f"t() needs a tensor of at most two axes, got {input.shape}: use transpose(dim0, dim1)")
    return Permute.apply(input, tuple(reversed(range(input.array.ndim))))


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Without the axes of size 1; or without the given ones, where their size is 1."""
    shape = input.shape
    if dim is None:
        chosen = set(range(len(shape)))
    else:
        chosen = {axis_of(d, len(shape)) for d in (dim if isinstance(dim, (tuple, list)) else [dim])}
    return Reshape.apply(input, tuple([n for i, n in enumerate(shape) if n != 1 or i not in chosen]))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new axis of size 1 at ``dim``."""
    at = axis_of(dim, input.array.ndim + 1)
    return Reshape.apply(input, (*input.shape[:at], 1, *input.shape[at:]))


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """Axes of size 1 repeated to the given sizes, without copying; -1 keeps a size."""
    wanted = _sizes(sizes)
    added = len(wanted) - input.array.ndim
    if added < 0:
        raise ShapeError(f"cannot expand {input.shape} to {wanted}: it has fewer axes")
    shape = tuple([input.shape[i - added] if n == -1 and i >= added else n for i, n in enumerate(wanted)])
    try:
        return Expand.apply(input, shape)
    except ValueError:
        raise ShapeError(f"cannot expand {input.shape} to {wanted}: only axes of size 1 can grow") from None


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """expand to the other's shape."""
    return expand(input, *other.shape)


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The whole tensor laid side by side, so many times along each axis."""
    times = _sizes(repeats)
    if len(times) < input.array.ndim:
        raise ShapeError(f"repeat needs a number for each of the {input.array.ndim} axes, got {times}")
    shape = (1,) * (len(times) - input.array.ndim) + input.shape
    pairs = [size for n, r in zip(shape, times, strict=True) for size in (r, n)]
    spread = expand(reshape(input, *[s for n in shape for s in (1, n)]), *pairs)  # (1, n, ...) -> (r, n, ...)
    return reshape(spread, *[n * r for n, r in zip(shape, times, strict=True)])


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along an axis; they must agree in all others."""
    if not tensors:
        raise RuntimeError("cat of an empty list of tensors")
    tensors = [x for x in tensors if x.shape != (0,)] or tensors[:1]  # as in torch, nothing goes with everything
    first = tensors[0]
    axis = axis_of(dim, first.array.ndim) if first.array.ndim else 0
    for x in tensors:
        if (
            x.array.ndim != first.array.ndim
            or not x.array.ndim
            or any(a != b for i, (a, b) in enumerate(zip(x.shape, first.shape, strict=True)) if i != axis)
        ):
            shapes = ", ".join(str(x.shape) for x in tensors)
            raise ShapeError(f"cat along dim {dim}: the shapes must agree in all other axes, got {shapes}")
    dtype = np.result_type(*[x.array.dtype for x in tensors])
    return Concatenate.apply(*[cast(x, dtype) for x in tensors], dim=axis)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new axis."""
    if not tensors:
        raise RuntimeError("stack of an empty list of tensors")
    if any(x.shape != tensors[0].shape for x in tensors):
        raise ShapeError(f"stack needs tensors of one shape, got {', '.join(str(x.shape) for x in tensors)}")
    return cat([unsqueeze(x, dim) for x in tensors], dim)


def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces of the given size (the last may be smaller), or of the given sizes, along an axis."""
    axis = axis_of(dim, tensor.array.ndim)
    n = tensor.shape[axis]
    if isinstance(split_size_or_sections, int):
        if split_size_or_sections < 1:
            raise RuntimeError(f"split needs a positive size, got {split_size_or_sections}")
        edges = [*range(0, n, split_size_or_sections), n] if n else [0, 0]
    else:
        edges = [0, *np.cumsum(split_size_or_sections).tolist()]
        if edges[-1] != n:
            raise RuntimeError(
                f"split sizes {list(split_size_or_sections)} do not add up to {n}, the size of dim {dim}"
            )
    before = (slice(None),) * axis
    return tuple([tensor[before + (slice(lo, hi),)] for lo, hi in pairwise(edges)])


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` pieces of equal size (the last may be smaller) along an axis."""
    if chunks < 1:
        raise RuntimeError(f"chunk needs a positive number of chunks, got {chunks}")
    n = input.shape[axis_of(dim, input.array.ndim)]
    return split(input, max(1, -(-n // chunks)), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis, each without it."""
    before = (slice(None),) * axis_of(dim, input.array.ndim)
    return tuple([input[before + (i,)] for i in range(input.shape[dim])])


def flip(input: Tensor, *dims: Any) -> Tensor:
    """Read backwards along the given axes."""
    axes = tuple([axis_of(d, input.array.ndim) for d in _sizes(dims)])
    if len(set(axes)) < len(axes):
        raise RuntimeError(f"flip: {_sizes(dims)} names an axis twice")
    return Flip.apply(input, axes)


def clone(input: Tensor) -> Tensor:
    """A copy that the gradient flows through."""
    return Clone.apply(input, "K")


def contiguous(input: Tensor) -> Tensor:
    """The tensor with its elements in row-major memory order; itself if they are so already."""
    return input if input.array.flags.c_contiguous else Clone.apply(input, "C")
