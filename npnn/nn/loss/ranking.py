"""Losses that compare: margins, triplets, angles; and counts and spreads that are predicted.   Each from its formula."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np

from npnn.errors import ShapeError
from npnn.nn.activation.simple import logsigmoid
from npnn.nn.activation.smooth import softplus
from npnn.nn.loss.base import Loss, checked_reduction
from npnn.nn.loss.distance import cosine_similarity, pairwise_distance
from npnn.ops.comparison import le
from npnn.ops.extremes import clamp_min
from npnn.ops.indexing import masked_fill, where
from npnn.tensor import Tensor, _from_array, of_array

__all__ = [
    "CosineEmbeddingLoss", "GaussianNLLLoss", "HingeEmbeddingLoss", "MarginRankingLoss", "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss", "MultiMarginLoss", "PoissonNLLLoss", "SoftMarginLoss", "TripletMarginLoss",
    "TripletMarginWithDistanceLoss", "cosine_embedding_loss", "gaussian_nll_loss", "hinge_embedding_loss",
    "margin_ranking_loss", "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss",
    "poisson_nll_loss", "soft_margin_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    checked_reduction(reduction)
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.mean()


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, reduction: str = "mean"
) -> Tensor:
    """max(0, -t (x₁ - x₂) + margin): x₁ should be larger where t = 1, smaller where t = -1."""
    if input1.array.ndim != input2.array.ndim or input1.array.ndim != target.array.ndim:
        raise ShapeError(f"margin_ranking_loss: got shapes {input1.shape}, {input2.shape} and {target.shape}")
    return _reduced(clamp_min(-target * (input1 - input2) + margin, 0), reduction)


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """x where t = 1, max(0, margin - x) where t = -1."""
    zero = _from_array(np.zeros_like(input.array))
    near = where(_from_array(target.array == -1), zero, input)
    return _reduced(near + where(_from_array(target.array == 1), zero, clamp_min(margin - input, 0)), reduction)


def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """ln(1 + exp(-t x)), t = 1 or -1."""
    return _reduced(softplus(-target * input, threshold=math.inf), reduction)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, reduction: str = "mean"
) -> Tensor:
    """1 - cos(x₁, x₂) where t = 1, max(0, cos(x₁, x₂) - margin) where t = -1.   (N, D), (N, D), (N,)"""
    if target.array.ndim + 1 != input1.array.ndim or input1.array.ndim != input2.array.ndim:
        raise ShapeError(f"cosine_embedding_loss: got shapes {input1.shape}, {input2.shape} and {target.shape}")
    cos = cosine_similarity(input1, input2, -1, 1e-12)
    zero = _from_array(np.zeros_like(cos.array))
    same, other = (_from_array(target.array == t) for t in (1, -1))
    return _reduced(where(same, 1 - cos, zero) + where(other, clamp_min(cos - margin, 0), zero), reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ_{i ≠ t} max(0, margin - x_t + x_i)ᵖ / C.   (N, C), (N,)"""
    x, t = (input, target) if input.array.ndim == 2 else (input.unsqueeze(0), target.reshape(1))
    right = x.gather(1, t.reshape(-1, 1))
    losses = clamp_min(margin - right + x, 0) ** p
    if weight is not None:
        losses = losses * weight[t].reshape(-1, 1)
    other = np.ones(x.array.shape, bool)
    np.put_along_axis(other, t.array.reshape(-1, 1), False, 1)
    losses = where(_from_array(other), losses, _from_array(np.zeros_like(x.array))).sum(1) / x.array.shape[1]
    return _reduced(losses if input.array.ndim == 2 else losses.squeeze(0), reduction)


def multilabel_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Σ max(0, 1 - (x_j - x_i)) / C over the classes j that are targets (up to the first -1) and i that are none."""
    x, t = (input, target) if input.array.ndim == 2 else (input.unsqueeze(0), target.unsqueeze(0))
    N, C = x.array.shape
    listed = np.cumsum(t.array < 0, 1) == 0
    is_target = np.zeros((N, C), bool)
    rows, columns = np.nonzero(listed)
    is_target[rows, t.array[rows, columns]] = True
    right = x.gather(1, _from_array(np.where(listed, t.array, 0)))
    margins = clamp_min(1 - (right.unsqueeze(2) - x.unsqueeze(1)), 0)  # (N, target, other)
    counted = _from_array(listed[:, :, None] & ~is_target[:, None, :])
    losses = where(counted, margins, _from_array(np.zeros_like(margins.array))).sum((1, 2)) / C
    return _reduced(losses if input.array.ndim == 2 else losses.squeeze(0), reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """The mean over classes of -(t ln sigmoid(x) + (1 - t) ln sigmoid(-x)).   (N, C), (N, C)"""
    losses = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    losses = losses if weight is None else losses * weight
    return _reduced(losses.mean(-1), reduction)


def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
    swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, d(a, +) - d(a, -) + margin); with ``swap`` the nearer of d(a, -) and d(+, -).

    Source: Schroff et al., FaceNet, 2015; Balntas et al., Learning local feature descriptors with triplets, 2016 (swap).
    """

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=distance, margin=margin, swap=swap, reduction=reduction
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *, distance_function: Any = None, margin: float = 1.0,
    swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """triplet_margin_loss with a distance of your own."""
    distance = distance_function or pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return _reduced(clamp_min(near - far + margin, 0), reduction)


def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool = True, full: bool = False, size_average: bool | None = None,
    eps: float = 1e-8, reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """exp(x) - t x, or x - t ln(x + eps); ``full`` adds Stirling's approximation of ln t! for t > 1."""
    losses = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        losses = losses + masked_fill(stirling, le(target, 1), 0)
    return _reduced(losses, reduction)


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(ln v + (x - t)² / v) / 2, with the variance v at least eps; ``full`` adds ln(2π) / 2."""
    if not isinstance(var, Tensor):
        var = of_array(np.full_like(input.array, var))
    if (var.array < 0).any():
        raise ValueError("var has negative entry/entries")
    if var.array.shape != input.array.shape:
        if var.array.shape == input.array.shape[:-1]:
            var = var.unsqueeze(-1)
        elif var.array.ndim != input.array.ndim or any(
            n not in (1, m) for n, m in zip(var.array.shape, input.array.shape, strict=True)
        ):
            raise ValueError("var is of incorrect size")
    limited = var + (clamp_min(var.detach(), eps) - var.detach())
    losses = 0.5 * (limited.log() + (input - target) ** 2 / limited)
    return _reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


class _Setting(Loss):
    """A loss layer whose settings are arguments of its function."""

    function: Any
    names: tuple[str, ...] = ()

    def forward(self, *inputs: Tensor) -> Tensor:
        options = {name: getattr(self, name) for name in self.names}
        return type(self).function(*inputs, **options, reduction=self.reduction)


def _layer(name: str, function: Any, **defaults: Any) -> type[Loss]:
    """The layer of a loss: its settings, in torch's order, with their defaults."""
    names = tuple(defaults)

    def __init__(self: Any, *args: Any, **options: Any) -> None:  # noqa: N807
        unknown = options.keys() - {*names, "reduction"}
        if unknown or len(args) > len(names):
            raise TypeError(f"{name}() got an unexpected argument {', '.join(unknown)}")
        Loss.__init__(self, reduction=options.pop("reduction", "mean"))
        for key, value in {**defaults, **dict(zip(names, args, strict=False)), **options}.items():
            if key == "weight":
                self.register_buffer(key, value)
            else:
                setattr(self, key, value)

    kinds = inspect.Parameter
    parameters = [kinds("self", kinds.POSITIONAL_OR_KEYWORD)]
    parameters += [kinds(n, kinds.POSITIONAL_OR_KEYWORD, default=v) for n, v in defaults.items()]
    parameters += [kinds("reduction", kinds.KEYWORD_ONLY, default="mean")]
    __init__.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return type(name, (_Setting,), {"__init__": __init__, "__doc__": f"See {function.__name__}.", "__module__": __name__,
                                    "function": staticmethod(function), "names": names})  # fmt: skip


MarginRankingLoss = _layer("MarginRankingLoss", margin_ranking_loss, margin=0.0)
HingeEmbeddingLoss = _layer("HingeEmbeddingLoss", hinge_embedding_loss, margin=1.0)
SoftMarginLoss = _layer("SoftMarginLoss", soft_margin_loss)
CosineEmbeddingLoss = _layer("CosineEmbeddingLoss", cosine_embedding_loss, margin=0.0)
MultiMarginLoss = _layer("MultiMarginLoss", multi_margin_loss, p=1, margin=1.0, weight=None)
MultiLabelMarginLoss = _layer("MultiLabelMarginLoss", multilabel_margin_loss)
MultiLabelSoftMarginLoss = _layer("MultiLabelSoftMarginLoss", multilabel_soft_margin_loss, weight=None)
TripletMarginLoss = _layer("TripletMarginLoss", triplet_margin_loss, margin=1.0, p=2.0, eps=1e-6, swap=False)
TripletMarginWithDistanceLoss = _layer(
    "TripletMarginWithDistanceLoss", triplet_margin_with_distance_loss, distance_function=None, margin=1.0, swap=False
)
PoissonNLLLoss = _layer("PoissonNLLLoss", poisson_nll_loss, log_input=True, full=False, eps=1e-8)
GaussianNLLLoss = _layer("GaussianNLLLoss", gaussian_nll_loss, full=False, eps=1e-6)
