"""Matrices taken apart, and what follows: inverse, determinant, equations.  Over the last two axes; others are a batch.

Source of the derivatives: Giles, An extended collection of matrix derivative results for forward and reverse mode
algorithmic differentiation, 2008; Townsend, Differentiating the singular value decomposition, 2016.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from npnn.errors import ShapeError
from npnn.function import Function
from npnn.ops.linalg import matmul
from npnn.ops.reductions import refuse_integers
from npnn.ops.returned import named
from npnn.tensor import Tensor, of_array

__all__ = ["cholesky", "det", "inverse", "logdet", "matrix_power", "slogdet"]  # the others are in npnn.linalg alone

Array = NDArray[Any]


class LinAlgError(RuntimeError):
    """A matrix for which there is no answer: a singular one has no inverse."""


class SignAndLog(NamedTuple):
    """det A = sign · exp logabsdet."""

    sign: Tensor
    logabsdet: Tensor


class Eigen(NamedTuple):
    """A = V diag(λ) Vᵀ, the smallest λ first."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class Singular(NamedTuple):
    """A = U diag(S) Vh, the largest S first."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class Orthogonal(NamedTuple):
    """A = Q R."""

    Q: Tensor
    R: Tensor


def _t(a: Any) -> Any:
    return a.swapaxes(-1, -2)


def _matrix(name: str, A: Tensor, square: bool = True) -> None:
    refuse_integers(A, name)
    shape = A.array.shape
    if len(shape) < 2 or (square and shape[-1] != shape[-2]):
        raise ShapeError(f"{name} needs {'square ' * square}matrices (*, {'N, N' if square else 'M, N'}), got {shape}")


class Inverse(Function):
    """y = A⁻¹.   dA = -yᵀ dy yᵀ"""

    def forward(self, A: Array) -> Array:
        try:
            self.y = np.linalg.inv(A)
        except np.linalg.LinAlgError:
            raise LinAlgError("inverse: a matrix is singular, and has none") from None
        return self.y

    def backward(self, dy: Array) -> Array:
        return -_t(self.y) @ dy @ _t(self.y)

    derivative = backward


class Determinant(Function):
    """y = det A.   dA = dy C, with the cofactors C = y A⁻ᵀ; by U S Vᵀ = A as C = det(U) det(V) U diag(Π_{j≠i} s_j) Vᵀ"""

    def forward(self, A: Array) -> Array:
        self.A = A
        return np.linalg.det(A)

    def backward(self, dy: Array) -> Array:
        u, s, vh = np.linalg.svd(self.A)
        n = s.shape[-1]
        others = np.stack([np.prod(np.delete(s, i, -1), -1) for i in range(n)], -1) if n else s
        sign = np.linalg.det(u) * np.linalg.det(vh)
        return (dy * sign)[..., None, None] * ((u * others[..., None, :]) @ vh)

    def derivative(self: Any, dy: Tensor) -> Tensor:
        cofactors = det(self.A)[..., None, None] * _t(inverse(self.A))  # of a matrix that has an inverse
        return dy[..., None, None] * cofactors


class LogDeterminant(Function):
    """sign and y = ln |det A|.   dA = dy A⁻ᵀ"""

    def forward(self, A: Array) -> tuple[Array, Array]:
        self.A = A
        sign, y = np.linalg.slogdet(A)
        return np.asarray(sign, A.dtype), np.asarray(y, A.dtype)

    def backward(self, dsign: Array | None, dy: Array | None) -> Array:
        if dy is None:
            return np.zeros_like(self.A)
        return dy[..., None, None] * _t(np.linalg.inv(self.A))

    def derivative(self: Any, dsign: Tensor | None, dy: Tensor | None) -> Any:
        return None if dy is None else dy[..., None, None] * _t(inverse(self.A))


class Solve(Function):
    """x = A⁻¹ b.   db = A⁻ᵀ dx,  dA = -db xᵀ.   A (*, N, N), b (*, N, K)"""

    def forward(self, A: Array, b: Array) -> Array:
        self.A = A
        try:
            self.x = np.linalg.solve(A, b)
        except np.linalg.LinAlgError:
            raise LinAlgError("solve: a matrix is singular, and its equations have no one solution") from None
        return self.x

    def backward(self, dx: Array) -> tuple[Array, Array]:
        db = np.linalg.solve(_t(self.A), dx)
        return -db @ _t(self.x), db

    def derivative(self: Any, dx: Tensor) -> tuple[Tensor, Tensor]:
        db = Solve.apply(_t(self.A), dx)
        return -db @ _t(self.output(self.x)), db


class Cholesky(Function):
    """A = L Lᵀ, L lower.   dA = (S + Sᵀ) / 2 with S = L⁻ᵀ Φ(Lᵀ dL) L⁻¹;  Φ is the lower triangle, its diagonal halved"""

    def forward(self, A: Array) -> Array:
        try:
            self.L = np.linalg.cholesky(A)
        except np.linalg.LinAlgError:
            raise LinAlgError("cholesky: a matrix is not positive-definite") from None
        return self.L

    def backward(self, dL: Array) -> Array:
        phi = np.tril(_t(self.L) @ dL)
        phi -= _diagonal(np.diagonal(phi, axis1=-2, axis2=-1) / 2)
        inverse = np.linalg.inv(self.L)
        S = _t(inverse) @ phi @ inverse
        return (S + _t(S)) / 2


def _diagonal(values: Array) -> Array:
    return values[..., None] * np.eye(values.shape[-1], dtype=values.dtype)


class SymmetricEigen(Function):
    """λ, V of A = V diag(λ) Vᵀ.   dA = V (diag(dλ) + (Vᵀ dV) / E) Vᵀ,  E_ij = λ_j - λ_i, and 1 on the diagonal"""

    def forward(self, A: Array, upper: bool) -> tuple[Array, Array]:
        self.values, self.vectors = np.linalg.eigh(A, "U" if upper else "L")
        return self.values, self.vectors

    def backward(self, dvalues: Array | None, dvectors: Array | None) -> tuple[Array, None]:
        V, w = self.vectors, self.values
        middle = np.zeros_like(V)
        if dvectors is not None:
            E = w[..., None, :] - w[..., :, None] + np.eye(w.shape[-1], dtype=w.dtype)
            middle = (_t(V) @ dvectors) / E
            middle -= _diagonal(np.diagonal(middle, axis1=-2, axis2=-1))
        if dvalues is not None:
            middle = middle + _diagonal(dvalues)
        return V @ middle @ _t(V), None


class SVD(Function):
    """U, S, Vᵀ of A.   With skew(X) = X - Xᵀ and E_ij = s_j² - s_i², 1 on the diagonal:

    dA = U [(skew(Uᵀ dU) / E) S + S (skew(Vᵀ dV) / E) + diag(dS)] Vᵀ + (1 - U Uᵀ) dU S⁻¹ Vᵀ + U S⁻¹ dVᵀ (1 - V Vᵀ)
    """

    def forward(self, A: Array) -> tuple[Array, Array, Array]:
        self.U, self.S, self.Vh = np.linalg.svd(A, full_matrices=False)
        return self.U, self.S, self.Vh

    def backward(self, dU: Array | None, dS: Array | None, dVh: Array | None) -> Array:
        U, S, Vh = self.U, self.S, self.Vh
        E = S[..., None, :] ** 2 - S[..., :, None] ** 2 + np.eye(S.shape[-1], dtype=S.dtype)
        middle = np.zeros_like(U, shape=E.shape) if dS is None else _diagonal(dS)
        dA = np.zeros_like(U @ Vh)
        if dU is not None:
            inner = _t(U) @ dU
            middle = middle + (inner - _t(inner)) / E * S[..., None, :]
            if U.shape[-2] > U.shape[-1]:
                dA = dA + ((dU - U @ inner) / S[..., None, :]) @ Vh
        if dVh is not None:
            inner = Vh @ _t(dVh)
            middle = middle + S[..., :, None] * ((inner - _t(inner)) / E)
            if Vh.shape[-1] > Vh.shape[-2]:
                dA = dA + (U / S[..., None, :]) @ (dVh - _t(inner) @ Vh)
        return dA + U @ middle @ Vh


class QR(Function):
    """Q, R of A (M, N), M >= N.   dA = (dQ + Q copyltu(R dRᵀ - dQᵀ Q)) R⁻ᵀ;  copyltu(X) is the lower triangle, mirrored"""

    def forward(self, A: Array) -> tuple[Array, Array]:
        self.Q, self.R = np.linalg.qr(A)
        return self.Q, self.R

    def backward(self, dQ: Array | None, dR: Array | None) -> Array:
        Q, R = self.Q, self.R
        if Q.shape[-2] < R.shape[-1]:
            raise NotImplementedError("qr: the derivative of wide matrices is not defined here: use A.mT, or svd")
        M = np.zeros_like(R)
        if dR is not None:
            M = M + R @ _t(dR)
        if dQ is not None:
            M = M - _t(dQ) @ Q
        mirrored = np.tril(M) + _t(np.tril(M, -1))
        return _t(np.linalg.solve(R, _t(Q @ mirrored if dQ is None else dQ + Q @ mirrored)))


# ---- functions


def inverse(input: Tensor) -> Tensor:
    """A⁻¹.   (*, N, N) -> (*, N, N)   Errors: ShapeError for no square matrices, LinAlgError for a singular one."""
    _matrix("inverse", input)
    return Inverse.apply(input)


def det(input: Tensor) -> Tensor:
    """The determinant.   (*, N, N) -> (*)"""
    _matrix("det", input)
    return Determinant.apply(input)


@named
def slogdet(input: Tensor) -> SignAndLog:
    """The determinant's sign and ln |det|, which does not overflow.   (*, N, N) -> (*), (*)"""
    _matrix("slogdet", input)
    return SignAndLog(*LogDeterminant.apply(input))


def logdet(input: Tensor) -> Tensor:
    """ln det: nan where it is negative, -inf where it is 0.   (*, N, N) -> (*)"""
    sign, log = slogdet(input)
    return log + of_array(np.where(sign.array < 0, np.nan, 0).astype(log.array.dtype))


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """x with A x = B (or x A = B, not ``left``).   (*, N, N), (*, N) or (*, N, K) -> like B

    Errors: ShapeError for no square matrices, LinAlgError for a singular one.
    """
    _matrix("solve", A)
    if not left:
        return solve(A.mT, B.mT).mT
    if B.array.ndim == 1 or (B.array.ndim == A.array.ndim - 1 and B.array.shape == A.array.shape[:-1]):
        return Solve.apply(A, B.unsqueeze(-1)).squeeze(-1)
    return Solve.apply(A, B)


def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """L, lower, with A = L Lᵀ (or ``upper``, its transpose).   Errors: LinAlgError unless A is positive-definite."""
    _matrix("cholesky", input)
    L = Cholesky.apply(input)
    return L.mT if upper else L


def eigh(A: Tensor, UPLO: str = "L") -> Eigen:
    """Eigenvalues and eigenvectors of symmetric matrices, of which one triangle is read.   (*, N, N) -> (*, N), (*, N, N)"""
    _matrix("eigh", A)
    return Eigen(*SymmetricEigen.apply(A, UPLO == "U"))


def svd(A: Tensor) -> Singular:
    """Singular values, and as many vectors.   (*, M, N) -> (*, M, K), (*, K), (*, K, N), K the smaller of M and N"""
    _matrix("svd", A, square=False)
    return Singular(*SVD.apply(A))


def qr(A: Tensor) -> Orthogonal:
    """Orthogonal columns and a triangle.   (*, M, N) -> (*, M, K), (*, K, N), K the smaller of M and N"""
    _matrix("qr", A, square=False)
    return Orthogonal(*QR.apply(A))


def matrix_power(input: Tensor, n: int) -> Tensor:
    """A multiplied by itself n times; of its inverse for a negative n.   (*, N, N) -> (*, N, N)"""
    _matrix("matrix_power", input)
    base = inverse(input) if n < 0 else input
    result, n = None, abs(n)
    while n:
        if n % 2:
            result = base if result is None else matmul(result, base)
        n //= 2
        base = matmul(base, base) if n else base
    if result is None:
        eye = np.broadcast_to(np.eye(input.array.shape[-1], dtype=input.array.dtype), input.array.shape)
        return of_array(eye.copy())
    return result
