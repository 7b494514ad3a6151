"""Many runs side by side: one process and one thread for each, and what is finished is not run again."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from npnn.experiment.config import UserError
from npnn.experiment.job import Job
from npnn.experiment.peer import framework
from npnn.experiment.registry import Experiment, experiment
from npnn.experiment.results import Folders
from npnn.experiment.run import Interrupted, can_resume, run, seeds
from npnn.train.interrupt import Interrupt

__all__ = ["Outcome", "jobs", "sweep"]


class Outcome(NamedTuple):
    """What came of a job: its test accuracy, or why there is none."""

    stem: str
    accuracy: float | None
    problem: str


def jobs(found: Experiment, variants: Sequence[str], count: int, backends: Sequence[str]) -> list[tuple[Job, bool]]:
    """Every variant with every seed in every framework, and whether to keep more of it than the numbers.

    In the order of the seeds, so that a sweep cut short has something of each variant.
    """
    made = [
        (v, b, seeds(Job(found, v, found.VARIANTS[v], b, _end(found, v, b)), count)) for v in variants for b in backends
    ]
    return [(of_seed[k], k == 0 and backend == "npnn") for k in range(count) for _, backend, of_seed in made]


def _end(found: Experiment, variant: str, backend: str) -> int | None:
    """After how many epochs a run ends before its time; None if it does not."""
    planned, enough = found.VARIANTS[variant].epochs, found.TORCH_EPOCHS
    return enough if backend == "torch" and enough and planned and enough < planned else None


def sweep(
    todo: Sequence[tuple[Job, bool]], folders: Folders, workers: int, deadline: float | None = None
) -> Iterator[Outcome]:
    """Run the jobs in ``workers`` processes; what came of each, as it comes.

    After Ctrl-C, or past ``deadline`` (of time.time), no job begins any more, and those under way save their
    checkpoints, from which the next sweep goes on.  Errors: UserError without joblib.
    """
    try:
        joblib = importlib.import_module("joblib")
    except ModuleNotFoundError:
        raise UserError("a sweep needs joblib: pip install 'npnn[experiments]'") from None
    with Interrupt() as interrupt, joblib.parallel_config("loky", inner_max_num_threads=1):
        tasks = (
            joblib.delayed(_work)(
                job.experiment.address,
                job.variant,
                dataclasses.asdict(job.config),
                job.backend,
                job.stop_after,
                folders,
                keep,
                deadline,
            )
            for job, keep in todo
            if not interrupt.requested and (deadline is None or time.time() < deadline)
        )
        parallel = joblib.Parallel(workers, batch_size=1, pre_dispatch=workers, return_as="generator_unordered")
        try:
            yield from parallel(tasks)
        except Exception:
            if not interrupt.requested:  # Ctrl-C kills a worker that is between two jobs
                raise
        if interrupt.requested:
            raise KeyboardInterrupt


@contextlib.contextmanager
def _alarm(deadline: float | None) -> Iterator[None]:
    """At the deadline what Ctrl-C does in a terminal, to this process alone: the run saves itself and ends."""
    if deadline is None:
        yield
        return
    timer = threading.Timer(max(0.0, deadline - time.time()), signal.raise_signal, (signal.SIGINT,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def _one_thread(*names: str) -> Iterator[None]:
    """The caller's own process, too, may do a job: it gets its threads back."""
    threads = {name: framework(name).get_num_threads() for name in names}
    try:
        for name in threads:
            framework(name).set_num_threads(1)
        yield
    finally:
        for name, count in threads.items():
            framework(name).set_num_threads(count)


def _work(
    address: str,
    variant: str,
    config: dict[str, Any],
    backend: str,
    stop_after: int | None,
    folders: Folders,
    keep: bool,
    deadline: float | None = None,
) -> Outcome:
    """One job, in a process that other jobs may have used before."""
    found = experiment(address)
    job = Job(found, variant, found.Config(**config), backend, stop_after)
    try:
        with _one_thread("npnn", backend), _alarm(deadline):
            result = run(job, folders, resume=can_resume(job, folders), keep=keep, progress=False)
    except (Interrupted, KeyboardInterrupt):
        return Outcome(job.stem, None, "interrupted")
    except Exception as error:  # whatever it is, the other jobs go on
        return Outcome(job.stem, None, f"{type(error).__name__}: {error}")
    assert result is not None  # there is one process to a job
    return Outcome(job.stem, result.metrics["accuracy"], "")
