"""The Kullback-Leibler divergence of two distributions:   Σ p ln(p / q)"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from npnn.distributions.base import Independent
from npnn.distributions.continuous import Exponential, Normal, Uniform
from npnn.distributions.discrete import Bernoulli, Categorical
from npnn.distributions.multivariate import MultivariateNormal
from npnn.nn.activation.smooth import softplus
from npnn.ops.decompositions import solve
from npnn.ops.indexing import where
from npnn.ops.matrices import tril
from npnn.tensor import Tensor, _from_array

__all__ = ["kl_divergence"]


def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())


def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    inf = math.inf
    first = p.probs * (softplus(-q.logits, threshold=inf) - softplus(-p.logits, threshold=inf))
    return first + (1 - p.probs) * (softplus(q.logits, threshold=inf) - softplus(p.logits, threshold=inf))


def _categorical(p: Categorical, q: Categorical) -> Tensor:
    return (p.probs * (p.logits - q.logits)).sum(-1)


def _uniform(p: Uniform, q: Uniform) -> Tensor:
    inside = (q.low.array <= p.low.array) & (q.high.array >= p.high.array)
    value = ((q.high - q.low) / (p.high - p.low)).log()
    return where(_from_array(inside), value, value * 0 + math.inf)


def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


def _vector(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    """½ (tr Σq⁻¹ Σp + (μq - μp)ᵀ Σq⁻¹ (μq - μp) - K) + ½ ln |Σq| / |Σp|"""
    away = (q.loc - p.loc).unsqueeze(-1)
    ratio, distance = solve(tril(q.scale_tril), p.scale_tril), solve(tril(q.scale_tril), away)
    squares = (ratio**2).sum((-2, -1)) + (distance**2).sum((-2, -1))
    return 0.5 * (squares - p.event_shape[0]) + q._log_volume() - p._log_volume()


_FORMULAS: dict[type, Callable[[Any, Any], Tensor]] = {
    Normal: _normal, Bernoulli: _bernoulli, Categorical: _categorical, Uniform: _uniform, Exponential: _exponential,
    MultivariateNormal: _vector,
}  # fmt: skip


def kl_divergence(p: Any, q: Any) -> Tensor:
    """KL(p ‖ q) of two distributions of one kind.   Errors: NotImplementedError for a pair without a formula here."""
    if isinstance(p, Independent) and isinstance(q, Independent):
        if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
            raise NotImplementedError("kl_divergence of Independents of different axes")
        return p._summed(kl_divergence(p.base_dist, q.base_dist))
    formula = _FORMULAS.get(type(p))
    if formula is None or type(p) is not type(q):
        raise NotImplementedError(f"no formula for KL({type(p).__name__} || {type(q).__name__})")
    return formula(p, q)
