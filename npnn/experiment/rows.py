"""The recorded runs, sorted into rows: one for each variant, with all of its seeds in both frameworks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from npnn.experiment import numbers as numbers_of
from npnn.experiment.config import UserError, replace
from npnn.experiment.job import Job
from npnn.experiment.registry import Experiment, Reported
from npnn.experiment.results import Folders
from npnn.train import History

__all__ = ["Pair", "Row", "length", "mean_and_spread", "median", "pairs", "rows", "stale"]


@dataclass
class Row:
    """The runs of one variant, those of the first seed first."""

    experiment: Experiment
    variant: str
    npnn: list[dict[str, Any]] = field(default_factory=list)
    torch: list[dict[str, Any]] = field(default_factory=list)

    @property
    def config(self) -> Any:
        return self.experiment.VARIANTS[self.variant]

    @property
    def job(self) -> Job:
        return Job(self.experiment, self.variant, self.config)

    @property
    def reported(self) -> tuple[Reported, ...]:
        return self.experiment.reported(self.variant)

    @property
    def said(self) -> Reported:
        """All that is reported as one."""

        def joined(sign: str, parts: Iterable[str]) -> str:
            return sign.join(dict.fromkeys(filter(None, parts)))

        return Reported(
            joined(", ", (r.row for r in self.reported)),
            joined("; ", (r.figure for r in self.reported)),
            joined("; ", (r.note for r in self.reported)),
        )

    @property
    def accuracies(self) -> list[float]:
        """npnn's on the test set, one for each seed."""
        return [run["metrics"]["test_accuracy"] for run in self.npnn]

    @property
    def torch_accuracies(self) -> list[float]:
        return [run["metrics"]["test_accuracy"] for run in self.torch]

    @property
    def history(self) -> History:
        """Of npnn's first seed."""
        return numbers_of.history_of(self.npnn[0])


def rows(found: Experiment, folders: Folders) -> dict[str, Row]:
    """A row for each variant that has run or has something reported, in the order of the variants."""
    made = {variant: Row(found, variant) for variant in found.VARIANTS}
    for numbers in sorted(_all(folders, found), key=lambda run: run["config"]["seed"]):
        if _is_current(numbers):
            row = made[numbers["variant"]]
            (row.npnn if numbers["backend"] == "npnn" else row.torch).append(numbers)
    for row in made.values():
        whole = [run["config"]["seed"] for run in row.torch if "stop_after" not in run]
        row.torch = [run for run in row.torch if "stop_after" not in run or run["config"]["seed"] not in whole]
    return {variant: row for variant, row in made.items() if row.npnn or row.torch or row.reported}


def _all(folders: Folders, found: Experiment | None = None) -> Iterator[dict[str, Any]]:
    """The numbers of the runs that are finished, of one experiment or of all; those of a file are in ``runs``."""
    name = "*" if found is None else found.name
    own = found is not None and found.file is not None
    paths = folders.runs.glob(f"{name}-*/run.json") if own else folders.results.glob(f"{name}-*.json")
    for path in sorted(paths):
        for numbers in [numbers_of.read(path)] if own else numbers_of.runs(path).values():
            if numbers is not None and numbers["finished"] and (found is None or numbers["experiment"] == name):
                yield numbers


def _is_current(numbers: Mapping[str, Any]) -> bool:
    """True for a run of a variant as it is now, whatever the seed."""
    try:
        job = numbers_of.job_of(numbers)
    except UserError:
        return False
    return job.config == replace(job.experiment.VARIANTS[job.variant], seed=job.config.seed)


def stale(folders: Folders) -> list[str]:
    """The commands of runs that are in no row: their settings are, or have become, others than the variant's."""
    return [numbers["command"] for numbers in _all(folders) if not _is_current(numbers)]


# ---- two frameworks


class Pair(NamedTuple):
    """A run of npnn and one of torch with the same settings, from one seed and on as many threads.

    Torch's may have ended earlier: then they are compared as far as it went.
    """

    npnn: Mapping[str, Any]
    torch: Mapping[str, Any]

    @property
    def apart(self) -> float:
        """How far the two are from each other at the end, in points of accuracy: on the test set, or in the last
        record of both."""
        if "stop_after" not in self.torch:
            ours, theirs = (run["metrics"]["test_accuracy"] for run in self)
            return 100 * abs(ours - theirs)
        return self._gaps[-1] if self._gaps else float("nan")

    @property
    def furthest(self) -> float:
        """The largest such difference at any time: in the records that both have, and at the end."""
        return max((gap for gap in (*self._gaps, self.apart) if gap == gap), default=float("nan"))

    @property
    def ratio(self) -> float:
        """The time of a step, npnn's by torch's: taken in turns, or from the two runs where that was not done."""
        return self.torch.get("ratio") or self.npnn["step_ms"] / self.torch["step_ms"]

    @property
    def _gaps(self) -> list[float]:
        columns = (run["history"] for run in self)
        ours, theirs = (dict(zip(c["step"], c["validation_accuracy"], strict=True)) for c in columns)
        return [100 * abs(ours[step] - theirs[step]) for step in sorted(ours.keys() & theirs.keys())]


def pairs(row: Row) -> list[Pair]:
    """The runs of a variant in both frameworks, seed by seed: all of a row have the variant's settings."""
    return [
        Pair(ours, theirs)
        for ours in row.npnn
        for theirs in row.torch
        if (ours["config"]["seed"], ours["threads"]) == (theirs["config"]["seed"], theirs["threads"])
    ]


# ---- what is said of several runs


def mean_and_spread(accuracies: Sequence[float]) -> str:
    """In per cent: "98.80", or "98.80 ± 0.36 (5)" for five seeds; "" without any."""
    if len(accuracies) < 2:
        return "".join(f"{100 * a:.2f}" for a in accuracies)
    return f"{100 * np.mean(accuracies):.2f} ± {100 * np.std(accuracies, ddof=1):.2f} ({len(accuracies)})"


def median(runs: Sequence[Mapping[str, Any]], get: Callable[[Mapping[str, Any]], float], form: str = ".3g") -> str:
    """Over the seeds; "–" without any."""
    return format(float(np.median([get(run) for run in runs])), form) if runs else "–"


def length(run: Mapping[str, Any]) -> str:
    """How long a run was: "300 steps", "37 of 200 epochs, 5,000 held out: 71.20"."""
    config = run["config"]
    unit = "step" if config["steps"] else "epoch"
    done, planned = run[unit], config[f"{unit}s"]
    early = f" of {planned:,}" if done < planned else ""
    held_out = ""
    if config["validation"]:
        held_out = f", {config['validation']:,} held out: {100 * run['validation_accuracy']:.2f}"
    return f"{done:,}{early} {unit}{'s' * (planned > 1)}{held_out}"
