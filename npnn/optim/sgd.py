"""Stochastic gradient descent: a step against the gradient, or along its running sum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import update as kernels
from npnn.optim.optimizer import Optimizer

__all__ = ["SGD", "Momentum"]


class SGD(Optimizer):
    """p ← p - lr g, where weight decay λ makes g ← g + λ p first.

    With momentum μ and dampening τ the step follows the buffer b ← μ b + (1 - τ) g instead of g; the
    first gradient enters it undamped.  Nesterov's form follows g + μ b: it looks ahead.
    ``maximize`` climbs the gradient.
    Errors: ValueError for a negative option, or Nesterov without momentum or with dampening.
    Source: Sutskever et al., On the importance of initialization and momentum, 2013, section 2.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ):
        options = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        super().__init__(params, {**options, "nesterov": nesterov, "maximize": maximize})

    def update(self, p: NDArray[Any], g: NDArray[Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        momentum, buffer, gain = group["momentum"], None, 1.0
        if momentum:
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = np.zeros_like(p)
            else:
                gain -= group["dampening"]
        kernels.sgd(p, g, buffer, group["lr"], momentum, gain, group["weight_decay"], group["nesterov"])


class Momentum(SGD):
    """SGD with a momentum of 0.9 unless told otherwise."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.9,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, lr, momentum, dampening, weight_decay, nesterov, maximize=maximize)
