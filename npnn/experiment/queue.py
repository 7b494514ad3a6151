"""What has not been run yet, the shortest first: how long each takes, from runs that are finished."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npnn.experiment.config import UserError
from npnn.experiment.job import Job
from npnn.experiment.registry import Experiment
from npnn.experiment.results import Folders, is_done
from npnn.experiment.rows import rows
from npnn.experiment.sweep import jobs

__all__ = ["estimate", "missing", "seconds_of"]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def missing(
    experiments: Sequence[Experiment], folders: Folders, count: int, backends: Sequence[str]
) -> list[tuple[Job, bool, float]]:
    """The jobs that have no finished run, each with whether to keep more than its numbers, and how many seconds it may
    take (of those of which nobody knows, the median of the others), the shortest first."""
    found: list[tuple[Job, bool, float | None]] = []
    for one in experiments:
        known = [run for row in rows(one, folders).values() for run in (*row.npnn, *row.torch)]
        for job, keep in jobs(one, list(one.VARIANTS), count, backends):
            if not is_done(job, folders):
                found.append((job, keep, estimate(job, known)))
    told = [seconds for _, _, seconds in found if seconds is not None]
    usual = float(np.median(told)) if told else 60.0
    return sorted(((job, keep, usual if s is None else s) for job, keep, s in found), key=lambda entry: entry[2])


def estimate(job: Job, known: Sequence[Mapping[str, Any]]) -> float | None:
    """Seconds that a job may take: as long as runs of the same variant; else as many steps as it has, each of the
    median length in the runs of its experiment whose settings are most like its own.  None if there are none."""
    same = [run for run in known if run["variant"] == job.variant and run["backend"] == job.backend]
    same = same or [run for run in known if run["variant"] == job.variant]
    if same and job.stop_after is None:
        return float(np.median([run["seconds"] for run in same]))
    if not known:
        return None
    known = same or known
    settings = vars(job.config)
    alike = [sum(run["config"].get(name) == value for name, value in settings.items()) for run in known]
    nearest = [run for run, score in zip(known, alike, strict=True) if score == max(alike)]
    guesses = []
    for run in nearest:
        unit = "step" if job.config.steps else "epoch"
        if run[unit]:
            guesses.append(run["seconds"] * (job.stop_after or job.config.steps or job.config.epochs) / run[unit])
    return float(np.median(guesses)) if guesses else None


def seconds_of(text: str) -> float:
    """90m, 2h, 45s or 45 in seconds.  Errors: UserError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if not found or not float(found[1]):
        raise UserError(f"--budget must be a time such as 90m, 2h or 45s, got {text!r}")
    return float(found[1]) * _UNITS[found[2]]
