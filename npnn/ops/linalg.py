"""Matrix products."""

from __future__ import annotations

import numpy as np

from npnn.errors import ShapeError
from npnn.kernels import blas
from npnn.ops.promotion import operands
from npnn.tensor import Function, Tensor

__all__ = ["bmm", "dot", "matmul", "mm", "outer"]


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
    Errors: ShapeError if the inner sizes differ or an operand has no axis.
    """
    a, b = operands(input, other)
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)) or a.ndim == 0 or b.ndim == 0:
        raise ShapeError("both operands of @ need at least one axis: use * to multiply by a number")
    inner = b.shape[0] if b.ndim == 1 else b.shape[-2]
    if a.shape[-1] != inner:
        raise ShapeError(f"@ of {a.shape} and {b.shape}: the inner sizes {a.shape[-1]} and {inner} differ")
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
    if input.ndim != 3 or mat2.ndim != 3 or len(input.data) != len(mat2.data):
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
