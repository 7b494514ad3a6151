"""RAdam: Adam that waits until it knows the size of the gradients well enough to divide by it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.optim.optimizer import Optimizer

__all__ = ["RAdam"]


class RAdam(Optimizer):
    """p ← p - lr r m̂ / (√v̂ + ε'), but p ← p - lr m̂ as long as v is the mean of too few gradients.

        m ← β₁ m + (1 - β₁) g,   v ← β₂ v + (1 - β₂) g²,   m̂ = m / (1 - β₁ᵗ),   v̂ = v / (1 - β₂ᵗ)

    The running mean v is worth ρₜ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ) gradients, in the end ρ∞ = 2 / (1 - β₂) - 1.
    From ρₜ > 5 on the step is Adam's, scaled for the variance that v still has:
    r² = (ρₜ - 4)(ρₜ - 2) ρ∞ / ((ρ∞ - 4)(ρ∞ - 2) ρₜ).  ε' is ε / √(1 - β₂ᵗ).
    Weight decay λ makes g ← g + λ p first; with ``decoupled_weight_decay`` it shrinks the weights
    instead: p ← (1 - lr λ) p.  ``maximize`` climbs the gradient.
    Errors: ValueError for a negative option or a β outside [0, 1).
    Source: Liu et al., On the variance of the adaptive learning rate and beyond, 2020, algorithm 2.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ):
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, {**options, "decoupled_weight_decay": decoupled_weight_decay})

    def init(self, p: NDArray[Any], group: dict[str, Any]) -> dict[str, Any]:
        return {"step": 0, "exp_avg": np.zeros_like(p), "exp_avg_sq": np.zeros_like(p)}

    def update(self, p: NDArray[Any], g: NDArray[Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        state["step"] = t = state["step"] + 1
        lr, (beta1, beta2), decay = float(group["lr"]), group["betas"], group["weight_decay"]
        if group["decoupled_weight_decay"]:
            p *= 1 - lr * decay
        elif decay:
            g = g + decay * p
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * g * g
        step = lr / (1 - beta1**t) * m
        correction = 1 - beta2**t
        limit = 2 / (1 - beta2) - 1
        length = limit - 2 * t * beta2**t / correction  # ρₜ
        if length > 5:
            r = math.sqrt((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length))
            step *= r * math.sqrt(correction) / (np.sqrt(v) + group["eps"])
        p -= step
