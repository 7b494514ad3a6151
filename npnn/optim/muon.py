"""Muon: momentum whose matrices are made nearly orthogonal, so that all directions move alike."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.optim.optimizer import Optimizer

__all__ = ["Muon"]


class Muon(Optimizer):
    """b ← μ b + (1 - μ) g;  p ← (1 - lr λ) p - lr' O(μ b + (1 - μ) g),  O(M) ≈ U Vᵀ of M = U S Vᵀ.

    For matrices only; biases, embeddings and heads are left to AdamW.  Without ``nesterov``, O(b).  O is ``ns_steps``
    of Newton and Schulz's iteration X ← a X + (b A + c A²) X, A = X Xᵀ, from X = M / ‖M‖, rounded to bfloat16 as in
    PyTorch, so that both agree to its 8 bits.  lr' is lr √max(1, rows / columns), or with
    ``adjust_lr_fn="match_rms_adamw"`` 0.2 lr √max(rows, columns).
    Errors: ValueError for a parameter that is no matrix, or a setting out of its range.
    Source: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95,
        nesterov: bool = True, ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7, ns_steps: int = 5, adjust_lr_fn: str | None = None,
    ):  # fmt: skip
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        if not 0 <= ns_steps < 100:
            raise ValueError(f"Number of steps must be less than 100 for computational efficiency, got {ns_steps}")
        if len(ns_coefficients) != 3:
            raise ValueError("Coefficients must be a tuple of exactly 3 values")
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
                    "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps,
                    "adjust_lr_fn": adjust_lr_fn}  # fmt: skip
        super().__init__(params, defaults)
        for p in (p for group in self.param_groups for p in group["params"]):
            if p.ndim != 2:
                raise ValueError(f"Muon only supports 2D parameters whereas we found a parameter with size: {p.shape}")

    def init(self, p: NDArray[Any], group: dict[str, Any]) -> dict[str, Any]:
        return {"momentum_buffer": np.zeros_like(p)}

    def update(self, p: NDArray[Any], g: NDArray[Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        buffer, momentum, of = state["momentum_buffer"], group["momentum"], p.dtype.type
        buffer += of(1 - momentum) * (g - buffer)
        moved = g + of(momentum) * (buffer - g) if group["nesterov"] else buffer
        rows, columns = p.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            rate = 0.2 * math.sqrt(max(rows, columns))
        else:
            rate = math.sqrt(max(1, rows / columns))
        p *= of(1 - group["lr"] * group["weight_decay"])
        p -= of(group["lr"] * rate) * _orthogonal(moved, group["ns_coefficients"], group["ns_steps"], group["eps"])


def _orthogonal(m: NDArray[Any], coefficients: tuple[float, float, float], steps: int, eps: float) -> NDArray[Any]:
    """A matrix with the singular vectors of m, and singular values near 1."""
    a, b, c = (np.float32(x) for x in coefficients)
    wide = m.T if m.shape[0] > m.shape[1] else m
    x = _rounded(wide)
    x = _rounded(x / max(_rounded(np.linalg.norm(x)), np.float32(eps)))
    for _ in range(steps):
        gram = _rounded(x @ x.T)
        x = _rounded(a * x + _rounded(b * gram + c * (gram @ gram)) @ x)
    return (x.T if wide is not m else x).astype(m.dtype)


def _rounded(x: Any) -> Any:
    """The nearest numbers of bfloat16, the upper 16 bits of float32; ties go to the even one."""
    bits = np.array(x, np.float32).view(np.uint32)
    bits = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (bits & np.uint32(0xFFFF0000)).view(np.float32)
