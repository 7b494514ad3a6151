"""Adadelta: each step is as large, against recent steps, as the gradient is against recent gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.optim.optimizer import Optimizer

__all__ = ["Adadelta"]


class Adadelta(Optimizer):
    """p ← p - lr Δ, where Δ = √(d + ε) / √(s + ε) · g, so that Δ has the unit of p.

        s ← ρ s + (1 - ρ) g²,   d ← ρ d + (1 - ρ) Δ²

    s and d are running means of the squares of the gradients and of the steps; both start at zero.
    Weight decay λ makes g ← g + λ p first.  ``maximize`` climbs the gradient.
    Errors: ValueError for a negative option or a ρ above 1.
    Source: Zeiler, Adadelta: an adaptive learning rate method, 2012, algorithm 1.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def init(self, p: NDArray[Any], group: dict[str, Any]) -> dict[str, Any]:
        return {"step": 0, "square_avg": np.zeros_like(p), "acc_delta": np.zeros_like(p)}

    def update(self, p: NDArray[Any], g: NDArray[Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        state["step"] += 1
        rho, eps = group["rho"], group["eps"]
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        s, d = state["square_avg"], state["acc_delta"]
        s *= rho
        s += (1 - rho) * g * g
        delta = np.sqrt(d + eps) / np.sqrt(s + eps) * g
        d *= rho
        d += (1 - rho) * delta * delta
        p -= float(group["lr"]) * delta
