"""RESULTS.md: its rows are the runs of the variants as they are now, and figs/ has what it shows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from npnn.experiment import table
from npnn.experiment.command_line import main
from npnn.experiment.job import Job
from npnn.experiment.results import Folders
from npnn.experiment.rows import length, rows, stale
from npnn.experiment.run import run, seeds
from tests.experiments.conftest import the_only_one

ROOT = Path(__file__).parent.parent.parent


def test_the_table_of_results_is_generated():
    """If this fails: python -m experiments results"""
    folders = Folders(*(ROOT / folder for folder in Folders()))
    assert (ROOT / "experiments" / "RESULTS.md").read_text() == table.render(folders)


def test_figures_and_models_are_what_the_table_cites():
    """If this fails: python -m experiments results --prune"""
    assert table.uncited(Folders(*(ROOT / folder for folder in Folders()))) == []


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
    (command,) = stale(folders)
    assert command.endswith("--lr 0.5")
    run(Job(toy, "moons", toy.VARIANTS["moons"]), folders, keep=False)
    assert "moons" in table.render(folders)
    toy.VARIANTS["moons"] = dataclasses.replace(toy.VARIANTS["moons"], hidden=3)
    assert "moons" not in table.render(folders)
    assert len(stale(folders)) == 2


def test_an_early_end_and_a_validation_set_are_part_of_the_length():
    config = {"steps": None, "epochs": 200, "validation": 5000}
    run = {"config": config, "epoch": 37, "step": 100, "validation_accuracy": 0.712}
    assert length(run) == "37 of 200 epochs, 5,000 held out: 71.20"


@pytest.mark.parametrize(
    ("done", "text"), [(1, "1 epoch"), (2, "2 epochs"), (1_200_000, "1,200,000 steps"), ((1, 5), "1 of 5 epochs")]
)
def test_one_epoch_is_not_two_epochs(done, text):
    done, planned = done if isinstance(done, tuple) else (done, done)
    lengths = {"steps": planned, "epochs": None} if "step" in text else {"steps": None, "epochs": planned}
    assert length({"config": {**lengths, "validation": 0}, "epoch": done, "step": done}) == text


def test_a_group_of_variants_is_one_line(toy, folders, monkeypatch):
    grouped = dataclasses.replace(toy, GROUPS={"the planes": ["moons", "circles"], "one": ["blobs"]})
    the_only_one(monkeypatch, grouped)
    for variant in ("moons", "circles"):
        run(Job(grouped, variant, toy.VARIANTS[variant]), folders)
    lowest = min(row.accuracies[0] for row in rows(grouped, folders).values() if row.npnn)
    text = table.render(folders)
    (found,) = [line for line in text.splitlines() if "the planes" in line]
    cells = dict(zip(table.COLUMNS, [cell.strip() for cell in found.strip("|").split("|")], strict=True))
    assert cells["row"] == "S1-2"
    assert cells["command"] == "the planes: 2 variants"
    assert cells["npnn"] == f"lowest of 2: {100 * lowest:.2f}"
    assert cells["seconds"].endswith(" / –")
    assert cells["figure"] == "[moons](../figs/mlp_toy-moons.png) [circles](../figs/mlp_toy-circles.png)"
    assert "| S0-1 | one: 1 variant, 0 of them run |  | not run |" in text
    assert "--variant" not in text


def test_results_draws_the_overview_and_prunes_what_a_run_has_made(toy, folders, monkeypatch, capsys):
    from npnn import plot

    words = [word for name, folder in folders._asdict().items() for word in (f"--{name}", str(folder))]
    run(Job(toy, "circles", toy.VARIANTS["circles"]), folders)
    extra = [folders.figs / "mlp_toy-old.png", folders.models / "mlp_toy-old.safetensors"]
    others = [folders.figs / name for name in (".mlp_toy-moons.png", "mine.png", "mlp_toy-notes.txt")]
    for path in (*extra, *others):
        path.write_bytes(b"")
    (folders.figs / "mlp_toy-slides.png").mkdir()
    seen = {}

    def overview(rows):
        seen.update({variant: row.accuracies for variant, row in rows.items()})
        return plot.accuracy_against([1], list(seen.values()), "n")

    the_only_one(monkeypatch, dataclasses.replace(toy, overview=overview))
    assert main(["results", *words]) == 0
    assert list(seen) == ["circles"]
    assert "![mlp_toy](../figs/mlp_toy.png)" in (folders.results.parent / "RESULTS.md").read_text()
    said = capsys.readouterr().out
    assert said.count("not in the table (--prune deletes it)") == 2
    assert said.count("not in the table, nor of an experiment") == 2
    assert main(["results", "--prune", *words]) == 0
    assert not any(path.exists() for path in extra)
    assert all(path.exists() for path in others)
    assert (folders.figs / "mlp_toy-slides.png").is_dir()
    assert folders.figure(Job(toy, "circles", toy.VARIANTS["circles"])).exists()
    assert folders.overview("mlp_toy").exists()
    assert folders.weights(Job(toy, "circles", toy.VARIANTS["circles"])).exists()
