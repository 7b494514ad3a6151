"""run --missing: what has no finished run, the shortest first, and on from where the budget ended."""

from __future__ import annotations

import dataclasses
import json

import pytest

from npnn.experiment import sweep as sweeps
from npnn.experiment.command_line import main
from npnn.experiment.config import UserError, replace
from npnn.experiment.job import Job
from npnn.experiment.numbers import read
from npnn.experiment.queue import estimate, missing, seconds_of
from npnn.experiment.run import run
from tests.experiments.conftest import tiny_job


def test_the_shortest_first_and_what_is_finished_not_at_all(toy, folders):
    every = missing([toy], folders, 1, ["npnn"])
    assert sorted(job.variant for job, _, _ in every) == ["blobs", "circles", "moons"]
    assert {seconds for _, _, seconds in every} == {60.0}  # nobody knows
    run(Job(toy, "moons", toy.VARIANTS["moons"]), folders)
    long = replace(toy.VARIANTS["blobs"], steps=2000)
    slow = dataclasses.replace(toy, VARIANTS={**toy.VARIANTS, "blobs": long})
    left = missing([slow], folders, 2, ["npnn"])
    assert [(job.variant, job.config.seed) for job, _, _ in left] == [
        ("circles", 0), ("moons", 1), ("circles", 1), ("blobs", 0), ("blobs", 1),
    ] or [job.variant for job, _, _ in left][-2:] == ["blobs", "blobs"]  # fmt: skip
    seconds = [s for _, _, s in left]
    assert seconds == sorted(seconds)
    assert seconds[-1] > 100 * seconds[0]
    assert [keep for job, keep, _ in left if job.config.seed == 0] == [True, True]


def test_an_estimate_is_that_of_the_variant_or_by_its_steps():
    job = tiny_job("mlp_toy", "moons", steps=400)
    config = {**dataclasses.asdict(job.config), "steps": 100}
    known = [{"variant": "circles", "backend": "npnn", "seconds": 2.0, "step": 100, "epoch": 9, "config": config}]
    assert estimate(job, known) == 8.0
    assert estimate(job, [*known, {**known[0], "variant": "moons", "seconds": 5.0}]) == 5.0
    assert estimate(job, []) is None


@pytest.mark.parametrize(("text", "seconds"), [("90m", 5400), ("2h", 7200), ("45s", 45), ("45", 45), ("1.5h", 5400)])
def test_budgets(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "ten", "5d", "-3m", "1h30m"])
def test_no_budgets(text):
    with pytest.raises(UserError, match="--budget must be a time"):
        seconds_of(text)


def test_a_dry_run_only_tells(toy, folders, monkeypatch, capsys):
    monkeypatch.setattr("npnn.experiment.many.experiments", lambda: iter([toy]))
    words = [
        "run",
        "--missing",
        "--dry-run",
        "--jobs",
        "1",
        "--results",
        str(folders.results),
        "--runs",
        str(folders.runs),
    ]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "3 runs are missing; they may take 3 min in 1 processes" in out
    assert out.count("python -m experiments run mlp_toy --variant") == 3
    assert not folders.results.exists()


def test_a_framework_that_is_not_there_is_told_and_the_others_go_on(folders, monkeypatch):
    job = tiny_job("mlp_toy", "moons", steps=5)

    def absent(name):
        raise UserError(f"{name} is not installed")

    monkeypatch.setattr(sweeps, "framework", absent)
    outcome = sweeps._work("mlp_toy", "moons", dataclasses.asdict(job.config), "npnn", None, folders, True)
    assert outcome.accuracy is None
    assert outcome.problem == "UserError: npnn is not installed"


def test_a_run_whose_time_is_over_goes_on_to_the_same_end(folders, tmp_path):
    """The deadline is past: the run is interrupted at once, and saves itself; the next call ends it."""
    job = tiny_job("mlp_toy", "moons", steps=3000)
    settings = dataclasses.asdict(job.config)
    first = sweeps._work("mlp_toy", "moons", settings, "npnn", None, folders, True, deadline=1.0)
    assert (first.accuracy, first.problem) == (None, "interrupted")
    second = sweeps._work("mlp_toy", "moons", settings, "npnn", None, folders, True)
    assert second.problem == ""
    elsewhere = folders._replace(runs=tmp_path / "whole", results=tmp_path / "whole" / "results")
    run(job, elsewhere, progress=False)
    found = [read(place.numbers(job), job.stem) for place in (folders, elsewhere)]
    for numbers in found:
        for name in ("seconds", "step_ms", "threads"):
            numbers.pop(name)
        numbers["history"].pop("seconds")
    assert json.dumps(found[0]) == json.dumps(found[1])
