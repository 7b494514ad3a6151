"""torch.linalg: norms, equations and decompositions of real matrices.  The last two axes are the matrix, others a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from npnn.errors import ShapeError
from npnn.ops import linalg as products
from npnn.ops import matrices, reductions
from npnn.ops.decompositions import (
    Eigen,
    LinAlgError,
    Orthogonal,
    SignAndLog,
    Singular,
    cholesky,
    det,
    inverse,
    matrix_power,
    solve,
)
from npnn.ops.decompositions import eigh as symmetric_eigen
from npnn.ops.decompositions import qr as reduced_qr
from npnn.ops.decompositions import slogdet as sign_and_log
from npnn.ops.decompositions import svd as reduced_svd
from npnn.ops.distances import norm as p_norm
from npnn.ops.extremes import amax, amin
from npnn.ops.joining import cat
from npnn.ops.linalg import matmul
from npnn.ops.promotion import cast
from npnn.ops.returned import named
from npnn.tensor import Tensor, of_array

F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "Eigen", "LeastSquares", "LinAlgError", "Orthogonal", "SignAndLog", "Singular", "cholesky", "cond", "cross", "det",
    "diagonal", "eigh", "eigvalsh", "inv", "lstsq", "matmul", "matrix_norm", "matrix_power", "matrix_rank", "multi_dot",
    "norm", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "vecdot", "vector_norm",
]  # fmt: skip

inv = inverse


def _named(function: F) -> F:
    """What it returns prints as torch.return_types.linalg_NAME."""
    return named(function, f"linalg_{function.__name__}")


class LeastSquares(NamedTuple):
    """What lstsq returns: x, the squared lengths of A x - B, the rank of A and its singular values."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


# ---- norms


def vector_norm(x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """(Σ |x|ᵖ)^(1/p) over all elements or some axes; the largest or smallest |x| for ord = ±inf, how many are not 0 for 0."""
    return p_norm(x, ord, dim, keepdim, dtype=dtype)


def matrix_norm(
    A: Tensor, ord: float | str = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """Of matrices: "fro" √Σ a², "nuc" Σ s, ±2 the largest or smallest singular value s, ±1 the largest or smallest
    column sum of |a|, ±inf of a row.   Errors: RuntimeError unless there are two axes.
    """
    if dtype is not None:
        A = cast(A, dtype)
    axes = reductions.axes_of(tuple(dim), A.array.ndim)
    if len(axes) != 2:
        raise RuntimeError("linalg.matrix_norm: dim must be a 2-tuple")
    if ord in ("fro", "nuc"):
        return p_norm(A, ord, axes, keepdim)
    moved = A.movedim([d % A.array.ndim for d in dim], [-2, -1])
    if ord in (2, -2):
        values = svdvals(moved)
    elif ord in (1, -1, math.inf, -math.inf):
        values = reductions.sum(moved.abs(), -2 if abs(ord) == 1 else -1)  # type: ignore[attr-defined, arg-type]
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    y = (amax if float(ord) > 0 else amin)(values, -1)
    for axis in sorted(axes) if keepdim else ():
        y = y.unsqueeze(axis)
    return y


def norm(
    A: Tensor, ord: float | str | None = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """A vector's norm over one axis, a matrix's over two (``ord`` given), else the root of the sum of all squares."""
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None and A.array.ndim not in (1, 2):
        raise RuntimeError("linalg.norm: if ord is given without dim, A must have one or two axes")
    if dim is None and A.array.ndim == 2:
        dim = (-2, -1)
    if isinstance(dim, (tuple, list)) and len(dim) == 2:
        return matrix_norm(A, ord, dim, keepdim, dtype=dtype)
    return vector_norm(A, ord, dim, keepdim, dtype=dtype)  # type: ignore[arg-type]


# ---- decompositions


@_named
def svd(A: Tensor, full_matrices: bool = True) -> Singular:
    """A = U diag(S) Vh.   (*, M, N) -> (*, M, M), (*, K), (*, N, N); not ``full_matrices``: (*, M, K), (*, K), (*, K, N)

    The columns that make U and Vh square are not unique, and pass no gradient.
    """
    U, S, Vh = reduced_svd(A)
    if full_matrices and A.array.shape[-1] != A.array.shape[-2]:
        u, _, vh = np.linalg.svd(A.array)
        k = S.array.shape[-1]
        U = cat([U, of_array(u[..., k:])], -1)
        Vh = cat([Vh, of_array(vh[..., k:, :])], -2)
    return Singular(U, S, Vh)


def svdvals(A: Tensor) -> Tensor:
    """The singular values, the largest first.   (*, M, N) -> (*, K)"""
    return reduced_svd(A).S


@_named
def eigh(A: Tensor, UPLO: str = "L") -> Eigen:
    """A = V diag(λ) Vᵀ of symmetric matrices, of which one triangle is read.   (*, N, N) -> (*, N), (*, N, N)"""
    return symmetric_eigen(A, UPLO)


@_named
def slogdet(A: Tensor) -> SignAndLog:
    """The determinant's sign and ln |det|, which does not overflow.   (*, N, N) -> (*), (*)"""
    return SignAndLog(*sign_and_log(A))


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, the smallest first.   (*, N, N) -> (*, N)"""
    return eigh(A, UPLO).eigenvalues


@_named
def qr(A: Tensor, mode: str = "reduced") -> Orthogonal:
    """A = Q R.   (*, M, N) -> (*, M, K), (*, K, N); with mode "r", Q is empty.   Errors: ValueError for another mode."""
    if mode not in ("reduced", "r"):
        raise ValueError(f"qr: mode must be 'reduced' or 'r', got {mode!r}")
    Q, R = reduced_qr(A)
    return Orthogonal(of_array(np.empty(0, A.array.dtype)) if mode == "r" else Q, R)


# ---- what follows from them


def pinv(A: Tensor, *, atol: float | None = None, rtol: float | None = None) -> Tensor:
    """V diag(1 / s) Uᵀ over the singular values s above max(atol, rtol s₁).   (*, M, N) -> (*, N, M)"""
    U, S, Vh = reduced_svd(A)
    keep = S.array > _smallest(A, S.array, atol, rtol)
    inverse = (S.masked_fill(of_array(~keep), 1.0)) ** -1 * of_array(keep.astype(S.array.dtype))  # type: ignore[attr-defined]
    return matmul(Vh.mT * inverse.unsqueeze(-2), U.mT)


def _smallest(A: Tensor, s: Any, atol: float | None, rtol: float | None) -> Any:
    """The singular value up to which one counts as 0."""
    if rtol is None:
        rtol = max(A.array.shape[-2:]) * float(np.finfo(A.array.dtype).eps) if not atol else 0.0
    return np.maximum(atol or 0.0, rtol * s.max(axis=-1, keepdims=True, initial=0.0))


def matrix_rank(A: Tensor, *, atol: float | None = None, rtol: float | None = None) -> Tensor:
    """How many singular values are above max(atol, rtol s₁).   (*, M, N) -> (*), int64"""
    s = svdvals(A).array
    return of_array(np.asarray((s > _smallest(A, s, atol, rtol)).sum(axis=-1)))


def cond(A: Tensor, p: float | str | None = None) -> Tensor:
    """The largest singular value over the smallest; for another ``p``, ‖A‖ ‖A⁻¹‖ in that norm."""
    if p in (None, 2, -2):
        s = svdvals(A)
        first, last = s.select(-1, 0), s.select(-1, -1)
        return last / first if p == -2 else first / last
    return matrix_norm(A, p) * matrix_norm(inv(A), p)  # type: ignore[arg-type]


@_named
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> LeastSquares:
    """x with the least ‖A x - B‖, and of those the shortest.   (*, M, N), (*, M, K) -> solution (*, N, K)

    ``residuals`` are the squared lengths of A x - B, where M > N and A has full rank; else there are none.  Singular
    values are given with the drivers "gelsd" and "gelss".
    """
    solution = matmul(pinv(A, rtol=rcond), B)
    rank = matrix_rank(A, rtol=rcond)
    m, n = A.array.shape[-2:]
    residuals = of_array(np.empty(0, A.array.dtype))
    if m > n and (rank.array == n).all():
        residuals = reductions.sum((matmul(A, solution) - B) ** 2, -2)
    values = svdvals(A) if driver in ("gelsd", "gelss") else of_array(np.empty(0, A.array.dtype))
    return LeastSquares(solution, residuals, rank, values)


# ---- products


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of several matrices, the first and the last of which may be vectors.

    Errors: ShapeError for fewer than two.
    """
    if len(tensors) < 2:
        raise ShapeError("multi_dot needs at least two matrices")
    first, last = tensors[0], tensors[-1]
    parts = list(tensors)
    if first.array.ndim == 1:
        parts[0] = first.unsqueeze(0)
    if last.array.ndim == 1:
        parts[-1] = last.unsqueeze(1)
    y = products.chain_matmul(*parts)
    if first.array.ndim == 1:
        y = y.squeeze(0)
    return y.squeeze(-1) if last.array.ndim == 1 else y


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Σ x y over one axis; the others broadcast."""
    return reductions.sum(x * y, dim)


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The vector product of vectors of three along one axis."""
    return products.cross(input, other, dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals, along a new last axis."""
    return matrices.diagonal(A, offset, dim1, dim2)
