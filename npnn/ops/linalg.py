"""Matrix products, and norms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn.errors import DtypeError, ShapeError
from npnn.kernels import blas
from npnn.ops import reductions
from npnn.ops.promotion import cast, operands
from npnn.tensor import Function, Tensor

__all__ = ["bmm", "dot", "matmul", "mm", "norm", "outer"]


def _product(a, b, trans_a=False, trans_b=False):
    """op(a) op(b) over the last two axes; leading axes broadcast."""
    if a.ndim == b.ndim == 2:
        return blas.matmul(a, b, trans_a, trans_b)
    return np.matmul(a.swapaxes(-1, -2) if trans_a else a, b.swapaxes(-1, -2) if trans_b else b)


class MatMul(Function):
    """y = a b.   a (*, M, K), b (*, K, N) -> y (*, M, N);   * are batch axes, which broadcast

    da = dy bᵀ        (*, M, N) (*, N, K) -> (*, M, K)
    db = aᵀ dy        (*, K, M) (*, M, N) -> (*, K, N)
    """

    def forward(self, a, b):
        self.a, self.b = a, b
        return _product(a, b)

    def backward(self, dy):
        need_a, need_b = self.needs_grad
        da = _product(dy, self.b, trans_b=True) if need_a else None
        db = _product(self.a, dy, trans_a=True) if need_b else None
        return da, db


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product, as ``@``.   (*, M, K) (*, K, N) -> (*, M, N)

    A vector on the left counts as a row, one on the right as a column; the extra axis is dropped.
    Errors: ShapeError if the inner sizes differ, the batch axes do not broadcast or an operand has no axis;
    DtypeError if the dtypes differ.
    """
    if isinstance(input, Tensor) and isinstance(other, Tensor) and input.array.dtype != other.array.dtype:
        raise DtypeError(f"@ of {input.dtype} and {other.dtype}: cast one of them, as with x.float() or x.double()")
    a, b = operands(input, other)
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)) or a.ndim == 0 or b.ndim == 0:
        raise ShapeError("both operands of @ need at least one axis: use * to multiply by a number")
    inner = b.shape[0] if b.ndim == 1 else b.shape[-2]
    if a.shape[-1] != inner:
        raise ShapeError(f"@ of {a.shape} and {b.shape}: the inner sizes {a.shape[-1]} and {inner} differ")
    if a.ndim > 2 and b.ndim > 2 and any(n != m and 1 not in (n, m) for n, m in zip(a.shape[-3::-1], b.shape[-3::-1])):  # noqa: B905
        raise ShapeError(f"@ of {a.shape} and {b.shape}: the batch axes do not broadcast")
    row, column = a.ndim == 1, b.ndim == 1
    if row:
        a = a.reshape(1, -1)
    if column:
        b = b.reshape(-1, 1)
    y = MatMul.apply(a, b)
    if row:
        y = y.squeeze(-2)
    return y.squeeze(-1) if column else y


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices.   (M, K) (K, N) -> (M, N)"""
    if input.ndim != 2 or mat2.ndim != 2:
        raise ShapeError(f"mm needs two matrices, got shapes {input.shape} and {mat2.shape}")
    return matmul(input, mat2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """A product for each of a batch of matrices.   (B, M, K) (B, K, N) -> (B, M, N)"""
    if input.ndim != 3 or mat2.ndim != 3 or len(input.array) != len(mat2.array):
        raise ShapeError(f"bmm needs two batches of as many matrices, got shapes {input.shape} and {mat2.shape}")
    return matmul(input, mat2)


def dot(input: Tensor, other: Tensor) -> Tensor:
    """The sum of products of two vectors.   (K,) (K,) -> ()"""
    if input.ndim != 1 or other.ndim != 1:
        raise ShapeError(f"dot needs two vectors, got shapes {input.shape} and {other.shape}")
    return matmul(input, other)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """Every product of two vectors' elements.   (M,) (N,) -> (M, N)"""
    if input.ndim != 1 or vec2.ndim != 1:
        raise ShapeError(f"outer needs two vectors, got shapes {input.shape} and {vec2.shape}")
    return input.reshape(-1, 1) * vec2.reshape(1, -1)


class Norm(Function):
    """y = √Σ x².   dx = x dy / y, and 0 where y is 0 (the subgradient torch takes)"""

    def forward(self, x, axes, keepdim):
        y = np.sqrt((x * x).sum(axis=axes, keepdims=True))
        self.x, self.y, self.axes, self.keepdim = x, y, axes, keepdim
        return y if keepdim else y.squeeze(axes)

    def backward(self, dy):
        unit = np.divide(self.x, self.y, out=np.zeros_like(self.x), where=self.y != 0)
        return unit * reductions.with_axes(dy, self.axes, self.keepdim), None, None


def norm(input: Tensor, p: float | str = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
    """(Σ |input|ᵖ)^(1/p); the largest |input| for p = inf, the smallest for -inf, how many are not 0 for p = 0.

    ``p="fro"`` is 2.
    """
    reductions.refuse_integers(input, "norm")
    if p in (2, "fro"):
        return Norm.apply(input, reductions.axes_of(dim, input.array.ndim), keepdim)
    if p == 0:
        return reductions.sum(cast(Tensor(input.array != 0), input.dtype), dim, keepdim)
    size = input.abs()  # type: ignore[attr-defined]
    if p == math.inf:
        return reductions.amax(size, dim, keepdim)
    if p == -math.inf:
        return reductions.amin(size, dim, keepdim)
    if p == 1:
        return reductions.sum(size, dim, keepdim)
    return reductions.sum(size**p, dim, keepdim) ** (1 / float(p))
