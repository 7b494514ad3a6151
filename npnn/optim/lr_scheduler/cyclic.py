"""Schedules that go up and down, or multiply by a function's value at each step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from npnn.optim.lr_scheduler.base import LRScheduler, per_group
from npnn.optim.optimizer import Optimizer

__all__ = ["CyclicLR", "MultiplicativeLR"]


class MultiplicativeLR(LRScheduler):
    """At step t the rate is multiplied by λ(t): base · λ(1) λ(2) ... λ(t)."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1):
        self.lr_lambdas = (
            per_group("lr_lambda", lr_lambda, optimizer)
            if not callable(lr_lambda)
            else [lr_lambda] * len(optimizer.param_groups)
        )
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: int) -> list[float]:
        return [
            base * math.prod(f(t) for t in range(1, step + 1))
            for base, f in zip(self.base_lrs, self.lr_lambdas, strict=False)
        ]

    def state_dict(self) -> dict[str, Any]:
        return {name: value for name, value in super().state_dict().items() if name != "lr_lambdas"}


class CyclicLR(LRScheduler):
    """Between ``base_lr`` and ``max_lr`` and back, in straight lines, ``step_size_up`` steps up and ``step_size_down`` down.

    mode triangular2 halves the height with each cycle, exp_range multiplies it by γ^t; or ``scale_fn``, of the cycle
    or of the step.  With ``cycle_momentum`` momentum (or Adam's β₁) goes the other way.
    Errors: ValueError for another mode, or an optimiser without momentum where it should cycle.
    Source: Smith, Cyclical learning rates for training neural networks, 2017.
    """

    multiplies = False

    def __init__(
        self, optimizer: Optimizer, base_lr: Any, max_lr: Any, step_size_up: int = 2000, step_size_down: int | None = None,
        mode: str = "triangular", gamma: float = 1.0, scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle", cycle_momentum: bool = True, base_momentum: Any = 0.8, max_momentum: Any = 0.9,
        last_epoch: int = -1,
    ):  # fmt: skip
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        self.lows, self.highs = (per_group(n, v, optimizer) for n, v in (("base_lr", base_lr), ("max_lr", max_lr)))
        if last_epoch == -1:
            for group, low in zip(optimizer.param_groups, self.lows, strict=True):
                group["lr"] = group["initial_lr"] = low
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size, self.step_ratio = float(step_size_up + down), step_size_up / float(step_size_up + down)
        self.mode, self.gamma, self.cycle_momentum = mode, gamma, cycle_momentum
        self._scale_fn, self.scale_mode = (
            scale_fn,
            scale_mode if scale_fn else "iterations" if mode == "exp_range" else "cycle",
        )
        self.momenta: list[tuple[float, float]] = []
        if cycle_momentum:
            if not {"momentum", "betas"} & optimizer.defaults.keys():
                raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
            pairs = [
                per_group(n, v, optimizer)
                for n, v in (("base_momentum", base_momentum), ("max_momentum", max_momentum))
            ]
            self.momenta = list(zip(*pairs, strict=True))
        super().__init__(optimizer, last_epoch)

    def _height(self, step: int) -> float:
        cycle = math.floor(1 + step / self.total_size)
        x = 1.0 + step / self.total_size - cycle
        rise = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        at = cycle if self.scale_mode == "cycle" else step
        if self._scale_fn is not None:
            return rise * self._scale_fn(at)
        scale = {"triangular": 1.0, "triangular2": 1 / 2.0 ** (at - 1), "exp_range": self.gamma**at}
        return rise * scale[self.mode]

    def lr_at(self, step: int) -> list[float]:
        height = self._height(step)
        return [low + (high - low) * height for low, high in zip(self.lows, self.highs, strict=True)]

    def _set(self, step: int, before: list[float] | None = None) -> None:
        super()._set(step, before)
        height = self._height(step)
        for group, (low, high) in zip(self.optimizer.param_groups, self.momenta, strict=False):
            value = high - (high - low) * height
            if "betas" in group:
                group["betas"] = (value, *group["betas"][1:])
            else:
                group["momentum"] = value

    def state_dict(self) -> dict[str, Any]:
        return {name: value for name, value in super().state_dict().items() if name != "_scale_fn"}
