"""From sample numbers to batches: at once, ahead of time in a thread, or a part of each for one of several processes."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from npnn.data.dataset import IterableDataset

__all__ = ["share"]

Batch = Any


class Fetch:
    """From sample numbers to a batch: what a worker process is given.  Called with the data set, it gives ``make``."""

    def __init__(self, collate: Callable[[Any], Any], batched: bool, drop_last: bool):
        self.collate, self.batched, self.drop_last = collate, batched, drop_last

    def __call__(self, dataset: Any) -> Callable[[Any], Any]:
        if isinstance(dataset, IterableDataset):
            stream = iter(dataset)

            def take(count: Any) -> Any:
                if count is None:
                    return self.collate(next(stream))
                samples = list(itertools.islice(stream, count))
                if not samples or (self.drop_last and len(samples) < count):
                    raise StopIteration
                return self.collate(samples)

            return take

        def look_up(indices: Any) -> Any:
            if not self.batched:
                return self.collate(dataset[indices])
            numbers = indices.tolist() if isinstance(indices, np.ndarray) else indices
            together = getattr(dataset, "__getitems__", None)
            return self.collate(together(numbers) if together else [dataset[i] for i in numbers])

        return look_up


def in_turn(make: Callable[[Any], Batch], batches: Iterator[Any]) -> Iterator[Batch]:
    for indices in batches:
        try:
            batch = make(indices)
        except StopIteration:
            return
        yield batch


def share(rows: int, rank: int, ranks: int) -> slice:
    """The rows of a batch that fall to one of ``ranks`` processes.  Errors: ValueError if there is none for some."""
    if rows < ranks:
        raise ValueError(
            f"a batch of {rows} cannot be shared among {ranks} processes: choose another batch size, "
            "or drop_last=True if it is the last of an epoch"
        )
    return slice(rows * rank // ranks, rows * (rank + 1) // ranks)


def prepared_ahead(make: Callable[[Any], Batch], batches: Iterator[Any], depth: int) -> Iterator[Batch]:
    """make(indices) for each in turn, computed up to ``depth`` batches ahead by one other thread.

    What goes wrong there is raised here, with its traceback.  Leaving the loop ends the thread.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="npnn-prefetch")
    waiting: deque[Future[Batch]] = deque()
    try:
        for indices in itertools.islice(batches, depth):
            waiting.append(pool.submit(make, indices))
        while waiting:
            batch = waiting.popleft().result()
            for indices in itertools.islice(batches, 1):
                waiting.append(pool.submit(make, indices))
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)
