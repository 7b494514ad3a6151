"""Where a training run stands: everything the loop itself must remember to go on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import ShapeError
from npnn.train.history import History

__all__ = ["Rows", "Run"]

_NUMBERS = ("epoch", "step", "batch", "should_stop", "lr", "grad_norm", "seconds")


class Rows:
    """Arrays one below the other, (n, ...) and (m, ...) -> (n + m, ...), in memory that doubles when it is full.

    A list of them would leave thousands of small arrays between the large ones that each step makes and
    forgets, and where a small one lies a large one does not fit any more: memory grew by a gradient a step.
    Errors: ShapeError for rows of another shape.
    """

    def __init__(self, rows: NDArray[Any] | None = None):
        self._memory = np.empty(0) if rows is None else rows
        self._count = len(self._memory)

    def append(self, rows: NDArray[Any]) -> None:
        begin, end = self._count, self._count + len(rows)
        if begin and rows.shape[1:] != self._memory.shape[1:]:  # NumPy would broadcast a 1
            raise ShapeError(
                f"expected rows of shape {self._memory.shape[1:]} as in the batches before, got {rows.shape[1:]}: "
                "metrics need the outputs of all batches in one array"
            )
        if end > len(self._memory):
            grown = np.empty((max(end, 2 * begin), *rows.shape[1:]), rows.dtype)
            if begin:
                grown[:begin] = self.array
            self._memory = grown
        self._memory[begin:end] = rows
        self._count = end

    @property
    def array(self) -> NDArray[Any]:
        return self._memory[: self._count]

    def __len__(self) -> int:
        return self._count


@dataclass
class Run:
    """The position of a run, its history, and what its next record will be made from."""

    epoch: int = 0  # finished epochs
    step: int = 0  # finished optimiser steps
    batch: int = 0  # finished steps of the epoch in progress
    epoch_generators: dict[str, Any] = field(default_factory=dict)  # as they were when it began
    should_stop: bool = False  # a callback may set it: the run then ends after the current step
    lr: float = float("nan")  # of the last step
    history: History = field(default_factory=History)

    # Since the last record:
    sizes: list[int] = field(default_factory=list)  # examples per step
    outputs: Rows = field(default_factory=Rows)
    targets: Rows = field(default_factory=Rows)
    grad_norm: float = 0.0  # the largest
    seconds: float = 0.0  # spent before ``clock``
    clock: float = field(default_factory=time.perf_counter)

    def stop_clock(self) -> None:
        now = time.perf_counter()
        self.seconds, self.clock = self.seconds + now - self.clock, now

    def begin_record(self) -> None:
        self.sizes, self.outputs, self.targets, self.grad_norm, self.seconds = [], Rows(), Rows(), 0.0, 0.0
        self.clock = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Numbers, lists and arrays."""
        self.stop_clock()
        return {
            **{name: getattr(self, name) for name in _NUMBERS},
            "epoch_generators": self.epoch_generators,
            "sizes": np.array(self.sizes, np.int64),
            "outputs": self.outputs.array if self.outputs else None,
            "targets": self.targets.array if self.targets else None,
            "records": self.history.to_dict()["records"],
            "step_losses": np.array(self.history.step_losses),
        }

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> Run:
        run = cls(**{name: state[name] for name in _NUMBERS})
        run.epoch_generators = state["epoch_generators"]
        run.sizes = [int(n) for n in state["sizes"]]
        run.outputs, run.targets = Rows(state["outputs"]), Rows(state["targets"])
        run.history = History.from_dict({**state, "interrupted": False})
        return run
