"""RMSprop: the gradient divided by its own recent size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import update as kernels
from npnn.optim.optimizer import Optimizer

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """p ← p - lr g / (√s + ε), where s ← α s + (1 - α) g² is a running mean of g².

    ``centered`` subtracts the square of the running mean of g from s, which leaves the variance.
    With momentum μ the step follows b ← μ b + g / (√s + ε).  Weight decay λ makes g ← g + λ p first.
    ``maximize`` climbs the gradient.
    Errors: ValueError for a negative option.
    Source: Hinton, Neural networks for machine learning, 2012, lecture 6e; centered: Graves,
    Generating sequences with recurrent neural networks, 2013, equations 38 to 45.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ):
        options = {"lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered}
        super().__init__(params, {**options, "weight_decay": weight_decay, "maximize": maximize})

    def init(self, p: NDArray[Any], group: dict[str, Any]) -> dict[str, Any]:
        state = {"step": 0, "square_avg": np.zeros_like(p)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = np.zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = np.zeros_like(p)
        return state

    def update(self, p: NDArray[Any], g: NDArray[Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        state["step"] += 1
        momentum = group["momentum"]
        mean = state["grad_avg"] if group["centered"] else None
        buffer = state["momentum_buffer"] if momentum > 0 else None
        kernels.rmsprop(
            p, g, state["square_avg"], mean, buffer,
            group["lr"], group["alpha"], group["eps"], momentum, group["weight_decay"],
        )  # fmt: skip
