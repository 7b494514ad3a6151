"""Runs a job from its first step, or from where it was interrupted, to its figure."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from npnn.experiment.compare import step_ratio
from npnn.experiment.config import UserError, replace
from npnn.experiment.job import Job
from npnn.experiment.numbers import measure, runs, write
from npnn.experiment.results import Folders, Result, draw_again, save
from npnn.train import Checkpoint, Trainer

__all__ = ["Interrupted", "add_ratio", "can_resume", "run", "seeds"]

WRITE_EVERY = 1.0  # seconds: the numbers so far
SAVE_EVERY = 20.0  # seconds, in case the machine goes down; Ctrl-C saves in any case


class Saver(Checkpoint):
    """Writes a run's numbers and checkpoints as it goes, without slowing down one whose records are quick."""

    def __init__(self, job: Job, folders: Folders):
        super().__init__(folders.runs / job.stem, monitor=None)
        self.job, self.folders = job, folders
        self.numbers_due = 0.0
        self.checkpoint_due = time.monotonic() + SAVE_EVERY

    def on_record(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if now >= self.numbers_due:
            self._write(trainer)
            self.numbers_due = time.monotonic() + WRITE_EVERY
        if now >= self.checkpoint_due:
            super().on_record(trainer, record)
            self.checkpoint_due = time.monotonic() + SAVE_EVERY

    def on_train_end(self, trainer: Trainer) -> None:
        self._write(trainer)
        super().on_train_end(trainer)

    def _write(self, trainer: Trainer) -> None:
        write(measure(self.job, trainer), self.folders.sofar(self.job.stem))


class Interrupted(Exception):
    """Ctrl-C: the run is saved and can go on."""


def run(job: Job, folders: Folders, resume: bool = False, keep: bool = True, progress: bool = True) -> Result | None:
    """Train, measure on the test set, and write figure, weights and numbers (without ``keep`` only these).

    Under mpiexec the processes train together; then rank 0 does the rest, and the others have None.

    Errors: Interrupted after Ctrl-C; UserError if there is nothing to resume.
    """
    saver = Saver(job, folders)
    if resume and not saver.last.exists():
        raise UserError(f"there is nothing to resume: {saver.last} does not exist")
    start = job.start((saver,), progress=progress, keep_losses=False)
    history = start.fit(job.config, resume_from=saver.last if resume else None)
    if history.interrupted:
        processes = start.trainer.parallel.size
        start_them = f"mpiexec -n {processes} " if processes > 1 else ""
        step, command = start.trainer.run.step, f"{start_them}{job.command}{folders.options} --resume"
        raise Interrupted(f"interrupted after step {step}; to go on: {command}")
    if start.trainer.parallel.rank > 0:
        return None
    result = save(job, start, folders, keep)
    with contextlib.suppress(FileNotFoundError):
        saver.last.unlink()  # there is nothing left to resume
    if job.backend == "torch":
        draw_again(dataclasses.replace(job, backend="npnn", stop_after=None), folders)
        if job.in_table and start.trainer.parallel.size == 1:  # under mpiexec the others have ended by now
            add_ratio(job, folders)
    return result


def add_ratio(job: Job, folders: Folders) -> None:
    """Measure how long a step of npnn takes, beside one of torch, and keep it with the numbers of torch's run."""
    path = folders.numbers(job)
    write({**runs(path)[job.stem], "ratio": round(step_ratio(job), 4)}, path, job.stem)


def can_resume(job: Job, folders: Folders) -> bool:
    """True if the job was interrupted and has left a checkpoint."""
    return Saver(job, folders).last.exists()


def seeds(job: Job, count: int) -> list[Job]:
    """The same job with ``count`` seeds, the first of them its own."""
    return [dataclasses.replace(job, config=replace(job.config, seed=job.config.seed + k)) for k in range(count)]
