"""Adam and AdamW: each weight's step is scaled by the size of its own recent gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import update as kernels
from npnn.optim.optimizer import Optimizer

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """p ← p - lr m̂ / (√v̂ + ε), where m and v are running means of g and g².

        m ← β₁ m + (1 - β₁) g,   v ← β₂ v + (1 - β₂) g²,   m̂ = m / (1 - β₁ᵗ),   v̂ = v / (1 - β₂ᵗ)

    m and v start at zero; the division by 1 - βᵗ takes that bias away.  Weight decay λ makes
    g ← g + λ p first; decoupled (AdamW), it shrinks the weights instead: p ← (1 - lr λ) p.
    ``amsgrad`` divides by the largest v so far.  ``maximize`` climbs the gradient.
    Errors: ValueError for a negative option or a β outside [0, 1).
    Source: Kingma & Ba, Adam, 2015, algorithm 1; Reddi et al., On the convergence of Adam, 2018.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ):
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        flags = {"maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, {**options, **flags})

    def init(self, p: NDArray[Any], group: dict[str, Any]) -> dict[str, Any]:
        state = {"step": 0, "exp_avg": np.zeros_like(p), "exp_avg_sq": np.zeros_like(p)}
        return {**state, "max_exp_avg_sq": np.zeros_like(p)} if group["amsgrad"] else state

    def update(self, p: NDArray[Any], g: NDArray[Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        state["step"] = t = state["step"] + 1
        lr, (beta1, beta2), decay, keep = group["lr"], group["betas"], group["weight_decay"], 1.0
        if group["decoupled_weight_decay"]:
            decay, keep = 0.0, 1.0 - lr * decay  # this makes Adam AdamW
        kernels.adam(
            p, g, state["exp_avg"], state["exp_avg_sq"], state["max_exp_avg_sq"] if group["amsgrad"] else None,
            lr / (1 - beta1**t), beta1, beta2, 1 / math.sqrt(1 - beta2**t), group["eps"], decay, keep,
        )  # fmt: skip


class AdamW(Adam):
    """Adam whose weight decay shrinks the weights directly: p ← (1 - lr λ) p.

    Added to the gradient, the decay would be divided by √v̂ like the rest of it, and so weaken where
    gradients are large.
    Source: Loshchilov & Hutter, Decoupled weight decay regularization, 2019, algorithm 2.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for group in self.param_groups:  # a state of Adam is welcome, but its kind of decay is not
            group["decoupled_weight_decay"] = True
