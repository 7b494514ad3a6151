"""Adagrad: the gradient divided by the size of all gradients so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import update as kernels
from npnn.optim.optimizer import Optimizer

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """p ← p - lrₜ g / (√s + ε), where s ← s + g² and lrₜ = lr / (1 + (t - 1) lr_decay).

    s starts at ``initial_accumulator_value``.  Weight decay λ makes g ← g + λ p first.
    ``maximize`` climbs the gradient.
    Errors: ValueError for a negative option.
    Source: Duchi, Hazan & Singer, Adaptive subgradient methods, 2011, section 1.1.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ):
        options = {"lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, {**options, "initial_accumulator_value": initial_accumulator_value})

    def init(self, p: NDArray[Any], group: dict[str, Any]) -> dict[str, Any]:
        return {"step": 0, "sum": np.full_like(p, group["initial_accumulator_value"])}

    def update(self, p: NDArray[Any], g: NDArray[Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        lr = group["lr"] / (1 + state["step"] * group["lr_decay"])
        state["step"] += 1
        kernels.adagrad(p, g, state["sum"], lr, group["eps"], group["weight_decay"])
