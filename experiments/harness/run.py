"""Runs a job from its first step, or from where it was interrupted, to its figure."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.harness.config import UserError, replace
from experiments.harness.job import Job
from experiments.harness.results import Folders, Result, save
from npnn.train import Checkpoint, Trainer

__all__ = ["Interrupted", "run", "run_seeds"]

SAVE_EVERY = 5.0  # seconds, in case the machine goes down; Ctrl-C saves in any case


class Saver(Checkpoint):
    """A checkpoint that does not slow down a run whose records are quick."""

    def __init__(self, folder: Path):
        super().__init__(folder, monitor=None)
        self.due = time.monotonic() + SAVE_EVERY

    def on_record(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        if time.monotonic() >= self.due:
            super().on_record(trainer, record)
            self.due = time.monotonic() + SAVE_EVERY


class Interrupted(Exception):
    """Ctrl-C: the run is saved and can go on."""


def run(job: Job, folders: Folders, resume: bool = False) -> Result:
    """Train, measure on the test set, and write figure, weights and numbers.

    Errors: Interrupted after Ctrl-C; UserError if there is nothing to resume.
    """
    folder = folders.runs / job.stem
    saver = Saver(folder)
    if resume and not saver.last.exists():
        raise UserError(f"there is nothing to resume: {saver.last} does not exist")
    start = job.start((saver,))
    history = start.fit(job.config, resume_from=saver.last if resume else None)
    if history.interrupted:
        step, command = start.trainer.run.step, f"{job.command}{folders.options} --resume"
        raise Interrupted(f"interrupted after step {step}; to go on: {command}")
    result = Result(job, start.data, start.trainer, start.test())
    save(result, folders)
    shutil.rmtree(folder, ignore_errors=True)  # there is nothing left to resume
    return result


def run_seeds(job: Job, count: int) -> list[float]:
    """The test accuracies of the same job with the next ``count`` seeds.  Nothing is saved."""
    accuracies = []
    for i in range(count):
        other = dataclasses.replace(job, config=replace(job.config, seed=job.config.seed + 1 + i))
        start = other.start()
        if start.fit(other.config).interrupted:
            raise KeyboardInterrupt
        accuracies.append(start.test()["accuracy"])
    return accuracies
