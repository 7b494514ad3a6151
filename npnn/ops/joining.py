"""Several tensors made one, and one made several."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from npnn.errors import ShapeError
from npnn.function import Function
from npnn.ops.promotion import cast, common_dtype
from npnn.ops.shape import axis_of, expand, reshape, transpose
from npnn.tensor import Tensor, of_array

__all__ = [
    "atleast_1d", "atleast_2d", "block_diag", "broadcast_tensors", "cat", "chunk", "column_stack", "concat",
    "concatenate", "hsplit", "hstack", "meshgrid", "row_stack", "split", "stack", "tensor_split", "unbind",
    "vsplit", "vstack",
]  # fmt: skip


class Concatenate(Function):
    """y = the inputs one after the other along an axis.   dx = each one's piece of dy"""

    def forward(self, *arrays, dim):
        self.before = (slice(None),) * dim
        self.ends = [0, *accumulate([a.shape[dim] for a in arrays])]
        return np.concatenate(arrays, axis=dim)

    def backward(self, dy):
        return tuple([dy[self.before + (slice(lo, hi),)] for lo, hi in pairwise(self.ends)])

    derivative = backward


class Stack(Function):
    """y = the inputs side by side along a new axis.   dx = each one's slice of dy"""

    def forward(self, *arrays, dim):
        self.before, self.count = (slice(None),) * dim, len(arrays)
        return np.concatenate([a[self.before + (None,)] for a in arrays], axis=dim)

    def backward(self, dy):
        return tuple([dy[self.before + (i,)] for i in range(self.count)])

    derivative = backward


class Nothing(Function):
    """y = the first input; the others are empty and take part for nothing.   dx = dy, 0 of no elements to the others"""

    def forward(self, y, *empty):
        self.count = len(empty)
        return y.copy("K")

    def backward(self, dy):
        return dy, *[np.zeros(0, dy.dtype)] * self.count

    derivative = backward


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
    given = list(tensors)
    if not given:
        raise RuntimeError("stack of an empty list of tensors")
    shape = given[0].array.shape
    if any(x.array.shape != shape for x in given):
        raise ShapeError(f"stack needs tensors of one shape, got {', '.join(str(x.shape) for x in given)}")
    dtype = common_dtype(given)
    return Stack.apply(*[cast(x, dtype) for x in given], dim=axis_of(dim, len(shape) + 1))


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
