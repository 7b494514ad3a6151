"""Adamax: Adam with the largest recent gradient in the place of their mean square."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.optim.optimizer import Optimizer

__all__ = ["Adamax"]


class Adamax(Optimizer):
    """p ← p - lr m̂ / u, where u ← max(β₂ u, |g| + ε) is the largest gradient, slowly forgotten.

        m ← β₁ m + (1 - β₁) g,   m̂ = m / (1 - β₁ᵗ)

    It is the limit of Adam when powers of the gradient ever higher than 2 are averaged.
    Weight decay λ makes g ← g + λ p first.  ``maximize`` climbs the gradient.
    Errors: ValueError for a negative option or a β outside [0, 1).
    Source: Kingma & Ba, Adam, 2015, algorithm 2.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ):
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, options)

    def init(self, p: NDArray[Any], group: dict[str, Any]) -> dict[str, Any]:
        return {"step": 0, "exp_avg": np.zeros_like(p), "exp_inf": np.zeros_like(p)}

    def update(self, p: NDArray[Any], g: NDArray[Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        state["step"] = t = state["step"] + 1
        beta1, beta2 = group["betas"]
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        m, u = state["exp_avg"], state["exp_inf"]
        m += (1 - beta1) * (g - m)
        np.maximum(beta2 * u, np.abs(g) + group["eps"], out=u)
        p -= float(group["lr"]) / (1 - beta1**t) * m / u
