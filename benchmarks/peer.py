"""What a framework has to offer to be timed: one function that makes a training step, one that predicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from benchmarks.workloads import Workload

__all__ = ["Peer", "State"]

State = dict[str, NDArray[Any]]


class Peer:
    """Built for one workload from given weights."""

    name = ""

    @classmethod
    def available(cls) -> bool:
        return True

    def __init__(self, workload: Workload, state: State):
        self.workload, self.state = workload, state

    def set_threads(self, n: int) -> None:
        raise NotImplementedError

    def trainer(self, batch: tuple[NDArray[Any], NDArray[Any]]) -> Callable[[], Any]:
        """A function that makes one whole step (zero_grad, forward, loss, backward, update) and returns the loss."""
        raise NotImplementedError

    def predictor(self, batch: tuple[NDArray[Any], NDArray[Any]]) -> Callable[[], Any]:
        """A function that computes the outputs in evaluation mode, without recording."""
        raise NotImplementedError
