"""The comparison of the two frameworks: it sees a gap, and a gap fails."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from npnn.experiment.command_line import main
from npnn.experiment.compare import Comparison, compare
from npnn.experiment.registry import Tolerance, experiment, names
from npnn.experiment.results import Folders
from npnn.train import History
from tests.experiments.conftest import tiny_job
from tests.parity import requires_torch, torch


def history(losses):
    made = History()
    made.step_losses.extend(losses)
    return made


def test_the_largest_gap_and_its_step():
    outcome = Comparison(history([3.0, 2.0, 1.0]), history([3.0, 2.5, 1.1]), Tolerance(0.4, 10))
    assert outcome.largest == (0.5, 2)
    assert not outcome.agrees
    assert Comparison(outcome.npnn, outcome.torch, Tolerance(0.5, 10)).agrees


def test_steps_beyond_the_tolerance_are_not_judged():
    outcome = Comparison(history([1.0, 1.0, 1.0]), history([1.0, 1.0, 9.0]), Tolerance(0.1, 2))
    assert outcome.agrees
    np.testing.assert_array_equal(outcome.gaps, [0, 0, 8])


def test_a_run_that_ended_before_the_other_does_not_agree():
    outcome = Comparison(history([3.0, 2.0]), history([3.0, 2.0, 1.0]), Tolerance(0.1, 3))
    np.testing.assert_array_equal(outcome.gaps, [0, 0, np.nan])
    assert not outcome.agrees
    assert Comparison(outcome.npnn, outcome.torch, Tolerance(0.1, 2)).agrees


def test_the_figure_is_not_among_those_of_the_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders, job = Folders(), tiny_job("mlp_toy", "circles")
    assert folders.comparison(job, "compare").parent == folders.runs / job.stem
    assert folders._replace(figs=tmp_path).comparison(job, "compare") == tmp_path / f"{job.stem}-compare.png"


def test_nan_does_not_agree():
    assert not Comparison(history([1.0, float("nan")]), history([1.0, 1.0]), Tolerance(0.1, 2)).agrees


@requires_torch
@pytest.mark.parametrize("name", names())
def test_both_frameworks_agree_over_some_steps(name):
    """At 0.25 at most: a rate for batches of 1,000 makes of a rounding another choice of a pooling in batches of 16."""
    usual = next(iter(experiment(name).VARIANTS.values()))
    outcome = compare(tiny_job(name, steps=12, batch_size=16, lr=min(usual.lr, 0.25)), progress=False)
    assert len(outcome.gaps) == 12
    assert outcome.largest[0] < 1e-5
    assert outcome.agrees


@requires_torch
@pytest.mark.parametrize("name", names())
def test_in_float64_nothing_is_left_of_the_gap(name):
    outcome = compare(tiny_job(name, steps=12, batch_size=16), progress=False, double=True)
    assert outcome.tolerance.steps == 12
    assert outcome.largest[0] < 1e-12
    assert outcome.agrees


@requires_torch
def test_a_planted_difference_is_caught(tmp_path, monkeypatch, capsys):
    words = ["compare", "mlp_toy", "--steps", "20", "--figs", str(tmp_path)]
    assert main(words) == 0
    assert "within the tolerance" in capsys.readouterr().out
    (figure,) = tmp_path.glob("*-compare.png")
    figure.unlink()

    found = experiment("mlp_toy")

    def crooked(nn, config, honest=found.build):
        model = honest(nn, config)
        if nn is torch.nn:
            model[0].bias.data += 1e-2
        return model

    monkeypatch.setattr("experiments.mlp_toy.build", crooked)
    assert main(words) == 1
    assert "OUT OF the tolerance" in capsys.readouterr().out
    assert figure.exists()


def test_without_torch_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["run", "mlp_toy", "--backend", "torch", "--runs", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "error: the torch backend needs PyTorch: pip install 'npnn[torch]'\n"
