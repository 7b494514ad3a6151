"""Schedules made of schedules: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from npnn.optim.lr_scheduler.base import LRScheduler
from npnn.optim.lr_scheduler.plateau import ReduceLROnPlateau
from npnn.optim.optimizer import Optimizer

__all__ = ["ChainedScheduler", "SequentialLR"]


class _Combined(LRScheduler):
    """What both have: a list of schedules for one optimiser, saved and loaded with it."""

    def __init__(self, optimizer: Optimizer | None, schedulers: Sequence[LRScheduler]):
        if not schedulers:
            raise ValueError(f"{type(self).__name__} expects at least one scheduler, but got no scheduler")
        self.optimizer = schedulers[0].optimizer if optimizer is None else optimizer
        for i, scheduler in enumerate(schedulers):
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"{type(self).__name__} cannot step ReduceLROnPlateau (index {i}): it needs a figure")
            if scheduler.optimizer is not self.optimizer:
                raise ValueError(f"{type(self).__name__}: the scheduler at index {i} belongs to another optimizer")
        self._schedulers = list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        own = dict(state_dict)
        for scheduler, state in zip(self._schedulers, own.pop("_schedulers"), strict=True):
            scheduler.load_state_dict(state)
        super().load_state_dict(own)


class SequentialLR(_Combined):
    """The first schedule up to ``milestones[0]``, from there the second, from its step 0 on, and so on.

    Errors: ValueError unless there is one milestone less than there are schedules, all of one optimiser.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ):
        super().__init__(optimizer, schedulers)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one more than the number of "
                f"milestone points, but got {len(schedulers)} schedulers and {len(milestones)} milestones"
            )
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:  # undo what the schedules did when they were made
            group["lr"] = group["initial_lr"]
        self._current().begin()

    def _current(self) -> LRScheduler:
        return self._schedulers[bisect_right(self._milestones, self.last_epoch)]

    def step(self) -> None:  # type: ignore[override]
        self.last_epoch += 1
        if self.last_epoch in self._milestones:
            self._current().restart()
        else:
            self._current().step()

    def begin(self) -> None:
        self.last_epoch = 0
        self._current().begin()

    def restart(self) -> None:
        self.last_epoch = 0
        self._current().restart()

    def get_last_lr(self) -> list[float]:
        return self._current().get_last_lr()


class ChainedScheduler(_Combined):
    """All schedules at every step: their factors multiply.  Errors: ValueError if there are none."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None):
        super().__init__(optimizer, schedulers)

    def step(self) -> None:  # type: ignore[override]
        for scheduler in self._schedulers:
            scheduler.step()

    def begin(self) -> None:
        for scheduler in self._schedulers:
            scheduler.begin()

    def restart(self) -> None:
        self._schedulers[0].restart()
        for scheduler in self._schedulers[1:]:
            scheduler.begin()

    def get_last_lr(self) -> list[float]:
        return self._schedulers[-1].get_last_lr()
