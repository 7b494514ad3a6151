"""How long a vector is, and how far two are apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn.errors import ShapeError
from npnn.function import Function
from npnn.ops import extremes, joining, reductions
from npnn.ops.promotion import cast, common_dtype
from npnn.ops.special import Steps
from npnn.tensor import Tensor

__all__ = ["cdist", "cosine_similarity", "dist", "norm", "renorm"]


class Norm(Function):
    """y = √Σ x².   dx = x dy / y, and 0 where y is 0 (the subgradient torch takes)"""

    def forward(self, x, axes, keepdim):
        y = np.sqrt((x * x).sum(axis=axes, keepdims=True))
        self.x, self.norm, self.axes, self.keepdim = x, y, axes, keepdim
        return y if keepdim else y.squeeze(axes)

    def backward(self, dy):
        unit = np.divide(self.x, self.norm, out=np.zeros_like(self.x), where=self.norm != 0)
        return unit * reductions.with_axes(dy, self.axes, self.keepdim), None, None

    def derivative(self, dy):
        nothing = self.norm == 0
        y = norm(self.x, 2, self.axes, True).masked_fill(nothing, 1)
        return (self.x / y).masked_fill(nothing, 0) * reductions.with_axes(dy, self.axes, self.keepdim), None, None


class PNorm(Function):
    """y = (Σ |x|ᵖ)^(1/p).   dx = sign(x) (|x| / y)ᵖ⁻¹ dy, and 0 where x or y is 0 (the subgradient torch takes)"""

    def forward(self, x, p, axes, keepdim):
        with np.errstate(divide="ignore"):  # a negative p of 0
            y = (np.abs(x) ** p).sum(axis=axes, keepdims=True) ** (1 / p)
        self.x, self.norm, self.p, self.axes, self.keepdim = x, y, p, axes, keepdim
        return y if keepdim else y.squeeze(axes)

    def backward(self, dy):
        share = np.zeros_like(self.x)
        np.divide(np.abs(self.x), self.norm, out=share, where=self.norm != 0)
        np.power(share, self.p - 1, out=share, where=share != 0)
        return np.sign(self.x) * share * reductions.with_axes(dy, self.axes, self.keepdim), None, None, None

    def derivative(self, dy):
        nothing = (self.norm == 0) | (np.asarray(self.x) == 0)
        y = norm(self.x, self.p, self.axes, True).masked_fill(self.norm == 0, 1)
        share = (np.abs(self.x).masked_fill(nothing, 1) / y) ** (self.p - 1)
        share = share.masked_fill(nothing, 0) * np.sign(np.asarray(self.x))
        return share * reductions.with_axes(dy, self.axes, self.keepdim), None, None, None


class NuclearNorm(Function):
    """y = the sum of the singular values of the last two axes.   x = u s vᵀ, dx = u vᵀ dy"""

    def forward(self, x, keepdim):
        u, s, vh = np.linalg.svd(x, full_matrices=False)
        self.polar, self.keepdim = np.matmul(u, vh), keepdim
        y = s.sum(-1)
        return y[..., None, None] if keepdim else y

    def backward(self, dy):
        return self.polar * (dy if self.keepdim else dy[..., None, None]), None


def _nuclear(input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    axes = reductions.axes_of(dim, input.array.ndim)
    if len(axes) != 2:
        raise RuntimeError("the nuclear norm is of matrices: it needs two axes")
    y = NuclearNorm.apply(input.movedim(list(axes), [-2, -1]), False)
    for a in sorted(axes) if keepdim else ():
        y = y.unsqueeze(a)
    return y


def norm(
    input: Tensor, p: float | str | None = "fro", dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """(Σ |input|ᵖ)^(1/p); the largest |input| for p = inf, the smallest for -inf, how many are not 0 for p = 0.

    ``p="fro"`` is 2, ``p="nuc"`` the sum of the singular values of a matrix.
    """
    if dtype is not None:
        input = cast(input, dtype)
    reductions.refuse_integers(input, "norm")
    if p == "nuc":
        return NuclearNorm.apply(input, keepdim) if dim is None else _nuclear(input, dim, keepdim)
    if p in (2, "fro", None):
        return Norm.apply(input, reductions.axes_of(dim, input.array.ndim), keepdim)
    if p == 0:
        return reductions.sum(Steps.apply(input, lambda x: (x != 0).astype(x.dtype)), dim, keepdim)
    if p in (1, math.inf, -math.inf):
        size = input.abs()  # type: ignore[attr-defined]
        reduce = {1: reductions.sum, math.inf: extremes.amax, -math.inf: extremes.amin}[p]
        return reduce(size, dim, keepdim)
    return PNorm.apply(input, float(p), reductions.axes_of(dim, input.array.ndim), keepdim)


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of input - other."""
    return norm(input - other, p)


class EuclideanDistances(Function):
    """y_ij = |a_i - b_j|, by |a_i|² + |b_j|² - 2 a_i b_j where there are many.   a (*, P, M), b (*, R, M) -> y (*, P, R)

        w = dy / y (0 where y is 0)      da = a Σ_j w_ij - w b      db = b Σ_i w_ij - wᵀ a

    The squares cancel where two of the points are close to each other beside their distance from 0: the mean
    of b is taken out of both first, where it is finite.
    """

    def forward(self, a, b, by_product):
        if by_product:
            with np.errstate(invalid="ignore"):  # inf and -inf
                middle = b.mean(-2, keepdims=True) if b.size else np.zeros((), b.dtype)
            middle = np.where(np.isfinite(middle), middle, 0)
            p, q = a - middle, b - middle
            squares = (p * p).sum(-1)[..., :, None] + (q * q).sum(-1)[..., None, :]
            squares -= 2 * np.matmul(p, q.swapaxes(-1, -2))
            y = np.sqrt(np.maximum(squares, 0, out=squares), out=squares)
        else:
            gap = a[..., :, None, :] - b[..., None, :, :]
            y = np.sqrt((gap * gap).sum(-1))
        self.a, self.b, self.y = a, b, y
        return y

    def backward(self, dy):
        w = np.divide(dy, self.y, out=np.zeros_like(dy), where=self.y != 0)
        da = self.a * w.sum(-1)[..., None] - np.matmul(w, self.b)
        return da, self.b * w.sum(-2)[..., None] - np.matmul(w.swapaxes(-1, -2), self.a), None

    def derivative(self, dy):
        nothing = np.asarray(self.y) == 0
        w = (dy / self.y.masked_fill(nothing, 1)).masked_fill(nothing, 0)
        da = self.a * w.sum(-1, keepdim=True) - w @ self.b
        return da, self.b * w.sum(-2).unsqueeze(-1) - w.swapaxes(-1, -2) @ self.a, None


class Distances(Function):
    """y_ij = (Σ_k |a_ik - b_jk|ᵖ)^(1/p).   da_ik = Σ_j sign |a - b|ᵖ⁻¹ y¹⁻ᵖ dy_ij, db the opposite; 0 where y is 0"""

    def forward(self, a, b, p):
        self.gap, self.p = a[..., :, None, :] - b[..., None, :, :], p
        size = np.abs(self.gap)
        if p == np.inf:
            self.y = size.max(-1)
        elif p == 0:
            self.y = (size != 0).sum(-1).astype(a.dtype)
        else:
            self.y = (size**p).sum(-1) ** (1 / p)
        return self.y

    def backward(self, dy):
        gap, y, p = self.gap, self.y[..., None], self.p
        size = np.abs(gap)
        with np.errstate(divide="ignore", invalid="ignore"):
            if p == np.inf:
                slope = np.sign(gap) * (size == y)
            elif p == 0:
                slope = np.zeros_like(gap)
            else:
                slope = np.where(y == 0, 0, np.sign(gap) * (size / y) ** (p - 1))
                slope = np.where(size == 0, 0, slope)
        d = dy[..., None] * slope
        return d.sum(-2), -d.sum(-3), None


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """The distance of each row of one from each row of the other, in the p-norm.   (*, P, M) (*, R, M) -> (*, P, R)"""
    if x1.array.ndim < 2 or x2.array.ndim < 2 or x1.array.shape[-1] != x2.array.shape[-1]:
        raise ShapeError(f"cdist needs rows of one length, got shapes {x1.array.shape} and {x2.array.shape}")
    if p != 2:
        return Distances.apply(x1, x2, float(p))
    many = max(x1.array.shape[-2], x2.array.shape[-2]) > 25
    by_product = {
        None: many, "use_mm_for_euclid_dist_if_necessary": many, "use_mm_for_euclid_dist": True,
        "donot_use_mm_for_euclid_dist": False,
    }  # fmt: skip
    if compute_mode not in by_product:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    return EuclideanDistances.apply(x1, x2, by_product[compute_mode])


def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """The slices along an axis whose p-norm is above ``maxnorm``, scaled down to it."""
    axes = [a for a in range(input.array.ndim) if a != dim % input.array.ndim]
    length = norm(input, p, axes, True)
    factor = (maxnorm / (length + 1e-7)).masked_fill(length.le(maxnorm), 1.0)
    return input * factor


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 · x2 / (max(|x1|, eps) max(|x2|, eps)) along an axis; both broadcast."""
    dtype = common_dtype([x1, x2])
    if dtype.kind != "f":
        raise RuntimeError("expected common dtype to be floating point, yet common dtype is " + str(dtype))
    a, b = joining.broadcast_tensors(cast(x1, dtype), cast(x2, dtype))
    a = a / norm(a, 2, dim, True).clamp_min(eps)
    b = b / norm(b, 2, dim, True).clamp_min(eps)
    return reductions.sum(a * b, dim)
