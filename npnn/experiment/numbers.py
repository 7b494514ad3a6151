"""The numbers of a run: a small JSON file with what was run, how far it got, what came out, and the way there.

It is written while the run goes on (``finished`` is then false), and it is all that the tables and the
reports know of a run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npnn.environment import describe
from npnn.experiment.config import RunConfig, UserError
from npnn.experiment.job import Job
from npnn.experiment.peer import framework
from npnn.experiment.registry import Experiment, experiment
from npnn.io.atomic import atomic_write
from npnn.train import History, Trainer

__all__ = ["compact", "config_of", "history_of", "identity", "job_of", "measure", "read", "runs", "write"]

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

RECORDS = 200  # of a history: more than a figure of one column can show
PACKAGES = ("python", "npnn", "numpy", "scipy", "numba")


def identity(job: Job, metrics: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was run and what came out: the same for every run of the same command."""
    return {
        "experiment": job.experiment.name,
        **({"file": job.experiment.file} if job.experiment.file else {}),
        "variant": job.variant,
        "backend": job.backend,
        "command": job.command,
        "config": dataclasses.asdict(job.config),
        **({} if job.stop_after is None else {"stop_after": job.stop_after}),
        "metrics": metrics and {f"test_{name}": value for name, value in metrics.items()},
    }


def measure(job: Job, trainer: Trainer, metrics: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All numbers of a run that stands where ``trainer`` stands; ``metrics``, of the test set, if it is over."""
    history, run = trainer.history, trainer.run
    surroundings, packages = _surroundings(), (*PACKAGES, *(["torch"] if job.backend == "torch" else []))
    seconds = np.array([record["seconds"] for record in history.records])
    steps = np.diff([0, *(record["step"] for record in history.records)])
    return {
        **identity(job, metrics),
        "finished": metrics is not None,
        "test_set_measured": "once, after training" if job.config.validation else "in every record",
        "validation_accuracy": _validated(job, history),
        "epoch": history.records[-1]["epoch"] if len(history) else 0,
        "step": run.step,
        "seconds": round(float(seconds.sum()), 3),
        "step_ms": round(1e3 * float(np.median(seconds / steps)), 4) if len(history) else None,
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "machine": f"{surroundings['processor']}, {surroundings['cores']} cores",
        "processes": trainer.parallel.size,
        "threads": _threads(job.backend),
        "versions": {k: v for k, v in surroundings["versions"].items() if k in packages},
        "history": _columns(compact(history)),
    }


def _validated(job: Job, history: History) -> float | None:
    """The accuracy on the examples held out, of the weights that the run ends with."""
    if not job.config.validation or not len(history):
        return None
    accuracies = history["validation_accuracy"]
    return accuracies[-1] if job.config.patience is None else max(accuracies)


@functools.cache
def _surroundings() -> dict[str, Any]:
    return describe()


def _threads(backend: str) -> int:
    return framework(backend).get_num_threads()


def compact(history: History, limit: int = RECORDS) -> History:
    """A history of at most ``limit`` records, in six digits.

    A stretch of records becomes one: the training figures are their mean, the gradient norm their
    largest, the seconds their sum; everything else is as in the last of them.
    """
    shorter = History()
    size = -(-len(history) // limit) or 1
    for begin in range(0, len(history), size):
        stretch = history.records[begin : begin + size]
        record = dict(stretch[-1])
        for name in record:
            values = [r[name] for r in stretch if r.get(name) is not None]
            if values and name.startswith("train_"):
                record[name] = sum(values) / len(values)
            elif values and name in ("grad_norm", "seconds"):
                record[name] = max(values) if name == "grad_norm" else sum(values)
        shorter.append({name: float(f"{v:.6g}") if isinstance(v, float) else v for name, v in record.items()})
    return shorter


def _columns(history: History) -> dict[str, list[Any]]:
    return {name: history[name] for name in history.records[-1]} if len(history) else {}


def history_of(numbers: Mapping[str, Any]) -> History:
    """The history in a run's numbers, as the figures want it."""
    history, columns = History(), numbers["history"]
    for values in zip(*columns.values(), strict=True):
        history.append(dict(zip(columns, values, strict=True)))
    return history


def config_of(numbers: Mapping[str, Any]) -> tuple[Experiment, RunConfig]:
    """The experiment and the settings of a run, whatever its variant is called by now.

    Errors: UserError if the experiment is not here or has other settings by now.
    """
    found = experiment(numbers.get("file") or numbers["experiment"])
    try:
        return found, found.Config(**numbers["config"])
    except TypeError as error:
        raise UserError(f"{found.name} has other settings than when this was run: {error}") from None


def job_of(numbers: Mapping[str, Any]) -> Job:
    """The job that these numbers are of.  Errors: as config_of's, and UserError if there is no such variant."""
    found, config = config_of(numbers)
    if numbers["variant"] not in found.VARIANTS:
        raise UserError(f"{found.name} has no variant {numbers['variant']!r}")
    return Job(found, numbers["variant"], config, numbers["backend"], numbers.get("stop_after"))


def write(numbers: Mapping[str, Any], path: Path, stem: str | None = None) -> None:
    """Write the numbers of a run: to a file of their own or, with its ``stem``, into the file of all runs of a variant.

    Several processes may write into one file: each finds in it what the others have written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if stem is None:
        with atomic_write(path) as file:
            file.write(f"{_text(numbers)}\n".encode())
        return
    with _alone_in(path.parent):
        every = {**runs(path), stem: numbers}
        parts = [f"{json.dumps(name)}: {_text(every[name])}" for name in sorted(every)]
        with atomic_write(path) as file:
            file.write(('{"runs": {\n' + ",\n".join(parts) + "\n}}\n").encode())


def _text(numbers: Mapping[str, Any]) -> str:
    """As JSON, with a line for each column of the history."""
    text = json.dumps({k: v for k, v in numbers.items() if k != "history"}, indent=1)
    lines = [f'  "{name}": {json.dumps(values, separators=(",", ":"))}' for name, values in numbers["history"].items()]
    return text[:-2] + ',\n "history": {\n' + ",\n".join(lines) + "\n }\n}"


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Inside the block no other process that asks for it is at work in this folder."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read(path: Path, stem: str | None = None) -> dict[str, Any] | None:
    """The numbers in a file of one run; of a file of many, those of the run ``stem``, by default the one that the file
    is called after.  None if there is no such file, or no such run in it."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found["runs"].get(stem or path.stem) if "runs" in found else found


def runs(path: Path) -> dict[str, dict[str, Any]]:
    """All runs in the file of a variant, by their names; none if there is no such file."""
    try:
        return json.loads(path.read_text())["runs"]
    except FileNotFoundError:
        return {}
