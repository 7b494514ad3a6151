"""Averaged SGD: plain steps with a rate that falls, and the mean of the weights on the way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.optim.optimizer import Optimizer

__all__ = ["ASGD"]


class ASGD(Optimizer):
    """p ← (1 - λ η_t) p - η_t g with η_t = lr / (1 + λ lr t)^α; ``ax`` in the state is the mean of p from step t0 on.

    As in torch η_t and the mean's weight are kept in float32.

    Source: Polyak & Juditsky, Acceleration of stochastic approximation by averaging, 1992; Bottou, 2010.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6,
        weight_decay: float = 0, *, maximize: bool = False,
    ):  # fmt: skip
        options = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, options)

    def init(self, p: NDArray[Any], group: dict[str, Any]) -> dict[str, Any]:
        return {"step": 0, "eta": float(np.float32(group["lr"])), "mu": 1.0, "ax": np.zeros_like(p)}

    def update(self, p: NDArray[Any], g: NDArray[Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        state["step"] = t = state["step"] + 1
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        of = p.dtype.type
        p *= of(1 - group["lambd"] * state["eta"])
        p -= of(state["eta"]) * g
        if state["mu"] == 1:
            state["ax"][...] = p
        else:
            state["ax"] += (p - state["ax"]) * of(state["mu"])
        state["eta"] = float(np.float32(group["lr"] / (1 + group["lambd"] * group["lr"] * t) ** group["alpha"]))
        state["mu"] = float(np.float32(1 / max(1, t - group["t0"])))
