"""Numbers, weights and the table: what the files say is what was measured, and old runs are in no row."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from experiments.__main__ import main
from experiments.harness import table
from experiments.harness.job import Job
from experiments.harness.numbers import compact, history_of, read, write
from experiments.harness.registry import Reported, experiment
from experiments.harness.results import Folders, draw_again, evaluate, finished
from experiments.harness.run import run, seeds
from npnn.io import load_file
from npnn.train import History
from tests.experiments.conftest import tiny_job
from tests.parity import requires_torch

ROOT = Path(__file__).parent.parent.parent


def test_the_table_of_results_is_generated():
    """If this fails: python -m experiments results"""
    folders = Folders(*(ROOT / folder for folder in Folders()))
    assert (ROOT / "experiments" / "RESULTS.md").read_text() == table.render(folders)


def test_figures_and_models_are_what_the_table_cites():
    """If this fails: python -m experiments results --prune"""
    assert table.uncited(Folders(*(ROOT / folder for folder in Folders()))) == []


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
    monkeypatch.setattr("experiments.harness.numbers.experiment", lambda name: short)
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
    measured, saved = evaluate(folders.weights(job))
    assert measured == saved == numbers["metrics"]
    assert result.metrics["loss"] == measured["test_loss"]


def test_other_runs_leave_nothing_among_the_best_models(folders):
    run(tiny_job("cnn_digits", "dropout"), folders)
    assert not folders.models.exists()


@requires_torch
def test_a_figure_shows_both_frameworks_whichever_came_first(folders):
    ours, theirs = tiny_job("mlp_toy"), tiny_job("mlp_toy", backend="torch")
    first = run(ours, folders)
    assert list(first.histories) == ["npnn"]
    alone = folders.figure(ours.stem).read_bytes()
    second = run(theirs, folders, keep=False)
    assert list(second.histories) == list(second.class_accuracies) == ["npnn", "torch"]
    both = folders.figure(ours.stem).read_bytes()
    assert both != alone
    run(ours, folders)
    assert folders.figure(ours.stem).read_bytes() == both
    folders.figure(ours.stem).unlink()
    assert draw_again(ours, folders).read_bytes() == both
    assert draw_again(theirs, folders) is None  # whose weights were not kept


# ---- the table


@pytest.fixture
def toy(folders, monkeypatch):
    """An experiment of three short variants, of which the table takes the numbers in ``folders``."""
    config = tiny_job("mlp_toy").config
    found = dataclasses.replace(
        experiment("mlp_toy"),
        VARIANTS={"moons": config, "circles": dataclasses.replace(config, dataset="circles"), "blobs": config},
        REPORTED={"circles": Reported("S1-2", "79.5 | 82.0 %", "one run"), "blobs": Reported("S0-1", "easy")},
        BEST={"circles": "float32"},
    )
    for module in (table, "experiments.harness.numbers", "experiments.harness.report"):
        monkeypatch.setattr(
            *((module, "experiment") if module is table else (f"{module}.experiment",)), lambda name: found
        )
    monkeypatch.setattr(table, "names", lambda: ["mlp_toy"])
    monkeypatch.setattr("experiments.harness.report.names", lambda: ["mlp_toy"])
    return found


def line(folders, variant):
    (found,) = [row for row in table.render(folders).splitlines() if f"--variant {variant}" in row]
    return [cell.strip() for cell in found.replace("\\|", "/").strip("|").split("|")]


def test_rows_have_the_mean_of_the_seeds_and_say_what_was_not_run(toy, folders):
    job = Job(toy, "circles", toy.VARIANTS["circles"])
    accuracies = [run(one, folders, keep=not k).metrics["accuracy"] for k, one in enumerate(seeds(job, 3))]
    cells = dict(zip(table.COLUMNS, line(folders, "circles"), strict=True))
    assert cells["row"] == "S1-2"
    assert cells["command"] == "`run mlp_toy --variant circles --seeds 3`"
    assert cells["reported"] == "79.5 / 82.0 %"
    assert cells["npnn"] == f"{100 * np.mean(accuracies):.2f} ± {100 * np.std(accuracies, ddof=1):.2f} (3)"
    assert cells["torch"] == ""
    assert cells["length"] == "2 steps"
    assert cells["seconds"].endswith(" / –")
    assert cells["figure"] == "[figure](../figs/mlp_toy-circles.png)"
    assert cells["remark"] == "one run"
    assert "| [mlp_toy-circles.safetensors](../models/mlp_toy-circles.safetensors) |" in table.render(folders)
    assert "not run" in line(folders, "blobs")
    assert "moons" not in table.render(folders)  # neither run nor reported


def test_runs_with_other_settings_are_in_no_row(toy, folders):
    run(Job(toy, "moons", dataclasses.replace(toy.VARIANTS["moons"], lr=0.5)), folders)
    assert "moons" not in table.render(folders)
    (command,) = table.stale(folders)
    assert command.endswith("--lr 0.5")
    run(Job(toy, "moons", toy.VARIANTS["moons"]), folders, keep=False)
    assert "moons" in table.render(folders)
    toy.VARIANTS["moons"] = dataclasses.replace(toy.VARIANTS["moons"], hidden=3)
    assert "moons" not in table.render(folders)
    assert len(table.stale(folders)) == 2


def test_an_early_end_and_a_validation_set_are_part_of_the_length():
    config = {"steps": None, "epochs": 200, "validation": 5000}
    run = {"config": config, "epoch": 37, "step": 100, "validation_accuracy": 0.712}
    assert table.length(run) == "37 of 200 epochs, 5,000 held out: 71.20"


def test_results_draws_the_overview_and_prunes(toy, folders, monkeypatch, capsys):
    from npnn import plot

    words = [word for name, folder in folders._asdict().items() for word in (f"--{name}", str(folder))]
    run(Job(toy, "circles", toy.VARIANTS["circles"]), folders)
    extra = [folders.figs / "old.png", folders.models / "old.safetensors"]
    for path in extra:
        path.write_bytes(b"")
    seen = {}

    def overview(rows):
        seen.update({variant: row.accuracies for variant, row in rows.items()})
        return plot.accuracy_against([1], list(seen.values()), "n")

    object.__setattr__(toy, "overview", overview)
    assert main(["results", *words]) == 0
    assert list(seen) == ["circles"]
    assert "![mlp_toy](../figs/mlp_toy.png)" in (folders.results.parent / "RESULTS.md").read_text()
    assert capsys.readouterr().out.count("not in the table") == 2
    assert main(["results", "--prune", *words]) == 0
    assert not any(path.exists() for path in extra)
    assert folders.figure("mlp_toy-circles").exists()
    assert folders.figure("mlp_toy").exists()
    assert folders.weights(Job(toy, "circles", toy.VARIANTS["circles"])).exists()


# ---- the report


def test_a_report_is_one_page_that_needs_nothing_else(toy, folders, tmp_path, capsys):
    words = [word for name, folder in folders._asdict().items() for word in (f"--{name}", str(folder))]
    circles = Job(toy, "circles", toy.VARIANTS["circles"])
    other = Job(toy, "moons", dataclasses.replace(toy.VARIANTS["moons"], lr=0.5))
    for job in (circles, other):
        run(job, folders)
    page = tmp_path / "out" / "page.html"
    assert main(["report", "--out", str(page), *words]) == 0
    text = page.read_text()
    assert text.count("<section") == 1
    assert "S1-2: reported 79.5 | 82.0 %; one run." in text
    assert text.count("data:image/png;base64,") == 1
    assert "python -m experiments run mlp_toy --variant circles" in text
    assert "<script" not in text
    assert "http" not in text
    assert main(["report", circles.stem, other.stem, "--out", str(page), *words]) == 0
    assert page.read_text().count("<section") == 2
    assert '<td class="changed">0.5</td>' in page.read_text()
    assert main(["report", "mlp_toy-nothing", "--out", str(page), *words]) == 1
    assert "there is no finished run 'mlp_toy-nothing'" in capsys.readouterr().err


def test_a_run_that_is_not_finished_is_no_result(folders):
    job = tiny_job("mlp_toy")
    run(job, folders, keep=False)
    path = folders.numbers(job.stem)
    path.write_text(json.dumps({**read(path), "finished": False}))
    assert finished(job, folders) is None
