"""Parts of matrices: triangles and diagonals."""

from __future__ import annotations

import operator

import numpy as np

from npnn.function import Function, View
from npnn.kernels.order import triangle
from npnn.ops import reductions, shape
from npnn.tensor import Tensor

__all__ = ["diag", "diag_embed", "diagflat", "diagonal", "trace", "tril", "triu"]


class Triangle(Function):
    """y = x below (or above) a diagonal, 0 elsewhere.   dx = dy there"""

    def forward(self, x, lower, diagonal):
        self.lower, self.diagonal = lower, diagonal
        return triangle(x, diagonal, lower)

    def backward(self, dy):
        return triangle(dy, self.diagonal, self.lower), None, None

    def again(self, v):
        return triangle(v, self.diagonal, self.lower)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The elements on and below a diagonal of the last two axes, 0 above."""
    _matrix("tril", input)
    return Triangle.apply(input, True, operator.index(diagonal))


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The elements on and above a diagonal of the last two axes, 0 below."""
    _matrix("triu", input)
    return Triangle.apply(input, False, operator.index(diagonal))


def _matrix(name: str, x: Tensor) -> None:
    if x.array.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")


class Diagonal(View):
    """y[..., i] = x[..., i, i + offset, ...].   dx = dy on the diagonal, 0 elsewhere"""

    def forward(self, x, offset, dim1, dim2):
        self.shape, self.at = x.shape, (offset, dim1, dim2)
        y = np.diagonal(x, offset, dim1, dim2)
        y.flags.writeable = x.flags.writeable
        return y

    def backward(self, dy):
        dx = np.zeros(self.shape, dy.dtype)
        place = np.diagonal(dx, *self.at)
        place.flags.writeable = True
        place[...] = dy
        return dx, None, None, None

    def again(self, v):
        return np.diagonal(v, *self.at)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two axes, as a last axis."""
    a, b = shape.axis_of(dim1, input.array.ndim), shape.axis_of(dim2, input.array.ndim)
    if a == b:
        raise RuntimeError("diagonal dimensions cannot be identical")
    return Diagonal.apply(input, offset, a, b)


class DiagEmbed(Function):
    """y = zeros with x on a diagonal of two new axes.   dx = dy there"""

    def forward(self, x, offset, dim1, dim2):
        self.given = offset, dim1, dim2
        n = x.shape[-1] + abs(offset)
        y = np.zeros((*x.shape[:-1], n, n), x.dtype)
        i = np.arange(x.shape[-1])
        self.rows, self.columns, self.axes = i + max(-offset, 0), i + max(offset, 0), (dim1, dim2)
        y[..., self.rows, self.columns] = x
        return np.moveaxis(y, (-2, -1), self.axes)

    def backward(self, dy):
        return np.moveaxis(dy, self.axes, (-2, -1))[..., self.rows, self.columns], None, None, None

    def again(self, v):
        return DiagEmbed().forward(v, *self.given)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The last axis on a diagonal of two new axes, 0 elsewhere."""
    return DiagEmbed.apply(input, offset, dim1, dim2)


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The matrix with a row on its diagonal, or the diagonal of a matrix (a copy)."""
    if input.array.ndim == 1:
        return diag_embed(input, diagonal)
    if input.array.ndim != 2:
        raise RuntimeError("diag(): Supports 1D or 2D tensors. Got " + f"{input.array.ndim}D")
    return Diagonal.apply(input, diagonal, 0, 1).clone()


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """All elements on the diagonal of a matrix."""
    return diag_embed(input.reshape(-1), offset)


def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal."""
    if input.array.ndim != 2:
        raise RuntimeError("trace: expected a matrix")
    return reductions.sum(Diagonal.apply(input, 0, 0, 1))
