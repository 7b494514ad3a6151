"""NAdam: Adam that looks ahead, as Nesterov's momentum does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.optim.optimizer import Optimizer

__all__ = ["NAdam"]


class NAdam(Optimizer):
    """p ← p - lr ((1 - μₜ) g / (1 - Πₜ) + μₜ₊₁ m / (1 - Πₜ₊₁)) / (√v̂ + ε), where Πₜ = μ₁ μ₂ … μₜ.

        m ← β₁ m + (1 - β₁) g,   v ← β₂ v + (1 - β₂) g²,   v̂ = v / (1 - β₂ᵗ),   μₜ = β₁ (1 - 0.96^(t ψ) / 2)

    The part of m in the step is what it will be next time; μ grows towards β₁, with ψ = ``momentum_decay``.
    Weight decay λ makes g ← g + λ p first; with ``decoupled_weight_decay`` it shrinks the weights
    instead: p ← (1 - lr λ) p.  ``maximize`` climbs the gradient.
    Errors: ValueError for a negative option or a β outside [0, 1).
    Source: Dozat, Incorporating Nesterov momentum into Adam, 2016, algorithm 8.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ):
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        flags = {"momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, {**options, **flags})

    def init(self, p: NDArray[Any], group: dict[str, Any]) -> dict[str, Any]:
        return {"step": 0, "mu_product": 1.0, "exp_avg": np.zeros_like(p), "exp_avg_sq": np.zeros_like(p)}

    def update(self, p: NDArray[Any], g: NDArray[Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        state["step"] = t = state["step"] + 1
        lr, (beta1, beta2), decay = float(group["lr"]), group["betas"], group["weight_decay"]
        if group["decoupled_weight_decay"]:
            p *= 1 - lr * decay
        elif decay:
            g = g + decay * p
        mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (s * group["momentum_decay"])) for s in (t, t + 1))
        # torch keeps this one number in float32: the same rounding, so that states can be exchanged
        state["mu_product"] = product = float(np.float32(state["mu_product"]) * np.float32(mu))
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * g * g
        size = np.sqrt(v / (1 - beta2**t)) + group["eps"]
        p -= (lr * (1 - mu) / (1 - product) * g + lr * mu_next / (1 - product * mu_next) * m) / size
