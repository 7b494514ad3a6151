"""Weights by their direction and length, and weights of spectral norm 1: ``nn.utils.parametrizations``."""

from __future__ import annotations

from typing import Any

from npnn.modes import no_grad
from npnn.nn.convolution.transpose import ConvTranspose1d, ConvTranspose2d
from npnn.nn.loss.distance import normalize
from npnn.nn.module import Module
from npnn.nn.utils.parametrize import register_parametrization
from npnn.ops import filling
from npnn.ops.creation import empty
from npnn.ops.distances import norm
from npnn.ops.linalg import mv
from npnn.ops.reductions import sum as total
from npnn.tensor import Tensor

__all__ = [
    "norm_except", "power_iteration", "rows_first", "spectral_axis", "spectral_norm", "start_vectors", "weight_norm",
]  # fmt: skip


def norm_except(v: Tensor, dim: int | None) -> Tensor:
    """‖v‖ over all axes but one, which are kept as 1; over all of them for None or -1."""
    if dim is None or dim == -1:
        return norm(v)
    if v.array.ndim == 1:
        return norm(v.unsqueeze(1), 2, 1)
    return norm(v, 2, tuple([a for a in range(v.array.ndim) if a != dim]), True)


class _WeightNorm(Module):
    """w = g v / ‖v‖"""

    def __init__(self, dim: int | None):
        self.dim = dim

    def forward(self, g: Tensor, v: Tensor) -> Tensor:
        return v * (g / norm_except(v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """w = g v / ‖v‖: the length g and the direction v of a weight are trained apart.

    ``dim`` is the axis along which each slice has a length of its own, None for one length in all.  The trained
    tensors are ``parametrizations.<name>.original0`` (g) and ``original1`` (v).
    Errors: as register_parametrization.
    Source: Salimans & Kingma, Weight normalization, 2016.
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


def rows_first(weight: Tensor, dim: int) -> Tensor:
    """The weight as a matrix whose rows are the slices along ``dim``."""
    if dim:
        weight = weight.permute(dim, *[a for a in range(weight.array.ndim) if a != dim])
    return weight.flatten(1)


def spectral_axis(module: Module, dim: int | None) -> int:
    """The axis of a weight's outputs: the second one of a transposed convolution, else the first."""
    return int(isinstance(module, (ConvTranspose1d, ConvTranspose2d))) if dim is None else dim


def start_vectors(matrix: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Random vectors of length 1, in the space of the matrix's columns and of its rows."""
    u, v = (filling.normal_(empty(n, dtype=matrix.dtype), 0, 1) for n in matrix.array.shape)
    return normalize(u, dim=0, eps=eps), normalize(v, dim=0, eps=eps)


def power_iteration(matrix: Tensor, u: Tensor, v: Tensor, steps: int, eps: float, rows: bool) -> None:
    """Turn u and v towards the singular vectors of the largest singular value, in place; ``rows`` says which is first."""
    with no_grad():
        for _ in range(steps):
            for vector in (u, v) if rows else (v, u):
                image = mv(matrix, v) if vector is u else mv(matrix.t(), u)
                vector.copy_(normalize(image, dim=0, eps=eps))


class _SpectralNorm(Module):
    """w / σ, with σ = uᵀ W v the largest singular value, as far as u and v have come."""

    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float):
        self.dim, self.eps, self.n_power_iterations = dim, eps, n_power_iterations
        if weight.array.ndim > 1:
            matrix = rows_first(weight.detach(), dim)
            u, v = start_vectors(matrix, eps)
            self.register_buffer("_u", u)
            self.register_buffer("_v", v)
            power_iteration(matrix, u, v, 15, eps, True)

    def forward(self, weight: Tensor) -> Tensor:
        if weight.array.ndim == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = rows_first(weight, self.dim)
        u, v = self._u, self._v  # type: ignore[attr-defined]
        if self.training:
            power_iteration(matrix.detach(), u, v, self.n_power_iterations, self.eps, True)
        return weight / total(u.clone() * mv(matrix, v.clone()))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """w / σ(W): a weight divided by its largest singular value, which each forward in training mode estimates anew.

    ``n_power_iterations`` steps of u ← W v / ‖W v‖, v ← Wᵀ u / ‖Wᵀ u‖ each time, from random vectors; ``dim`` is the
    axis of the outputs, as rows of W.  The trained tensor is ``parametrizations.<name>.original``.
    Errors: ValueError for fewer than one iteration; as register_parametrization.
    Source: Miyato et al., Spectral normalization for generative adversarial networks, 2018.
    """
    if n_power_iterations < 1:
        raise ValueError(f"n_power_iterations must be at least 1, got {n_power_iterations}")
    weight: Any = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"{module._get_name()} has no parameter {name!r}")
    step = _SpectralNorm(weight, n_power_iterations, spectral_axis(module, dim), eps)
    step.training = module.training
    return register_parametrization(module, name, step)
