"""Many runs in several processes: errors stay with their job, and what is finished or interrupted is not lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from npnn.experiment import sweep as sweeps
from npnn.experiment.command_line import main
from npnn.experiment.numbers import read, runs
from npnn.experiment.registry import experiment
from npnn.experiment.results import finished
from tests.experiments.conftest import tiny_job
from tests.experiments.test_command_line import ROOT, _hear_ctrl_c, into

pytest.importorskip("joblib", reason="joblib is not installed: no sweeps")


def test_every_variant_with_every_seed_in_every_framework():
    todo = sweeps.jobs(experiment("mlp_toy"), ["moons", "blobs"], 2, ["npnn", "torch"])
    assert [(job.stem, keep) for job, keep in todo] == [
        ("mlp_toy-moons", True), ("mlp_toy-moons-torch", False),
        ("mlp_toy-blobs", True), ("mlp_toy-blobs-torch", False),
        ("mlp_toy-moons-seed1", False), ("mlp_toy-moons-seed1-torch", False),
        ("mlp_toy-blobs-seed1", False), ("mlp_toy-blobs-seed1-torch", False),
    ]  # fmt: skip


def test_an_error_is_told_and_the_others_go_on(folders):
    good, bad = tiny_job("mlp_toy"), tiny_job("mlp_toy", lr=1e30, steps=50)
    outcomes = {outcome.stem: outcome for outcome in sweeps.sweep([(bad, True), (good, True)], folders, 2)}
    assert outcomes[good.stem].accuracy == finished(good, folders)["metrics"]["test_accuracy"]
    assert outcomes[bad.stem].accuracy is None
    assert outcomes[bad.stem].problem.startswith("TrainingDiverged: ")
    assert finished(good, folders)["threads"] == 1
    assert folders.figure(good).exists()


def test_what_is_finished_is_not_run_again(folders, monkeypatch, capsys):
    words = ["sweep", "mlp_toy", "--variants", "moons", "--seeds", "2", *map(str, into(folders.figs.parent))]
    asked = []

    def none_of_them(todo, folders, workers):
        asked.append([job.stem for job, _ in todo])
        return iter([sweeps.Outcome(job.stem, 0.5, "") for job, _ in todo])

    monkeypatch.setattr("npnn.experiment.many.run_all", none_of_them)
    assert main(words) == 0
    done = {"finished": True, "experiment": "mlp_toy", "variant": "moons", "backend": "npnn"}
    (job, _), _ = sweeps.jobs(experiment("mlp_toy"), ["moons"], 2, ["npnn"])
    from dataclasses import asdict

    from npnn.experiment.numbers import write

    write(
        {**done, "config": asdict(job.config), "history": {"step": [1]}},
        folders.figs.parent / "results" / "mlp_toy-moons.json",
        job.stem,
    )
    assert main(words) == 0
    assert asked == [["mlp_toy-moons", "mlp_toy-moons-seed1"], ["mlp_toy-moons-seed1"]]
    assert "1 of 1 runs done, 1 were done before" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are different there")
def test_after_ctrl_c_the_next_sweep_goes_on(tmp_path):
    words = ["sweep", "mlp_toy", "--seeds", "3", "--jobs", "2", *into(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments", *map(str, words)], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=_hear_ctrl_c,
    )  # fmt: skip
    while not list((tmp_path / "runs").glob("*/run.json")) and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 130, (out, errors)
    assert "Traceback" not in errors
    stands = [read(path) for path in (tmp_path / "runs").glob("*/run.json")]
    results = [name for path in (tmp_path / "results").glob("*.json") for name in runs(path)]
    assert sum(run["finished"] for run in stands) == len(results) < 72
    for run in stands:
        if not run["finished"] and run["step"]:
            assert (tmp_path / "runs" / f"mlp_toy-{run['variant']}" / "last.safetensors").exists()
