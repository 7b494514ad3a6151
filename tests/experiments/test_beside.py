"""torch beside a row: in full, or for its first epochs; and what is said of the two."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from npnn.experiment import answers
from npnn.experiment.command_line import main
from npnn.experiment.compare import step_ratio
from npnn.experiment.config import replace
from npnn.experiment.job import Job
from npnn.experiment.queue import estimate, missing
from npnn.experiment.results import Result, finished, is_done
from npnn.experiment.rows import Pair, pairs, rows
from npnn.experiment.run import run
from npnn.experiment.sweep import _one_thread
from npnn.experiment.table import render
from tests.experiments.conftest import the_only_one, tiny_job


@pytest.fixture
def long(toy, monkeypatch):
    """Four epochs of each variant, of which torch is to run two."""
    config = replace(tiny_job("mlp_toy", "moons").config, steps=None, epochs=4, evaluate_every=None)
    every = {variant: replace(config, dataset=variant) for variant in ("moons", "circles", "blobs")}
    found = dataclasses.replace(toy, VARIANTS=every, TORCH_EPOCHS=2)
    the_only_one(monkeypatch, found)
    return found


def job(found, backend="npnn", stop_after=None, variant="moons"):
    return Job(found, variant, found.VARIANTS[variant], backend, stop_after)


def test_a_run_that_stops_is_the_beginning_of_the_whole_one(long, folders):
    whole, part = (run(job(long, stop_after=end), folders, progress=False) for end in (None, 2))
    assert (whole.numbers["epoch"], part.numbers["epoch"]) == (4, 2)
    for name, values in part.numbers["history"].items():
        if name != "seconds":
            assert values == whole.numbers["history"][name][: len(values)], name
    assert part.job.stem == "mlp_toy-moons+stop_after=2"
    assert part.job.command.endswith("--stop-after 2")
    assert not part.job.in_table  # npnn's row is of whole runs
    assert folders.numbers(part.job) != folders.sofar("mlp_toy-moons")
    assert finished(job(long), folders)["epoch"] == 4


def test_the_queue_asks_torch_for_the_first_epochs_only(long, folders):
    pytest.importorskip("torch")
    todo = {job.stem: job for job, _, _ in missing([long], folders, 1, ["npnn", "torch"])}
    assert "mlp_toy-moons" in todo
    beside = todo["mlp_toy-moons+stop_after=2-torch"]
    assert beside.in_table
    with _one_thread("npnn", "torch"):
        run(job(long), folders, progress=False)
        run(beside, folders, keep=False, progress=False)
    left = [job.stem for job, _, _ in missing([long], folders, 1, ["npnn", "torch"])]
    assert sorted(left) == sorted(
        f"mlp_toy-{v}{end}" for v in ("circles", "blobs") for end in ("", "+stop_after=2-torch")
    )
    [pair] = pairs(rows(long, folders)["moons"])
    ours, theirs = (numbers["history"]["validation_accuracy"][1] for numbers in pair)
    assert pair.apart == pytest.approx(100 * abs(ours - theirs))
    assert "after 2" in render(folders)
    assert "In 1 of them PyTorch's ended after its first epochs" in answers.render([(long, rows(long, folders))])
    shown = Result(job(long), None, None, finished(job(long), folders), folders)
    assert list(shown.histories) == ["npnn", "torch"]
    assert list({**shown.class_accuracies}) == ["npnn"]  # two epochs beside four would mislead
    # a whole run takes its place
    with _one_thread("torch"):
        run(job(long, "torch"), folders, keep=False, progress=False)
    assert is_done(beside, folders)
    [pair] = pairs(rows(long, folders)["moons"])
    assert "stop_after" not in pair.torch
    assert pair.ratio == pair.torch["ratio"] > 0  # taken in turns, not from the times of the two runs
    assert "after 2" not in render(folders).split("## mlp_toy")[1]


def numbers_with(accuracies, end=None, test=None, step_ms=1.0):
    history = {"step": [10 * (k + 1) for k in range(len(accuracies))], "validation_accuracy": accuracies}
    found = {"history": history, "step_ms": step_ms}
    return {**found, "metrics": {"test_accuracy": accuracies[-1] if test is None else test}} | (
        {} if end is None else {"stop_after": end}
    )


def test_a_pair_is_compared_as_far_as_both_went():
    ours, theirs = numbers_with([0.1, 0.5, 0.9], step_ms=2.0), numbers_with([0.3, 0.45], end=2, step_ms=4.0)
    pair = Pair(ours, theirs)
    assert pair.apart == pytest.approx(5)
    assert pair.furthest == pytest.approx(20)
    assert pair.ratio == 0.5
    whole = Pair(ours, numbers_with([0.1, 0.5, 0.8]))
    assert (whole.apart, whole.furthest) == (pytest.approx(10), pytest.approx(10))
    nothing = Pair(ours, {**theirs, "history": {"step": [7], "validation_accuracy": [0.1]}})
    assert np.isnan(nothing.apart)


def test_a_part_takes_its_share_of_the_time(long):
    known = [
        {
            "variant": "moons",
            "backend": "npnn",
            "seconds": 8.0,
            "step": 40,
            "epoch": 4,
            "config": vars(job(long).config),
        }
    ]
    assert estimate(job(long, "torch", 2), known) == 4.0
    assert estimate(job(long, "torch"), known) == 8.0


def test_the_ratio_of_times_needs_no_schedule_and_does_not_diverge(long):
    pytest.importorskip("torch")

    def schedule(*_):
        raise AssertionError("nobody asks for it: it may have no more steps than the run")

    wild = replace(long.VARIANTS["moons"], lr=1e30)
    found = dataclasses.replace(long, schedule=schedule, VARIANTS={"moons": wild})
    assert step_ratio(Job(found, "moons", wild, "torch", stop_after=1)) > 0


def test_a_senseless_end_is_told(capsys):
    assert main(["run", "mlp_toy", "--stop-after", "0"]) == 1
    assert "--stop-after must be at least 1, got 0" in capsys.readouterr().err
