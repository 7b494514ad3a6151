"""Distributions whose one draw is a vector: counts of several kinds, and normal vectors with a covariance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn import random
from npnn.distributions.base import Distribution
from npnn.distributions.discrete import Categorical
from npnn.ops.decompositions import cholesky, inverse, solve
from npnn.ops.indexing import where
from npnn.ops.joining import broadcast_tensors
from npnn.ops.linalg import matmul
from npnn.ops.matrices import tril
from npnn.tensor import Tensor, _from_array, of_array

__all__ = ["Multinomial", "MultivariateNormal"]


class Multinomial(Distribution):
    """How often each of K came in ``total_count`` draws of a Categorical:   n! / Π xₖ!  Π pₖ ^ xₖ

    Errors: ValueError as Categorical, and for a ``total_count`` that is no whole number.
    """

    def __init__(self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported: it must be one whole number")
        self.total_count, self._categorical = total_count, Categorical(probs, logits, validate_args)
        self.probs, self.logits = self._categorical.probs, self._categorical.logits
        super().__init__(self._categorical.batch_shape, self.probs.shape[-1:])

    def sample(self, sample_shape: Any = ()) -> Tensor:
        drawn = self._categorical.sample((self.total_count, *sample_shape)).array
        classes = np.arange(self.event_shape[0])
        return _from_array((drawn[..., None] == classes).sum(0).astype(self.probs.array.dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        logits, value = broadcast_tensors(self.logits, value)
        never = _from_array((value.array == 0) & np.isneginf(logits.array))  # 0 times what cannot be: 1
        powers = where(never, of_array(np.zeros((), logits.array.dtype)), logits) * value
        return (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1) + powers.sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)


class MultivariateNormal(Distribution):
    """N(μ, Σ) of K numbers:   density exp(-½ (x - μ)ᵀ Σ⁻¹ (x - μ)) / √((2π)ᴷ |Σ|),   with Σ = L Lᵀ

    ``loc`` (*, K) and one of ``covariance_matrix`` Σ, ``precision_matrix`` Σ⁻¹, ``scale_tril`` L, each (*, K, K).
    Errors: ValueError for none or several of them; LinAlgError if Σ is not positive definite.
    """

    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ):
        given = [m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None]
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        if loc.ndim < 1 or given[0].ndim < 2:
            raise ValueError(f"loc must be (*, K) and its matrix (*, K, K), got {loc.shape} and {given[0].shape}")
        if covariance_matrix is not None:
            factor = cholesky(covariance_matrix)
        elif precision_matrix is not None:
            factor = cholesky(inverse(precision_matrix))
        else:
            factor = scale_tril
        K = loc.shape[-1]
        batch = np.broadcast_shapes(loc.shape[:-1], factor.shape[:-2])
        self.loc, self.scale_tril = loc.expand(*batch, K), factor.expand(*batch, K, K)
        super().__init__(batch, (K,))

    @property
    def covariance_matrix(self) -> Tensor:
        return matmul(self.scale_tril, self.scale_tril.mT)

    @property
    def precision_matrix(self) -> Tensor:
        return inverse(self.covariance_matrix)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """μ + L ε, ε standard normal"""
        shape = self._extended(sample_shape)
        eps = _from_array(random.generator().normal_(np.empty(shape, self.loc.array.dtype)))
        return self.loc + matmul(self.scale_tril, eps.unsqueeze(-1)).squeeze(-1)

    def _log_volume(self) -> Tensor:
        """½ ln |Σ| = Σ ln Lₖₖ"""
        return self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        away = value - self.loc
        factor = self.scale_tril.expand(*away.shape, away.shape[-1])
        scaled = solve(tril(factor), away.unsqueeze(-1)).squeeze(-1)  # L⁻¹ (x - μ)
        constant = self.event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (constant + (scaled**2).sum(-1)) - self._log_volume()

    def entropy(self) -> Tensor:
        return 0.5 * self.event_shape[0] * (1 + math.log(2 * math.pi)) + self._log_volume()

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return (self.scale_tril**2).sum(-1)
