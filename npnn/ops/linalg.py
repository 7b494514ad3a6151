"""Matrix products, and norms."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.errors import DtypeError, ShapeError
from npnn.function import Function
from npnn.kernels import blas
from npnn.ops import joining
from npnn.ops.promotion import cast, common_dtype, operands
from npnn.tensor import Tensor

__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "chain_matmul", "cross", "dot", "einsum", "ger", "inner",
    "kron", "matmul", "mm", "mv", "outer", "tensordot", "vdot",
]  # fmt: skip


def _product(a, b, trans_a=False, trans_b=False):
    """op(a) op(b) over the last two axes; leading axes broadcast."""
    if a.ndim == b.ndim == 2:
        return blas.matmul(a, b, trans_a, trans_b)
    return blas.batched_matmul(a, b, trans_a, trans_b)


def _transposed(x):
    """The last two axes exchanged, of an array or a tensor."""
    return x.swapaxes(-1, -2)


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

    def derivative(self, dy):
        need_a, need_b = self.needs_grad
        da = dy @ _transposed(self.b) if need_a else None
        return da, _transposed(self.a) @ dy if need_b else None


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
        raise ShapeError(f"mm needs two matrices, got shapes {input.array.shape} and {mat2.array.shape}")
    return matmul(input, mat2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """A product for each of a batch of matrices.   (B, M, K) (B, K, N) -> (B, M, N)"""
    if input.ndim != 3 or mat2.ndim != 3 or len(input.array) != len(mat2.array):
        raise ShapeError(
            f"bmm needs two batches of as many matrices, got shapes {input.array.shape} and {mat2.array.shape}"
        )
    return matmul(input, mat2)


def dot(input: Tensor, other: Tensor) -> Tensor:
    """The sum of products of two vectors.   (K,) (K,) -> ()"""
    if input.ndim != 1 or other.ndim != 1:
        raise ShapeError(f"dot needs two vectors, got shapes {input.array.shape} and {other.array.shape}")
    return matmul(input, other)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """Every product of two vectors' elements.   (M,) (N,) -> (M, N)"""
    if input.ndim != 1 or vec2.ndim != 1:
        raise ShapeError(f"outer needs two vectors, got shapes {input.array.shape} and {vec2.array.shape}")
    return input.reshape(-1, 1) * vec2.reshape(1, -1)


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """A matrix times a vector.   (M, K) (K,) -> (M,)"""
    if input.array.ndim != 2 or vec.array.ndim != 1:
        raise ShapeError(f"mv needs a matrix and a vector, got shapes {input.array.shape} and {vec.array.shape}")
    return matmul(input, vec)


def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last axes of both.   (*, K) (+, K) -> (*, +)"""
    if not input.array.ndim or not other.array.ndim:
        return input * other
    return tensordot(input, other, ([-1], [-1]))


vdot, ger = dot, outer


def _weighted(input: Tensor, product: Tensor, beta: float, alpha: float) -> Tensor:
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        return scaled.expand(np.broadcast_shapes(input.array.shape, scaled.array.shape))
    return (input if beta == 1 else input * beta) + scaled


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta input + alpha mat1 mat2"""
    return _weighted(input, mm(mat1, mat2), beta, alpha)


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta input + alpha mat vec"""
    return _weighted(input, mv(mat, vec), beta, alpha)


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta input + alpha vec1 vec2ᵀ"""
    return _weighted(input, outer(vec1, vec2), beta, alpha)


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta input + alpha batch1 batch2, a product for each of the batch"""
    return _weighted(input, bmm(batch1, batch2), beta, alpha)


def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta input + alpha the sum of the batch's products"""
    return _weighted(input, bmm(batch1, batch2).sum(0), beta, alpha)


def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of all matrices."""
    product = matrices[0]
    for m in matrices[1:]:
        product = mm(product, m)
    return product


class Einsum(Function):
    """y = the sum of products that the equation describes.   dx_i = the same of dy and the other operands"""

    def forward(self, *operands, terms, result):
        self.operands, self.terms, self.result = operands, terms, result
        return np.asarray(np.einsum(",".join(terms) + "->" + result, *operands, optimize=len(operands) > 1))

    def backward(self, dy):
        grads: list[Any] = []
        for i, (term, x) in enumerate(zip(self.terms, self.operands, strict=True)):
            if not self.needs_grad[i]:
                grads.append(None)
                continue
            others = [j for j in range(len(self.operands)) if j != i]
            given = [self.result, *[self.terms[j] for j in others]]
            known = set("".join(given))
            kept = "".join(dict.fromkeys(c for c in term if c in known))
            arrays = [dy, *[self.operands[j] for j in others]]
            dx = np.einsum(",".join(given) + "->" + kept, *arrays, optimize=True)
            grads.append(_spread_to(dx, kept, term, x))
        return tuple(grads)

    def derivative(self, dy):
        grads: list[Any] = []
        for i, (term, x) in enumerate(zip(self.terms, self.operands, strict=True)):
            others = [j for j in range(len(self.operands)) if j != i]
            if not self.needs_grad[i]:
                grads.append(None)
                continue
            kept = "".join(dict.fromkeys(term))
            known = self.result + "".join(self.terms[j] for j in others)
            letters = [c for c in kept if c not in known]  # summed over in x alone
            ones = [np.ones(x.shape[term.index(c)], dy.array.dtype) for c in letters]
            terms = (self.result, *[self.terms[j] for j in others], *letters)
            dx = Einsum.apply(dy, *[self.operands[j] for j in others], *ones, terms=terms, result=kept)
            grads.append(dx if kept == term else Diagonals.apply(dx, kept, term, x.shape))
        return tuple(grads)


class Diagonals(Function):
    """y = zeros of which the places with equal indices for equal letters hold x: "ij" to "iij".   dx = dy there"""

    def forward(self, x, letters, term, shape):
        self.letters, self.term, self.shape = letters, term, shape
        y = np.zeros(shape, x.dtype)
        np.einsum(term + "->" + letters, y)[...] = x  # the diagonal, as a view
        return y

    def backward(self, dy):
        return np.einsum(self.term + "->" + self.letters, dy), None, None, None

    def again(self, v):
        return Diagonals().forward(v, self.letters, self.term, self.shape)


def _spread_to(dx: Any, kept: str, term: str, x: Any) -> Any:
    """The gradient with axes ``kept`` as that of an operand with axes ``term``: repeated, or on a diagonal."""
    sizes = dict(zip(term, x.shape, strict=True))
    letters = "".join(dict.fromkeys(term))
    full = np.expand_dims(dx, tuple(range(len(kept), len(letters)))) if len(letters) > len(kept) else dx
    order = [(kept + "".join(c for c in letters if c not in kept)).index(c) for c in letters]
    full = np.broadcast_to(full.transpose(order), [sizes[c] for c in letters])
    if len(letters) == len(term):
        return full
    out = np.zeros(x.shape, dx.dtype)
    np.einsum(term + "->" + letters, out)[...] = full  # the diagonal, as a view
    return out


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products by name of the axes: ``einsum("bij,bjk->bik", a, b)``; "..." stands for further axes.

    Errors: RuntimeError for an equation that does not go with the operands.
    """
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    dtype = common_dtype(list(operands))
    operands = tuple([cast(x, dtype) for x in operands])
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise RuntimeError(f"einsum(): {len(terms)} subscripts for {len(operands)} operands")
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation][::-1]
    extra = max(
        [x.array.ndim - len(t.replace("...", "")) for t, x in zip(terms, operands, strict=True) if "..." in t] or [0]
    )
    dots = "".join(spare[:extra])
    named = []
    for term, x in zip(terms, operands, strict=True):
        own = x.array.ndim - len(term.replace("...", ""))
        if own < 0 or (own and "..." not in term):
            raise RuntimeError(f"einsum(): the subscript {term!r} does not go with a tensor of shape {x.array.shape}")
        named.append(term.replace("...", dots[len(dots) - own :] if own else ""))
    if arrow:
        right = right.replace("...", dots)
    else:
        every = "".join(named)
        right = dots + "".join(sorted(c for c in set(every) - set(dots) if every.count(c) == 1))
    try:
        return Einsum.apply(*_without_ones(named, operands), terms=named, result=right)
    except ValueError as error:
        raise RuntimeError(f"einsum(): {error}") from None


def _without_ones(terms: list[str], operands: tuple[Tensor, ...]) -> list[Tensor]:
    """Axes of size 1 that another operand has larger, expanded."""
    sizes: dict[str, int] = {}
    for term, x in zip(terms, operands, strict=True):
        for c, n in zip(term, x.array.shape, strict=True):
            sizes[c] = n if sizes.get(c, 1) == 1 else sizes[c]
    return [
        x.expand([sizes[c] if n == 1 else n for c, n in zip(term, x.array.shape, strict=True)])
        if any(n == 1 != sizes[c] for c, n in zip(term, x.array.shape, strict=True)) else x
        for term, x in zip(terms, operands, strict=True)
    ]  # fmt: skip


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sums of products over the last ``dims`` axes of a and the first of b, or over two lists of axes."""
    if isinstance(dims, int):
        left, right = list(range(a.array.ndim - dims, a.array.ndim)), list(range(dims))
    else:
        left, right = ([d] if isinstance(d, int) else list(d) for d in dims)
    left, right = [d % a.array.ndim for d in left], [d % b.array.ndim for d in right]
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    first, second = list(letters[: a.array.ndim]), list(letters[a.array.ndim : a.array.ndim + b.array.ndim])
    for i, j in zip(left, right, strict=True):
        second[j] = first[i]
    result = [c for d, c in enumerate(first) if d not in left] + [c for d, c in enumerate(second) if d not in right]
    return einsum(f"{''.join(first)},{''.join(second)}->{''.join(result)}", a, b)


def kron(input: Tensor, other: Tensor) -> Tensor:
    """Every product of elements, as blocks: input[i, j] other[k, l] at (i K + k, j L + l)."""
    n = max(input.array.ndim, other.array.ndim)
    a, b = ([1] * (n - x.array.ndim) + list(x.array.shape) for x in (input, other))
    left = input.reshape([size for s in a for size in (s, 1)])
    right = other.reshape([size for s in b for size in (1, s)])
    return (left * right).reshape([s * t for s, t in zip(a, b, strict=True)])


def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector product along an axis of size 3 (the first such, without ``dim``)."""
    axis = list(input.array.shape).index(3) if dim is None else dim
    a, b = [input.select(axis, i) for i in range(3)], [other.select(axis, i) for i in range(3)]
    return joining.stack([a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)], axis)
