"""Schedules that are one formula: a factor that depends on the step t alone."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from npnn.optim.lr_scheduler.base import LRScheduler, per_group
from npnn.optim.optimizer import Optimizer

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "PolynomialLR",
    "StepLR",
]


class StepLR(LRScheduler):
    """γ^⌊t / step_size⌋: the learning rate drops every ``step_size`` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def factor_at(self, step: int) -> float:
        return self.gamma ** (step // self.step_size)


class MultiStepLR(LRScheduler):
    """γ^(number of milestones up to t): the learning rate drops at each milestone."""

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def factor_at(self, step: int) -> float:
        return self.gamma ** bisect_right(self.milestones, step)


class ExponentialLR(LRScheduler):
    """The rate after t steps is λ γᵗ."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor_at(self, step: int) -> float:
        return self.gamma**step


class ConstantLR(LRScheduler):
    """``factor`` for the first ``total_iters`` steps, then 1; for ever if there are none.

    Errors: ValueError unless 0 <= factor <= 1.
    """

    def __init__(self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1):
        if not 0 <= factor <= 1:
            raise ValueError(f"Constant multiplicative factor expected to be between 0 and 1, got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor_at(self, step: int) -> float:
        return 1.0 if 0 < self.total_iters <= step else self.factor


class LinearLR(LRScheduler):
    """From ``start_factor`` to ``end_factor`` in a straight line over ``total_iters`` steps: a warm-up.

    Errors: ValueError unless 0 < start_factor <= 1 and 0 <= end_factor <= 1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        if not 0 < start_factor <= 1:
            raise ValueError(f"Starting factor expected to be greater than 0 and at most 1, got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"Ending factor expected to be between 0 and 1, got {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor_at(self, step: int) -> float:
        done = max(min(step, self.total_iters), 0) / max(self.total_iters, 1)
        return self.start_factor + (self.end_factor - self.start_factor) * done


class PolynomialLR(LRScheduler):
    """(1 - t / total_iters)^power, and 0 afterwards; 1 for ever without any ``total_iters``."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1):
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def factor_at(self, step: int) -> float:
        return (1.0 - min(step, self.total_iters) / self.total_iters) ** self.power if self.total_iters > 0 else 1.0


class CosineAnnealingLR(LRScheduler):
    """(1 + cos(π t / T_max)) / 2, down to ``eta_min`` at T_max and up again.

    Source: Loshchilov & Hutter, SGDR, 2017, equation 5, without its restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def factor_at(self, step: int) -> float:
        return (1 + math.cos(math.pi * step / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from 1 to 0 (``eta_min``) over T_0 steps, again over T_0 · T_mult, and so on.

    Errors: ValueError unless T_0 and T_mult are whole numbers of at least 1.
    Source: Loshchilov & Hutter, SGDR, 2017, equation 5.
    """

    multiplies = False

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1):
        if not isinstance(T_0, int) or T_0 < 1:
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def factor_at(self, step: int) -> float:
        length = self.T_0
        while self.T_mult > 1 and step >= length:
            step, length = step - length, length * self.T_mult
        return (1 + math.cos(math.pi * (step % length) / length)) / 2


class LambdaLR(LRScheduler):
    """A function of the step, or one for each parameter group.  Functions are not saved in ``state_dict``."""

    multiplies = False

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ):
        self.lr_lambdas = per_group("lr_lambda", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: int) -> list[float]:
        return [base * factor_at(step) for base, factor_at in zip(self.base_lrs, self.lr_lambdas, strict=True)]

    def state_dict(self) -> dict[str, object]:
        return {name: value for name, value in super().state_dict().items() if name != "lr_lambdas"}
