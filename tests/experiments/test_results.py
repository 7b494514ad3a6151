"""Numbers, weights and the table: what the files say is what was measured, and old runs are in no row."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from npnn.experiment.job import Job
from npnn.experiment.numbers import compact, history_of, read, runs, write
from npnn.experiment.registry import experiment
from npnn.experiment.results import draw_again, evaluate, finished
from npnn.experiment.run import run
from npnn.io import load_file
from npnn.train import History
from tests.experiments.conftest import tiny_job
from tests.parity import requires_torch

ROOT = Path(__file__).parent.parent.parent


# ---- histories


def long_history(n):
    history = History()
    for k in range(1, n + 1):
        history.append(
            {"epoch": k, "step": 3 * k, "train_loss": float(k), "validation_loss": k / 3, "grad_norm": float(-k),
             "seconds": 0.5}
        )  # fmt: skip
    return history


def test_a_long_history_is_told_in_few_records():
    short = compact(long_history(1001), 200)
    assert len(short) == 167
    assert short["step"][:2] == [18, 36]
    assert short["train_loss"][0] == 3.5  # the mean of 1 to 6
    assert short["grad_norm"][0] == -1.0  # the largest
    assert short["validation_loss"][0] == 2.0  # the last
    assert sum(short["seconds"]) == 500.5
    assert short["step"][-1] == 3003
    assert short["validation_loss"][-1] == 333.667  # of 333.666666


def test_a_short_history_stays_and_comes_back(tmp_path):
    history = compact(long_history(5))
    assert history["step"] == [3, 6, 9, 12, 15]
    columns = {name: history[name] for name in history.records[0]}
    write({"finished": True, "history": columns}, tmp_path / "run.json")
    assert history_of(read(tmp_path / "run.json")).records == history.records


# ---- weights


def small_variants(monkeypatch, name, dtype):
    """The first variant of an experiment, shortened to two steps, as one whose weights are kept."""
    found = experiment(name)
    variant = next(iter(found.VARIANTS))
    config = tiny_job(name, variant).config
    short = dataclasses.replace(found, VARIANTS={variant: config}, BEST={variant: dtype})
    monkeypatch.setattr("npnn.experiment.numbers.experiment", lambda name: short)
    return Job(short, variant, config)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_accuracy_of_a_model_that_is_kept_is_that_of_its_file(dtype, folders, monkeypatch):
    job = small_variants(monkeypatch, "cnn_digits", dtype)
    result = run(job, folders)
    weights = load_file(folders.models / "cnn_digits-dropout.safetensors")
    assert [(weights[k].dtype, weights[k].ndim) for k in ("0.weight", "0.bias")] == [(dtype, 4), (np.float32, 1)]
    np.testing.assert_array_equal(result.model[0].weight.detach().numpy(), weights["0.weight"].astype(np.float32))
    numbers = finished(job, folders)
    assert numbers["weights"]["dtype"] == dtype
    found = evaluate(folders.weights(job))
    assert found.measured == found.recorded == numbers["metrics"]
    assert result.metrics["loss"] == found.measured["test_loss"]


def test_other_runs_leave_nothing_among_the_best_models(folders):
    run(tiny_job("cnn_digits", "dropout"), folders)
    assert not folders.models.exists()


@requires_torch
def test_a_figure_shows_both_frameworks_whichever_came_first(folders):
    ours, theirs = tiny_job("mlp_toy"), tiny_job("mlp_toy", backend="torch")
    first = run(ours, folders)
    assert list(first.histories) == ["npnn"]
    alone = folders.figure(ours).read_bytes()
    second = run(theirs, folders, keep=False)
    assert list(second.histories) == list(second.class_accuracies) == ["npnn", "torch"]
    both = folders.figure(ours).read_bytes()
    assert both != alone
    run(ours, folders)
    assert folders.figure(ours).read_bytes() == both
    folders.figure(ours).unlink()
    assert draw_again(ours, folders).read_bytes() == both
    assert draw_again(theirs, folders) is None  # whose weights were not kept


def test_a_run_that_is_not_finished_is_no_result(folders):
    job = tiny_job("mlp_toy")
    run(job, folders, keep=False)
    path = folders.numbers(job)
    write({**read(path, job.stem), "finished": False}, path, job.stem)
    assert finished(job, folders) is None


def test_the_numbers_of_another_variant_with_the_same_settings_are_not_taken(folders):
    job = tiny_job("mlp_toy", "moons")
    run(job, folders, keep=False)
    path = folders.numbers(job)
    assert finished(job, folders) is not None
    write({**read(path, job.stem), "variant": "circles"}, path, job.stem)
    assert finished(job, folders) is None


def test_many_processes_write_into_one_file(tmp_path):
    """Each finds what the others wrote: nothing is lost."""
    path, count = tmp_path / "results" / "toy-a.json", 6
    code = (
        "import sys; from pathlib import Path; from npnn.experiment.numbers import write\n"
        "for k in range(5): write({'k': k, 'history': {'step': [k]}}, Path(sys.argv[1]), f'toy-a-{sys.argv[2]}-{k}')"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(path), str(n)]) for n in range(count)]
    assert [process.wait() for process in started] == [0] * count
    found = runs(path)
    assert sorted(found) == sorted(f"toy-a-{n}-{k}" for n in range(count) for k in range(5))
    assert found["toy-a-3-4"] == {"k": 4, "history": {"step": [4]}}
    assert read(path, "toy-a-0-0")["k"] == 0
    assert read(path) is None
    assert [p.name for p in path.parent.iterdir()] == ["toy-a.json"]


def test_the_recorded_results_are_one_file_a_variant():
    for path in (ROOT / "experiments" / "results").glob("*.json"):
        for stem, numbers in runs(path).items():
            assert path.stem == f"{numbers['experiment']}-{numbers['variant']}"
            assert stem.startswith(path.stem)
