"""Fair timing on a noisy machine: peers take turns in short rounds, and the median step counts."""

from __future__ import annotations

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Times", "alternate"]


class Times:
    """The durations of one function's calls, in seconds."""

    def __init__(self) -> None:
        self.rounds: list[list[float]] = []

    @property
    def all(self) -> list[float]:
        return [t for r in self.rounds for t in r]

    @property
    def median(self) -> float:
        return statistics.median(self.all)

    @property
    def min(self) -> float:
        return min(self.all)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles of the rounds' medians, as a share of the median."""
        medians = [statistics.median(r) for r in self.rounds]
        if len(medians) < 2:
            return 0.0
        low, _, high = statistics.quantiles(medians, n=4)
        return (high - low) / 2 / self.median


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alternate(
    functions: dict[str, Callable[[], Any]], steps: int, rounds: int, before: dict[str, Callable[[], Any]] | None = None
) -> dict[str, Times]:
    """Time the functions in turn: ``rounds`` times ``steps`` calls each.

    The first calls of a round are not counted: they fill the caches, and the other peer's threads
    may still be spinning.  ``before`` is called once at the start of each of a peer's rounds.
    """
    times = {name: Times() for name in functions}
    settle = max(2, steps // 10)
    with _no_collector():
        for i in range(rounds):
            # the order is turned round every time, so that nobody always follows the same neighbour
            for name in list(functions)[:: 1 if i % 2 == 0 else -1]:
                if before and name in before:
                    before[name]()
                function = functions[name]
                for _ in range(settle):
                    function()
                clock, taken = time.perf_counter, []
                for _ in range(steps):
                    start = clock()
                    function()
                    taken.append(clock() - start)
                times[name].rounds.append(taken)
    return times
