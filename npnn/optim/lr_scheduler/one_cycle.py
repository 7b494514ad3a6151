"""One cycle: the learning rate rises and falls once, and momentum does the opposite."""

from __future__ import annotations

import math
from typing import Any

from npnn.optim.lr_scheduler.base import LRScheduler, check_optimizer, per_group
from npnn.optim.optimizer import Optimizer

__all__ = ["OneCycleLR"]


class OneCycleLR(LRScheduler):
    """From max_lr / div_factor up to ``max_lr``, then down to 1 / final_div_factor of the start.

    The rise takes ``pct_start`` of the steps; with ``three_phase`` the fall takes as many, down to the
    start, and the rest goes on to the end.  ``anneal_strategy`` is "cos" or "linear".  With
    ``cycle_momentum``, momentum (β₁ of Adam) goes from ``max_momentum`` to ``base_momentum`` and back.
    Step it after every batch, ``total_steps`` or ``epochs`` * ``steps_per_epoch`` times.

    Errors: ValueError for options out of range, for an optimiser without momentum, and for a step
    beyond the last.
    Source: Smith & Topin, Super-convergence, 2018, section 3.
    """

    multiplies = False

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        check_optimizer(optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
            _check_count("epochs", epochs)
            _check_count("steps_per_epoch", steps_per_epoch)
            total_steps = epochs * steps_per_epoch
        _check_count("total_steps", total_steps)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self.total_steps, self.anneal_strategy, self.cycle_momentum = total_steps, anneal_strategy, cycle_momentum
        self.phases = _phases(total_steps, pct_start, three_phase)
        if last_epoch == -1:  # the ends of the cycle are the groups' options, and are saved with them
            for group, top in zip(optimizer.param_groups, per_group("max_lr", max_lr, optimizer), strict=True):
                low = top / div_factor
                group.update(initial_lr=low, max_lr=top, min_lr=low / final_div_factor)
        if cycle_momentum:
            if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
                raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
            if last_epoch == -1:
                highs = per_group("max_momentum", max_momentum, optimizer)
                lows = per_group("base_momentum", base_momentum, optimizer)
                for group, high, low in zip(optimizer.param_groups, highs, lows, strict=True):
                    group.update(max_momentum=high, base_momentum=low)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: int) -> list[float]:
        if step > self.total_steps:
            raise ValueError(f"Tried to step {step} times. The specified number of total steps is {self.total_steps}")
        return [self._between(step, group, 1) for group in self.optimizer.param_groups]

    def momentum_at(self, step: int) -> list[float]:
        """The momentum of each group at this step."""
        return [self._between(step, group, 3) for group in self.optimizer.param_groups]

    def _between(self, step: int, group: dict[str, Any], column: int) -> float:
        """The value at ``step`` between the two options that a phase names in ``column`` and the next."""
        begin, last = 0.0, self.phases[-1]
        for phase in self.phases:
            if step <= phase[0] or phase is last:
                break
            begin = phase[0]
        start, end = group[phase[column]], group[phase[column + 1]]
        done = (step - begin) / (phase[0] - begin) if phase[0] > begin else 1.0
        if self.anneal_strategy == "linear":
            return start + (end - start) * done
        return end + (start - end) / 2 * (1 + math.cos(math.pi * done))

    def _set(self, step: int, before: list[float] | None = None) -> None:
        super()._set(step, before)
        if self.cycle_momentum:
            for group, momentum in zip(self.optimizer.param_groups, self.momentum_at(step), strict=True):
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum


def _phases(total_steps: int, pct_start: float, three_phase: bool) -> list[tuple[Any, ...]]:
    """(last step, learning rate from, to, momentum from, to) of each phase; names are options of a group."""
    rise = ("initial_lr", "max_lr", "max_momentum", "base_momentum")
    if not three_phase:
        fall = ("max_lr", "min_lr", "base_momentum", "max_momentum")
        return [(pct_start * total_steps - 1, *rise), (total_steps - 1, *fall)]
    fall = ("max_lr", "initial_lr", "base_momentum", "max_momentum")
    rest = ("initial_lr", "min_lr", "max_momentum", "max_momentum")
    return [(pct_start * total_steps - 1, *rise), (2 * pct_start * total_steps - 2, *fall), (total_steps - 1, *rest)]


def _check_count(name: str, n: int) -> None:
    if not isinstance(n, int) or n <= 0:
        raise ValueError(f"Expected positive integer {name}, but got {n}")
