"""Losses between probabilities: yes or no for each element, and one distribution against another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn.nn.activation.smooth import softplus
from npnn.nn.loss.base import ElementwiseLoss, Loss, checked_reduction, spread
from npnn.ops.elementwise import sigmoid
from npnn.tensor import Tensor

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "KLDivLoss",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div",
]  # fmt: skip


class BinaryCrossEntropyWithLogits(ElementwiseLoss):
    """ℓ = -(p t log σ(x) + (1 - t) log(1 - σ(x))) for logits x; p weighs the positive examples.

    With s = -log σ(x) = log(1 + e⁻ˣ):   ℓ = (1 - t) x + (1 + (p - 1) t) s

    ∂ℓ/∂x = (1 - t) - (1 + (p - 1) t) σ(-x)      ∂ℓ/∂t = -x + (p - 1) s
    """

    def element(self, x, t, pos_weight):
        extra = None if pos_weight is None else spread(pos_weight, x, "pos_weight") - 1
        decay = np.exp(-np.abs(x))  # between 0 and 1, so nothing overflows
        s = np.log1p(decay) + np.maximum(-x, 0)
        factor = 1 if extra is None else 1 + extra * t
        self.x, self.t, self.s, self.decay, self.extra, self.factor_s = x, t, s, decay, extra, factor
        return (1 - t) * x + factor * s

    def slopes(self):
        sigmoid_of_minus_x = np.where(self.x < 0, 1, self.decay) / (1 + self.decay)
        dx = (1 - self.t) - self.factor_s * sigmoid_of_minus_x
        return dx, -self.x if self.extra is None else self.extra * self.s - self.x

    def derivative(self: Any, dy: Any) -> Any:
        x, t = (self.input(i, v) for i, v in enumerate(self.given))
        dy = dy * self.factor
        if self.weights is not None:
            dy = dy * self.weights
        factor = 1 if self.extra is None else 1 + self.extra * t
        dt = -x if self.extra is None else self.extra * softplus(-x, 1.0, math.inf) - x
        return ((1 - t) - factor * sigmoid(-x)) * dy, dt * dy, *[None] * (len(self.inputs) - 2)


class BinaryCrossEntropy(ElementwiseLoss):
    """ℓ = -(t log x + (1 - t) log(1 - x)) for probabilities x; a logarithm counts for no less than -100.

    ∂ℓ/∂x = (x - t) / (x (1 - x))      ∂ℓ/∂t = log(1 - x) - log x
    """

    def element(self, x, t):
        with np.errstate(divide="ignore"):
            log_x, log_rest = np.maximum(np.log(x), -100), np.maximum(np.log1p(-x), -100)
        self.x, self.t = x, t
        return (t - 1) * log_rest - t * log_x

    def slopes(self):
        x = self.x
        with np.errstate(divide="ignore"):
            dt = np.log1p(-x) - np.log(x) if self.needs_grad[1] else None
        return (x - self.t) / np.maximum(x * (1 - x), 1e-12), dt


class KullbackLeibler(ElementwiseLoss):
    """ℓ = t (log t - x) for log-probabilities x and probabilities t; 0 where t = 0.

    ∂ℓ/∂x = -t      ∂ℓ/∂t = log t + 1 - x
    """

    def element(self, x, t):
        with np.errstate(divide="ignore", invalid="ignore"):  # of a negative probability: nan
            self.x, self.t, self.log_t = x, t, np.log(t)
            return np.where(t == 0, 0, t * (self.log_t - x))

    def slopes(self):
        return -self.t, self.log_t + 1 - self.x


class KullbackLeiblerOfLogs(ElementwiseLoss):
    """ℓ = eᵗ (t - x) for log-probabilities x and t.   ∂ℓ/∂x = -eᵗ, ∂ℓ/∂t = eᵗ (t - x + 1)"""

    def element(self, x, t):
        self.difference, self.p = t - x, np.exp(t)
        return self.p * self.difference

    def slopes(self):
        return -self.p, self.p * (self.difference + 1)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-(t log σ(x) + (1 - t) log(1 - σ(x))), averaged, for logits x and t in [0, 1] of one shape.

    ``weight`` multiplies the losses, ``pos_weight`` the first term; both broadcast.  Finite for any finite x.
    Errors: ShapeError if the shapes differ.   Source: Bishop, Pattern Recognition and Machine Learning, equation 4.90.
    """
    checked_reduction(reduction)
    p = None if pos_weight is None else pos_weight.array
    return BinaryCrossEntropyWithLogits.apply(input, target, weight, reduction=reduction, pos_weight=p)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """-(t log x + (1 - t) log(1 - x)), averaged, for probabilities x and t in [0, 1] of one shape.

    binary_cross_entropy_with_logits is more exact.   Errors: ShapeError if the shapes differ,
    RuntimeError for values that are no probabilities.
    """
    checked_reduction(reduction)
    for article, name, p in (("an", "input", input.array), ("a", "target", target.array)):
        if p.size and not (p.min() >= 0 and p.max() <= 1):
            hint = ": binary_cross_entropy_with_logits takes logits" if name == "input" else ""
            found = f"{article} {name} with values from {p.min()} to {p.max()}"
            raise RuntimeError(f"expected probabilities between 0 and 1, got {found}{hint}")
    return BinaryCrossEntropy.apply(input, target, weight, reduction=reduction)


def kl_div(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """t (log t - x), averaged, for log-probabilities x and probabilities t (their logarithms if ``log_target``).

    ``reduction="batchmean"`` divides the sum by the number of rows, which is the divergence as
    the books define it; "mean" divides by the number of elements.
    Errors: ShapeError if the shapes differ.   Source: Kullback & Leibler, On information and sufficiency, 1951.
    """
    op = KullbackLeiblerOfLogs if log_target else KullbackLeibler
    return op.apply(input, target, reduction=checked_reduction(reduction, "batchmean"))


class BCEWithLogitsLoss(Loss):
    """Yes or no from logits: see binary_cross_entropy_with_logits.   (*), (*) -> (), or (*) without reduction"""

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None):
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class BCELoss(Loss):
    """Yes or no from probabilities: see binary_cross_entropy.   (*), (*) -> (), or (*) without reduction"""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean"):
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class KLDivLoss(Loss):
    """Divergence of log-probabilities from probabilities: see kl_div.   (*), (*) -> (), or (*) without reduction"""

    def __init__(self, *, reduction: str = "mean", log_target: bool = False):
        self.reduction = checked_reduction(reduction, "batchmean")
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return kl_div(input, target, reduction=self.reduction, log_target=self.log_target)
