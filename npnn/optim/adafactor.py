"""Adafactor: Adam's second moment of a matrix kept as one number for each row and each column."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.optim.optimizer import Optimizer

__all__ = ["Adafactor"]


class Adafactor(Optimizer):
    """p ← p - α u / max(1, RMS(u) / d),  u = g / √v,  α = max(ε₂, RMS(p)) min(lr, 1/√t).

    Of a matrix, v = r cᵀ / mean(r), where r and c are running means of g² over columns and over rows; of a vector, v
    is the running mean of g² itself.  The means move by t^beta2_decay.  The last two axes of a larger tensor are
    the matrix.  ``eps`` is (ε₁, ε₂); ε₁ (by default the dtype's) is the least √v.  ``weight_decay`` is decoupled.
    Errors: ValueError for a setting out of its range.
    Source: Shazeer & Stern, Adafactor: adaptive learning rates with sublinear memory cost, 2018.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0, weight_decay: float = 0.0, *,
        foreach: Any = None, maximize: bool = False,
    ):  # fmt: skip
        if beta2_decay > 0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        for name, value in zip(("epsilon1", "epsilon2"), eps, strict=True):
            if value is not None and not value >= 0:
                raise ValueError(f"{name} should be >= 0 but is: {value}")
        if not d >= 1:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        defaults = {"lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay,
                    "foreach": foreach, "maximize": maximize}  # fmt: skip
        super().__init__(params, defaults)

    def init(self, p: NDArray[Any], group: dict[str, Any]) -> dict[str, Any]:
        if p.ndim < 2:
            return {"step": 0, "variance": np.zeros_like(p)}
        *outer, rows, columns = p.shape
        return {"step": 0, "row_var": np.zeros((*outer, rows, 1), p.dtype),
                "col_var": np.zeros((*outer, 1, columns), p.dtype)}  # fmt: skip

    def update(self, p: NDArray[Any], g: NDArray[Any], state: dict[str, Any], group: dict[str, Any]) -> None:
        state["step"] += 1
        if not p.size:
            return
        t, (eps1, eps2) = float(state["step"]), group["eps"]
        eps1 = np.finfo(p.dtype).eps if eps1 is None else eps1
        share = p.dtype.type(t ** group["beta2_decay"])
        alpha = max(eps2, _rms(p)) * min(group["lr"], 1 / math.sqrt(t))
        if group["weight_decay"]:
            p *= p.dtype.type(1 - group["lr"] * group["weight_decay"])
        if p.ndim < 2:
            state["variance"] += share * (g * g - state["variance"])
            v = state["variance"]
        else:
            rows, columns, squared = state["row_var"], state["col_var"], g * g
            rows += share * (squared.mean(axis=-1, keepdims=True) - rows)
            columns += share * (squared.mean(axis=-2, keepdims=True) - columns)
            v = rows @ columns / np.maximum(rows.mean(axis=-2, keepdims=True), p.dtype.type(eps1))
        u = g / np.sqrt(np.maximum(v, p.dtype.type(eps1 * eps1)))
        p -= p.dtype.type(alpha / max(1.0, _rms(u) / group["d"])) * u


def _rms(x: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(x))))
