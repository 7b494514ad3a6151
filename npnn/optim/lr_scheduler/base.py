"""What all schedules share: the learning rate is a function of the step.

A schedule writes ``factor_at(step)``; the learning rate is the base one times that factor.  Nothing
is remembered but the number of the step, so that any step can be computed, saved and resumed alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from npnn.optim.optimizer import Optimizer

__all__ = ["LRScheduler", "per_group"]


class LRScheduler:
    """Base class of the schedules.  ``step()`` goes to the next step, after an epoch or a batch, as you choose.

    The optimiser's learning rate when the schedule is made is the base, ``base_lrs``, one for each
    parameter group; it is also kept in the group as ``initial_lr``.

    Several schedules on one optimiser multiply: where the present learning rate is not the one that
    this schedule gives for the present step, another one had a hand in it, and is respected.

    ``last_epoch`` is the last step done before; -1 begins anew.  To resume, load the optimiser's
    state and the schedule's ``state_dict``.
    Errors: TypeError for something that is no Optimizer.
    """

    #: What is left of a learning rate where the factor is 0
    eta_min = 0.0
    #: False for a schedule that sets the learning rate whatever others did to it
    multiplies = True

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"'initial_lr' is not in param_groups[{i}]: load the optimizer's state before resuming")
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch + 1
        if last_epoch == -1:
            self.begin()
        elif self.multiplies:  # the learning rates that the optimiser loaded are already those of this step
            self._last_lr = [group["lr"] for group in optimizer.param_groups]
        else:
            self._set(self.last_epoch)

    def factor_at(self, step: int) -> float:
        """By what the base learning rate is multiplied at this step."""
        raise NotImplementedError(f"{type(self).__name__} has no factor_at")

    def lr_at(self, step: int) -> list[float]:
        """The learning rate of each group at this step, if no other schedule takes part."""
        factor = self.factor_at(step)
        return [self.eta_min + (base - self.eta_min) * factor for base in self.base_lrs]

    def step(self, epoch: int | None = None) -> None:
        """Go to the next step; or, an old form, to step number ``epoch``."""
        if epoch is not None:
            self._set(epoch)
            return
        self._set(self.last_epoch + 1, self.lr_at(self.last_epoch) if self.multiplies else None)

    def begin(self) -> None:
        """Take step 0 on top of what other schedules have done to the learning rate."""
        self._set(0, self.base_lrs if self.multiplies else None)

    def restart(self) -> None:
        """Go to step 0, whatever the learning rate is now."""
        self._set(0)

    def _set(self, step: int, before: list[float] | None = None) -> None:
        """Go to ``step``.  A learning rate that is not as ``before`` is multiplied; all others are set."""
        groups = self.optimizer.param_groups
        for group in groups[len(self.base_lrs) :]:  # groups that came after the schedule was made
            self.base_lrs.append(group.setdefault("initial_lr", group["lr"]))
            if before is not None and before is not self.base_lrs:
                before.append(group["lr"])
        lrs = self.lr_at(step)
        if before is not None:
            present = [group["lr"] for group in groups]
            lrs = [self._follow(*values) for values in zip(present, before, lrs, strict=True)]
        for group, lr in zip(groups, lrs, strict=True):
            group["lr"] = lr
        self.last_epoch, self._last_lr = step, lrs

    def _follow(self, lr: float, before: float, after: float) -> float:
        """The learning rate after ``lr``, in proportion to the schedule's own values before and after."""
        low = self.eta_min
        if lr == before:
            return after
        if before == low:  # there is no proportion to zero: rise by as much as the schedule does
            return lr + (after - low)
        return low + (lr - low) * ((after - low) / (before - low))

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group that the latest step gave."""
        return self._last_lr

    def get_lr(self) -> list[float]:
        """The learning rate of each group at this step, an old spelling of get_last_lr."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Every number of the schedule, as a dict."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the numbers that state_dict gave.  The learning rates are in the optimiser's state."""
        vars(self).update(state_dict)


def check_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def per_group(name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """A list with one value for each parameter group, made of such a list or of one value for all."""
    n = len(optimizer.param_groups)
    if not isinstance(value, Iterable):
        return [value] * n
    values = list(value)
    if len(values) != n:
        raise ValueError(f"expected {n} values of {name}, one for each parameter group, got {len(values)}")
    return values
