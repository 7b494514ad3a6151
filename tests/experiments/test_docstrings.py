"""What the file of an experiment says at its top has been measured: an accuracy that no run has is an old one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import experiments
from npnn.experiment.registry import Experiment, experiment, names
from npnn.experiment.results import Folders
from npnn.experiment.rows import rows

RESULTS = Path(experiments.__path__[0]) / "results"
# 81.32, as a table has it, or 9.8 %; no spread, no seconds, and no losses, which are below 10
ACCURACY = re.compile(r"(?<![\d.])(?<!± )(\d{2,3}\.\d+|\d\.\d+(?= %))(?!\d| m?s\b)")


def accuracies(run) -> Iterator[float | None]:
    """In per cent: of a run's last and best records, on the validation set, and on the test set by class, too."""
    for name in ("train_accuracy", "validation_accuracy"):
        yield run["history"][name][-1]
        yield max(run["history"][name])
    yield run.get("validation_accuracy")
    yield run["metrics"]["test_accuracy"]
    yield from run["metrics"]["test_class_accuracy"]


def recorded(found: Experiment) -> list[float]:
    """Every accuracy in % of an experiment: of each run, the means over its seeds, and the published ones."""
    numbers = []
    for row in rows(found, Folders(results=RESULTS)).values():
        for runs in filter(None, (row.npnn, row.torch)):
            numbers += [100 * a for run in runs for a in accuracies(run) if a is not None]
            numbers.append(100 * np.mean([run["metrics"]["test_accuracy"] for run in runs]))
            if row.config.validation:
                numbers.append(100 * np.mean([run["validation_accuracy"] for run in runs]))
        numbers += [float(n) for n in re.findall(r"\d+(?:\.\d+)?", " ".join([row.said.figure, row.said.note]))]
    return numbers


def without_a_run(text: str, numbers: list[float]) -> list[str]:
    """The accuracies in a text that are the rounding of none of these."""
    known = np.array(numbers)
    unknown = []
    for figure in ACCURACY.findall(text):
        half = 0.5 * 10.0 ** -len(figure.split(".")[1])
        if not (np.abs(known - float(figure)) <= half + 1e-9).any():
            unknown.append(figure)
    return unknown


def test_an_accuracy_that_nobody_has_is_found():
    text = "81.32 in a table, 92.2 % and 99.3 ± 0.3 %, 12.5 s, a loss of 2.3612, 9.8 %; 100.0"
    assert without_a_run(text, [81.316, 92.24, 99.26, 9.81, 100]) == []
    assert without_a_run(text, [81.4, 92.26, 99.2, 9.7, 99]) == ["81.32", "92.2", "99.3", "9.8", "100.0"]


@pytest.mark.parametrize("name", names())
def test_every_accuracy_in_the_opening_of_an_experiment_is_recorded(name):
    text = __import__(f"experiments.{name}", fromlist=["__doc__"]).__doc__
    assert without_a_run(text, recorded(experiment(name))) == []
