"""Losses for regression: how far the prediction is from the number."""

from __future__ import annotations

import numpy as np

from npnn.nn.loss.base import ElementwiseLoss, Loss, checked_reduction
from npnn.tensor import Tensor

__all__ = [
    "HuberLoss", "L1Loss", "MSELoss", "SmoothL1Loss", "huber_loss", "l1_loss", "mse_loss", "smooth_l1_loss",
]  # fmt: skip


class SquaredError(ElementwiseLoss):
    """ℓ = (x - t)².   ∂ℓ/∂x = 2 (x - t) = -∂ℓ/∂t"""

    def element(self, x, t):
        self.difference = x - t
        return self.difference * self.difference

    def slopes(self):
        slope = 2 * self.difference
        return slope, -slope


class AbsoluteError(ElementwiseLoss):
    """ℓ = |x - t|.   ∂ℓ/∂x = sign(x - t) = -∂ℓ/∂t"""

    def element(self, x, t):
        self.difference = x - t
        return np.abs(self.difference)

    def slopes(self):
        slope = np.sign(self.difference)
        return slope, -slope


class HuberError(ElementwiseLoss):
    """ℓ = d²/2 where |d| <= δ, else δ (|d| - δ/2), with d = x - t.   ∂ℓ/∂x = c = d limited to ±δ = -∂ℓ/∂t

    In one formula, ℓ = c (d - c/2).
    """

    def element(self, x, t, delta):
        difference = x - t
        self.slope, self.delta = difference.clip(-delta, delta), delta
        return (difference - 0.5 * self.slope) * self.slope

    def slopes(self):
        return self.slope, -self.slope


class SmoothAbsoluteError(HuberError):
    """Huber's loss divided by its δ, here called β: |d| far from 0.   ∂ℓ/∂x = d/β limited to ±1"""

    def element(self, x, t, beta):
        return super().element(x, t, beta) / beta

    def slopes(self):
        slope = super().slopes()[0] / self.delta
        return slope, -slope


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(x - t)², averaged.   x and t of one shape; t is cast to x's dtype; a weighted mean is Σ w (x - t)² / Σ w

    Errors: ShapeError if the shapes differ: (N,) against (N, 1) would compare every pair.
    """
    checked_reduction(reduction)
    return SquaredError.apply(input, target, weight, reduction=reduction, mean_weight=True)


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """|x - t|, averaged.  The gradient where x = t is 0.  Shapes and errors as in mse_loss."""
    checked_reduction(reduction)
    return AbsoluteError.apply(input, target, weight, reduction=reduction, mean_weight=True)


def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """|d| - β/2 far from 0 and d²/(2β) within β of it, averaged, with d = x - t.  β = 0 is l1_loss.

    Shapes and errors as in mse_loss.   Source: Girshick, Fast R-CNN, 2015, equation 3.
    """
    checked_reduction(reduction)
    if beta < 0:
        raise RuntimeError(f"beta must not be negative, got {beta}")
    if beta == 0:
        return AbsoluteError.apply(input, target, reduction=reduction)
    return SmoothAbsoluteError.apply(input, target, reduction=reduction, beta=beta)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """d²/2 within δ of 0 and δ (|d| - δ/2) beyond, averaged, with d = x - t: outliers pull with a bounded force.

    A mean is divided by the number of elements, with weights as well, as in torch.
    Shapes and errors as in mse_loss.   Source: Huber, Robust estimation of a location parameter, 1964.
    """
    if delta <= 0:
        raise RuntimeError(f"delta must be positive, got {delta}")
    checked_reduction(reduction)
    return HuberError.apply(input, target, weight, reduction=reduction, delta=delta)


class MSELoss(Loss):
    """(x - t)², averaged: see mse_loss.   (*), (*) -> (), or (*) without reduction"""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return mse_loss(input, target, reduction=self.reduction)


class L1Loss(Loss):
    """|x - t|, averaged: see l1_loss.   (*), (*) -> (), or (*) without reduction"""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(Loss):
    """|d| with a rounded corner: see smooth_l1_loss.   (*), (*) -> (), or (*) without reduction"""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0):
        super().__init__(reduction=reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(Loss):
    """d²/2 near 0, a line beyond: see huber_loss.   (*), (*) -> (), or (*) without reduction"""

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__(reduction=reduction)
        if isinstance(delta, complex):
            raise TypeError(f"delta must be a float or int, got: {type(delta)}")
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return huber_loss(input, target, reduction=self.reduction, delta=self.delta)
