"""Rprop: a step size for each weight, which grows while the gradient keeps its sign, and shrinks when it turns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.optim.optimizer import Optimizer

__all__ = ["Rprop"]


class Rprop(Optimizer):
    """p ← p - sign(g) η; η grows by η⁺ where g keeps its sign, shrinks by η⁻ where it turns, and there g counts as 0.

    For whole batches: the sign of a small batch's gradient turns by chance.
    Source: Riedmiller & Braun, A direct adaptive method for faster backpropagation learning, 1993.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50), *, maximize: bool = False,
    ):  # fmt: skip
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def init(self, p: NDArray[Any], group: dict[str, Any]) -> dict[str, Any]:
        return {"step": 0, "prev": np.zeros_like(p), "step_size": np.full_like(p, group["lr"])}

    def update(self, p: NDArray[Any], g: NDArray[Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        state["step"] += 1
        (shrink, grow), (least, most) = group["etas"], group["step_sizes"]
        turned = np.sign(g * state["prev"])
        factor = np.where(turned > 0, grow, np.where(turned < 0, shrink, 1)).astype(p.dtype)
        state["step_size"][...] = np.clip(state["step_size"] * factor, least, most)
        g = np.where(turned < 0, 0, g).astype(p.dtype)
        p -= np.sign(g) * state["step_size"]
        state["prev"][...] = g
