"""Operations that move elements without changing them.  Backward moves the gradient back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from npnn import dtypes
from npnn.errors import ShapeError
from npnn.function import Function, View
from npnn.tensor import Tensor, of_array

__all__ = [
    "broadcast_to", "clone", "contiguous", "detach", "expand", "expand_as", "flatten", "moveaxis", "movedim",
    "narrow", "permute", "ravel", "repeat", "reshape", "reshape_as", "select", "squeeze", "swapaxes", "swapdims",
    "t", "tile", "transpose", "unflatten", "unfold", "unsqueeze", "view", "view_as",
]  # fmt: skip


class Reshape(View):
    """y = x with the same elements, in row-major order, in another shape.   dx = dy in x's shape"""

    def forward(self, x, shape):
        self.shape = x.shape
        return x.reshape(shape)

    def backward(self, dy):
        return dy.reshape(self.shape), None

    derivative = backward


class Permute(View):
    """y = x with its axes in another order.   dx = dy with the order undone"""

    def forward(self, x, dims):
        self.dims = dims
        return x.transpose(dims)

    def backward(self, dy):
        return dy.transpose(np.argsort(self.dims)), None

    def derivative(self, dy):
        return dy.permute(*np.argsort(self.dims)), None


class Expand(View):
    """y = x repeated along axes of size 1, without copying.   dx = dy summed over them (the engine does it)"""

    def forward(self, x, shape):
        return np.broadcast_to(x, shape)

    def backward(self, dy):
        return dy, None

    derivative = backward


class Windows(View):
    """y[..., i, ..., j] = x[..., i · step + j, ...]: windows along an axis, their elements along a new last one.

    dx = dy added up where windows overlap.
    """

    def forward(self, x, dim, size, step):
        self.shape, self.dim, self.size, self.step = x.shape, dim, size, step
        windows = np.lib.stride_tricks.sliding_window_view(x, size, dim, writeable=True)
        return windows[(slice(None),) * dim + (slice(None, None, step),)]

    def backward(self, dy):
        dx = np.zeros(self.shape, dy.dtype)
        count, size = dy.shape[self.dim], dy.shape[-1]
        along = np.moveaxis(dx, self.dim, 0)
        for j in range(size):
            along[j : j + count * self.step : self.step] += np.moveaxis(dy[..., j], self.dim, 0)
        return dx, None, None, None

    def again(self, v):
        return Windows().forward(v, self.dim, self.size, self.step)


class Clone(Function):
    """y = a copy of x, in the memory order asked for.   dx = dy"""

    def forward(self, x, order):
        return x.copy(order=order)

    def backward(self, dy):
        return dy, None

    derivative = backward


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
        raise ShapeError(f"cannot reshape {input.array.shape} ({input.array.size} elements) to {sizes}") from None


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
    a, b = axis_of(dim0, len(order) or 1), axis_of(dim1, len(order) or 1)
    if not order:
        return Permute.apply(input, ())
    order[a], order[b] = order[b], order[a]
    return Permute.apply(input, tuple(order))


swapaxes = swapdims = transpose


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix.   (M, N) -> (N, M)"""
    if input.array.ndim > 2:
        raise RuntimeError(
            f"t() needs a tensor of at most two axes, got {input.array.shape}: use transpose(dim0, dim1)"
        )
    return Permute.apply(input, tuple(reversed(range(input.array.ndim))))


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Without the axes of size 1; or without the given ones, where their size is 1."""
    shape = input.shape
    if dim is None:
        chosen = set(range(len(shape)))
    else:
        chosen = {axis_of(d, len(shape) or 1) for d in (dim if isinstance(dim, (tuple, list)) else [dim])}
    return Reshape.apply(input, tuple([n for i, n in enumerate(shape) if n != 1 or i not in chosen]))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new axis of size 1 at ``dim``."""
    at = axis_of(dim, input.array.ndim + 1)
    return Reshape.apply(input, (*input.shape[:at], 1, *input.shape[at:]))


def expand(input: Tensor, *size: Any) -> Tensor:
    """Axes of size 1 repeated to the given sizes, without copying; -1 keeps a size."""
    wanted = _sizes(size)
    added = len(wanted) - input.array.ndim
    if added < 0:
        raise ShapeError(f"cannot expand {input.array.shape} to {wanted}: it has fewer axes")
    shape = tuple([input.shape[i - added] if n == -1 and i >= added else n for i, n in enumerate(wanted)])
    try:
        return Expand.apply(input, shape)
    except ValueError:
        raise ShapeError(f"cannot expand {input.array.shape} to {wanted}: only axes of size 1 can grow") from None


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


def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy that the gradient flows through."""
    return Clone.apply(input, "K")


def detach(input: Tensor) -> Tensor:
    """The same memory, outside the graph."""
    return input.detach()


def view(input: Tensor, *size: Any, dtype: Any = None) -> Tensor:
    """The same elements in another shape; or, for a dtype of the same size, the same bytes read in it."""
    if len(size) == 1 and not isinstance(size[0], (int, tuple, list, np.integer, Tensor)):
        (dtype,) = size
    if dtype is not None:
        return of_array(input.array.view(dtypes.resolve(dtype)))
    return reshape(input, *size)


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """input in the other's shape."""
    return reshape(input, *other.array.shape)


reshape_as = view_as


def ravel(input: Tensor) -> Tensor:
    """All elements in one row."""
    return reshape(input, -1)


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Some axes moved to other places, the rest in its order."""
    ndim = input.array.ndim
    one = isinstance(source, int)
    if one != isinstance(destination, int) or (not one and len(source) != len(destination)):
        raise RuntimeError("movedim: source and destination must name as many axes")
    old = [axis_of(d, ndim) for d in ([source] if one else source)]
    new = [axis_of(d, ndim) for d in ([destination] if one else destination)]
    if len(set(old)) < len(old) or len(set(new)) < len(new):
        raise RuntimeError("movedim: repeated dim in source or destination")
    order = [a for a in range(ndim) if a not in old]
    for at, axis in sorted(zip(new, old, strict=True)):
        order.insert(at, axis)
    return Permute.apply(input, tuple(order))


moveaxis = movedim


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """``length`` slices along an axis, from ``start`` on.   Errors: IndexError, RuntimeError for what is not there."""
    if isinstance(start, Tensor) and (start.array.ndim or start.array.dtype.kind not in "iu"):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    axis, start = axis_of(dim, input.array.ndim), int(start)
    n = input.array.shape[axis]
    if not -n <= start <= n:
        raise IndexError(f"narrow: start {start} is out of range for an axis of {n}")
    start += n if start < 0 else 0
    if length < 0 or start + length > n:
        raise RuntimeError(f"narrow: start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return input[(slice(None),) * axis + (slice(start, start + length),)]


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice number ``index`` along an axis, without the axis."""
    return input[(slice(None),) * axis_of(dim, input.array.ndim) + (int(index),)]


def broadcast_to(input: Tensor, size: Any) -> Tensor:
    """expand, as a function."""
    return expand(input, *_sizes((size,)))


def tile(input: Tensor, *dims: Any) -> Tensor:
    """repeat, where missing numbers stand for 1."""
    times = _sizes(dims)
    return repeat(input, *(1,) * (input.array.ndim - len(times)), *times)


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of ``size`` elements along an axis, ``step`` apart, their elements along a new last axis."""
    axis = axis_of(dimension, max(input.array.ndim, 1))
    if step < 1 or size < 0 or size > (input.array.shape[axis] if input.array.ndim else 1):
        raise RuntimeError(f"unfold: size {size} and step {step} do not go with an axis of {input.array.shape}")
    return Windows.apply(input if input.array.ndim else unsqueeze(input, 0), axis, size, step)


def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor with its elements in row-major memory order; itself if they are so already."""
    return input if input.array.flags.c_contiguous else Clone.apply(input, "C")
