"""Loading in further processes: each takes every n-th batch, and hands it over through a queue, in order.

A worker draws from a generator seeded with the epoch's seed plus its number, and so do Python's and NumPy's
generators in it.  An error in a worker is raised in the main process with the worker's own traceback.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import random as python_random
import signal
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import npnn.random

__all__ = ["Pool", "WorkerInfo", "get_worker_info"]


@dataclass(frozen=True)
class WorkerInfo:
    """Which worker this process is: its number, how many there are, its seed, and its copy of the data set."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: list[WorkerInfo | None] = [None]


def get_worker_info() -> WorkerInfo | None:
    """Which worker this process is, None in the main process."""
    return _info[0]


class _Failure:
    """An error of a worker on its way to the main process."""

    def __init__(self, number: int, error: BaseException):
        self.kind, self.message = type(error), "".join(traceback.format_exception(error))
        self.where = f"Caught {type(error).__name__} in DataLoader worker process {number}."

    def __reduce__(self) -> Any:
        try:
            pickle.dumps(self.kind)
        except Exception:
            self.kind = RuntimeError
        return _failure, (self.kind, self.message, self.where)

    def raise_again(self) -> None:
        text = f"{self.where}\nOriginal {self.message}"
        try:
            error = self.kind(text)
        except Exception:
            error = RuntimeError(text)
        raise error from None


def _failure(kind: Any, message: str, where: str) -> _Failure:
    new = _Failure.__new__(_Failure)
    new.kind, new.message, new.where = kind, message, where
    return new


def _numpys_seed(base_seed: int, number: int) -> Any:
    entropy = np.array([number, base_seed & 0xFFFFFFFF, base_seed >> 32, 0], np.uint32)
    return np.random.SeedSequence(entropy).generate_state(4)


def _work(number: int, count: int, dataset: Any, fetch: Any, init: Any, tasks: Any, results: Any) -> None:
    """What a worker does: batches as they are asked for, until it is told to end or its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's business; it ends the workers
    parent = os.getppid()
    source: Any = None
    while True:
        try:
            task = tasks.get(timeout=5)
        except queue.Empty:
            if os.getppid() != parent:
                return
            continue
        if task is None:
            return
        kind, epoch, i, value = task
        try:
            if kind == "epoch":
                seed = value + number
                python_random.seed(seed)
                npnn.random.manual_seed(seed % (1 << 64))
                np.random.seed(_numpys_seed(value, number))  # noqa: NPY002  the user's code may draw from it
                _info[0] = WorkerInfo(number, count, seed, dataset)
                if init is not None and epoch == 0:
                    init(number)
                source = fetch(dataset)
                continue
            results.put((epoch, i, source(value)))
        except StopIteration:
            results.put((epoch, i, StopIteration))
        except BaseException as error:
            results.put((epoch, i, _Failure(number, error)))


class Pool:
    """The worker processes of a loader, and the queues between."""

    def __init__(self, dataset: Any, fetch: Any, count: int, init: Any, context: Any):
        if isinstance(context, str) or context is None:
            context = multiprocessing.get_context(context)
        self.results = context.Queue()
        self.tasks = [context.Queue() for _ in range(count)]
        self.processes = [
            context.Process(
                target=_work, args=(k, count, dataset, fetch, init, self.tasks[k], self.results), daemon=True
            )
            for k in range(count)
        ]
        for process in self.processes:
            process.start()
        self.epoch = -1

    def batches(self, indices: Iterator[Any], base_seed: int, ahead: int, timeout: float) -> Iterator[Any]:
        """The batches of one epoch, in order, with ``ahead`` asked for from each worker before they are needed."""
        self.epoch += 1
        for tasks in self.tasks:
            tasks.put(("epoch", self.epoch, -1, base_seed))
        count, asked, done = len(self.tasks), 0, 0
        open_workers = [True] * count
        turns: list[int] = []  # which worker makes batch number i
        kept: dict[int, Any] = {}

        def ask() -> None:
            nonlocal asked
            if not any(open_workers):
                return
            chosen = next(k % count for k in range(asked, asked + count) if open_workers[k % count])
            try:
                value = next(indices)
            except StopIteration:
                return
            self.tasks[chosen].put(("batch", self.epoch, len(turns), value))
            turns.append(chosen)
            asked = chosen + 1

        for _ in range(ahead * count):
            ask()
        while done < len(turns):
            while done not in kept:
                epoch, i, batch = self._receive(timeout)
                if epoch == self.epoch:
                    kept[i] = batch
            batch, worker = kept.pop(done), turns[done]
            done += 1
            if batch is StopIteration:  # this worker's stream is at its end
                open_workers[worker] = False
                ask()
                continue
            ask()
            if isinstance(batch, _Failure):
                batch.raise_again()
            yield batch

    def _receive(self, timeout: float) -> Any:
        waited = 0.0
        while True:
            try:
                return self.results.get(timeout=1)
            except queue.Empty:
                waited += 1
                if timeout and waited >= timeout:
                    raise RuntimeError(f"DataLoader timed out after {timeout} seconds") from None
                dead = [p for p in self.processes if not p.is_alive()]
                if dead:
                    raise RuntimeError(
                        f"DataLoader worker (pid {dead[0].pid}) exited unexpectedly with exit code {dead[0].exitcode}"
                    ) from None

    def close(self) -> None:
        for tasks in self.tasks:
            tasks.put(None)
        for process in self.processes:
            process.join(2)
            if process.is_alive():
                process.terminate()
        for each in (*self.tasks, self.results):
            each.cancel_join_thread()
            each.close()
        self.processes = []

    def __del__(self) -> None:
        if self.processes:
            for process in self.processes:
                process.terminate()
