"""Operations that move elements without changing them.  Backward moves the gradient back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from npnn import dtypes
from npnn.errors import ShapeError
from npnn.ops.promotion import cast, common_dtype
from npnn.tensor import Function, Tensor, View, of_array

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "block_diag",
    "broadcast_tensors",
    "broadcast_to",
    "cat",
    "chunk",
    "clone",
    "column_stack",
    "concat",
    "concatenate",
    "contiguous",
    "detach",
    "expand",
    "expand_as",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "hsplit",
    "hstack",
    "meshgrid",
    "moveaxis",
    "movedim",
    "narrow",
    "permute",
    "ravel",
    "repeat",
    "reshape",
    "reshape_as",
    "roll",
    "rot90",
    "row_stack",
    "select",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "swapdims",
    "t",
    "tensor_split",
    "tile",
    "transpose",
    "unbind",
    "unflatten",
    "unfold",
    "unsqueeze",
    "view",
    "view_as",
    "vsplit",
    "vstack",
]  # fmt: skip


class Reshape(View):
    """y = x with the same elements, in row-major order, in another shape.   dx = dy in x's shape"""

    def forward(self, x, shape):
        self.shape = x.shape
        return x.reshape(shape)

    def backward(self, dy):
        return dy.reshape(self.shape), None


class Permute(View):
    """y = x with its axes in another order.   dx = dy with the order undone"""

    def forward(self, x, dims):
        self.dims = dims
        return x.transpose(dims)

    def backward(self, dy):
        return dy.transpose(np.argsort(self.dims)), None


class Expand(View):
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
        return np.flip(x, dims).copy()

    def backward(self, dy):
        return np.flip(dy, self.dims), None


class Roll(Function):
    """y = x with its elements moved on along some axes, those that leave at one end entering at the other.   dx = back"""

    def forward(self, x, shifts, dims):
        self.shifts, self.dims = shifts, dims
        return np.roll(x, shifts, dims)

    def backward(self, dy):
        return np.roll(dy, tuple(-n for n in self.shifts), self.dims), None, None


class Windows(View):
    """y[..., i, ..., j] = x[..., i · step + j, ...]: windows along an axis, their elements along a new last one.

    dx = dy added up where windows overlap.
    """

    def forward(self, x, dim, size, step):
        self.shape, self.dim, self.step = x.shape, dim, step
        windows = np.lib.stride_tricks.sliding_window_view(x, size, dim, writeable=True)
        return windows[(slice(None),) * dim + (slice(None, None, step),)]

    def backward(self, dy):
        dx = np.zeros(self.shape, dy.dtype)
        count, size = dy.shape[self.dim], dy.shape[-1]
        along = np.moveaxis(dx, self.dim, 0)
        for j in range(size):
            along[j : j + count * self.step : self.step] += np.moveaxis(dy[..., j], self.dim, 0)
        return dx, None, None, None


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


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """Axes of size 1 repeated to the given sizes, without copying; -1 keeps a size."""
    wanted = _sizes(sizes)
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


class Nothing(Function):
    """y = the first input; the others are empty and take part for nothing.   dx = dy, 0 of no elements to the others"""

    def forward(self, y, *empty):
        self.count = len(empty)
        return y.copy("K")

    def backward(self, dy):
        return dy, *[np.zeros(0, dy.dtype)] * self.count


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along an axis; they must agree in all others.

    An empty tensor of shape (0,) goes with everything.  Different dtypes are promoted as in arithmetic.
    Errors: RuntimeError for no tensors; ShapeError for other shapes.
    """
    given = list(tensors)
    if not given:
        raise RuntimeError("torch.cat(): expected a non-empty list of Tensors")
    dtype = common_dtype(given)
    given = [cast(x, dtype) for x in given]
    empty = [x for x in given if x.array.shape == (0,)]
    tensors = [x for x in given if x.array.shape != (0,)]
    if empty and tensors and any(x.requires_grad for x in empty):
        return Nothing.apply(cat(tensors, dim), *empty)
    tensors = tensors or given
    first = tensors[0]
    axis = axis_of(dim, first.array.ndim) if first.array.ndim else 0
    for x in tensors if len(tensors) > 1 or first.array.ndim == 0 else ():
        if (
            x.array.ndim != first.array.ndim
            or not x.array.ndim
            or any(a != b for i, (a, b) in enumerate(zip(x.shape, first.shape, strict=True)) if i != axis)
        ):
            shapes = ", ".join(str(x.shape) for x in tensors)
            raise ShapeError(f"cat along dim {dim}: the shapes must agree in all other axes, got {shapes}")
    return Concatenate.apply(*tensors, dim=axis)


concat = concatenate = cat


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new axis."""
    if not tensors:
        raise RuntimeError("stack of an empty list of tensors")
    if any(x.shape != tensors[0].shape for x in tensors):
        raise ShapeError(f"stack needs tensors of one shape, got {', '.join(str(x.shape) for x in tensors)}")
    return cat([unsqueeze(x, dim) for x in tensors], dim)


def _rows(tensors: Sequence[Tensor], least: int) -> list[Tensor]:
    return [t if t.array.ndim >= least else reshape(t, *(1,) * (least - t.array.ndim), *t.array.shape) for t in tensors]


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Side by side: along the second axis, rows along the first."""
    parts = _rows(tensors, 1)
    return cat(parts, 0 if parts[0].array.ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """One below the other: along the first axis, rows as matrices of one row."""
    return cat(_rows(tensors, 2), 0)


row_stack = vstack


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Side by side, rows as columns."""
    return hstack([reshape(t, -1, 1) if t.array.ndim <= 1 else t for t in tensors])


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinates of the points of a grid, one tensor for each axis; ``indexing="xy"`` exchanges the first two."""
    rows = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else list(tensors)
    swap = indexing == "xy" and len(rows) > 1
    if swap:
        rows[:2] = rows[1::-1]
    shape = [r.numel() for r in rows]
    grids = [expand(reshape(r, *[-1 if i == j else 1 for j in range(len(rows))]), *shape) for i, r in enumerate(rows)]
    if swap:
        grids = [transpose(g, 0, 1) for g in (grids[1], grids[0], *grids[2:])]
    return tuple(grids)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All expanded to their common shape."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    shape = np.broadcast_shapes(*[t.array.shape for t in given])
    return tuple([expand(t, *shape) for t in given])


def atleast_1d(input: Any) -> Tensor:
    """input, a number as a row of one."""
    return input if input.array.ndim else reshape(input, 1)


def atleast_2d(input: Any) -> Tensor:
    """input, a row as a matrix of one row."""
    return _rows([input], 2)[0]


def block_diag(*tensors: Tensor) -> Tensor:
    """The matrices along the diagonal, zeros elsewhere."""
    blocks = _rows(tensors, 2)
    height, width = (sum(b.array.shape[i] for b in blocks) for i in (0, 1))
    out = of_array(np.zeros((height, width), blocks[0].array.dtype))
    row = column = 0
    for b in blocks:
        m, n = b.array.shape
        out[row : row + m, column : column + n] = b
        row, column = row + m, column + n
    return out


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
    return _together([tensor[before + (slice(lo, hi),)] for lo, hi in pairwise(edges)])


def _together(views: list[Tensor]) -> tuple[Tensor, ...]:
    """Views that one call cut: PyTorch lets nobody change them in place while a graph is recorded."""
    for view in views:
        if view._view is not None and view._view.base is not None:
            view._view.several = True
    return tuple(views)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` pieces of equal size (the last may be smaller) along an axis."""
    if chunks < 1:
        raise RuntimeError(f"chunk needs a positive number of chunks, got {chunks}")
    n = input.shape[axis_of(dim, input.array.ndim)]
    return split(input, max(1, -(-n // chunks)), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis, each without it."""
    before = (slice(None),) * axis_of(dim, input.array.ndim)
    return _together([input[before + (i,)] for i in range(input.array.shape[dim])])


def flip(input: Tensor, *dims: Any) -> Tensor:
    """Read backwards along the given axes."""
    axes = tuple([axis_of(d, input.array.ndim) for d in _sizes(dims)])
    if len(set(axes)) < len(axes):
        raise RuntimeError(f"flip: {_sizes(dims)} names an axis twice")
    return Flip.apply(input, axes)


def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy that the gradient flows through."""
    return Clone.apply(input, "K")


def detach(input: Tensor) -> Tensor:
    """The same memory, outside the graph."""
    return input.detach()


def view(input: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape; or, for a dtype of the same size, the same bytes read in it."""
    if len(shape) == 1 and not isinstance(shape[0], (int, tuple, list, np.integer, Tensor)):
        return of_array(input.array.view(dtypes.resolve(shape[0])))
    return reshape(input, *shape)


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


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """The elements moved on along the axes, round the corner; of all in one row without ``dims``."""
    moves = tuple(shifts) if isinstance(shifts, (tuple, list)) else (shifts,)
    if dims is None or dims in ((), []):
        if len(moves) != 1:
            raise RuntimeError("roll: shifts and dimensions must align")
        return Roll.apply(ravel(input), moves, (0,)).reshape(input.array.shape)
    axes = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    if len(axes) != len(moves):
        raise RuntimeError("roll: shifts and dimensions must align")
    if not input.array.ndim:
        raise IndexError("roll: a tensor without axes has none to move along")
    return Roll.apply(input, moves, tuple([axis_of(d, input.array.ndim) for d in axes]))


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by k quarters in the plane of two axes, from the first towards the second."""
    a, b = (axis_of(d, input.array.ndim) for d in dims)
    if a == b:
        raise RuntimeError("rot90: the two axes must differ")
    if k % 4 == 0:
        return clone(input)
    if k % 4 == 2:
        return flip(input, a, b)
    return flip(transpose(input, a, b), a) if k % 4 == 1 else transpose(flip(input, a), a, b)


def fliplr(input: Tensor) -> Tensor:
    """Read backwards along the second axis."""
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """Read backwards along the first axis."""
    return flip(input, 0)


def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """So many nearly equal pieces along an axis, or the pieces between the given places."""
    axis = axis_of(dim, input.array.ndim)
    n = input.array.shape[axis]
    given = indices_or_sections.tolist() if isinstance(indices_or_sections, Tensor) else indices_or_sections
    if isinstance(given, int):
        sizes = [n // given + (i < n % given) for i in range(given)]
        edges = [0, *np.cumsum(sizes).tolist()]
    else:
        edges = [0, *[min(max(e + n if e < 0 else e, 0), n) for e in given], n]
    before = (slice(None),) * axis
    return _together([input[before + (slice(lo, max(lo, hi)),)] for lo, hi in pairwise(edges)])


def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """tensor_split along the second axis (the first of a row)."""
    return tensor_split(input, indices_or_sections, 0 if input.array.ndim == 1 else 1)


def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """tensor_split along the first axis."""
    return tensor_split(input, indices_or_sections, 0)


def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor with its elements in row-major memory order; itself if they are so already."""
    return input if input.array.flags.c_contiguous else Clone.apply(input, "C")
