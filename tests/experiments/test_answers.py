"""The answers at the top of RESULTS.md: what they say has been measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from npnn.experiment import answers
from npnn.experiment.registry import experiment, names
from npnn.experiment.results import Folders
from npnn.experiment.rows import mean_and_spread, rows

FOLDERS = Folders(results=Path(__file__).parent.parent.parent / "experiments" / "results")


def tables():
    found = [experiment(name) for name in names()]
    return [(one, rows(one, FOLDERS)) for one in found]


@pytest.mark.parametrize("name", names())
def test_every_accuracy_is_one_that_was_recorded(name):
    found = experiment(name)
    table = rows(found, FOLDERS)
    recorded = {mean_and_spread(row.accuracies).split(" (")[0] for row in table.values() if row.npnn}
    for text in found.answers(table).values():
        said = re.findall(r"(\d+\.\d\d(?: ± \d+\.\d\d)?) %", text)
        assert said
        assert set(said) <= recorded


@pytest.mark.parametrize("name", names())
def test_without_runs_there_are_no_answers(name):
    assert dict(experiment(name).answers({})) == {}


def test_the_two_questions_about_all():
    text = answers.render(tables())
    pairs = int(re.search(r"Of (\d+) pairs", text)[1])
    assert pairs > 100
    low, middle, high = (
        float(n) for n in re.search(r"takes ([\d.]+) .*from ([\d.]+) to ([\d.]+)\)", text).group(2, 1, 3)
    )
    assert low <= middle <= high


def test_runs_that_differ_are_named(monkeypatch):
    table = tables()
    row = next(
        row for _, rows in table for row in rows.values() if row.npnn and row.torch and "stop_after" not in row.torch[0]
    )
    changed = {**row.npnn[0], "metrics": {**row.npnn[0]["metrics"], "test_accuracy": 0.0}}
    monkeypatch.setattr(row, "npnn", [changed])
    assert f"`{row.variant}`" in answers.render(table).split("**Is it faster?**")[0]
