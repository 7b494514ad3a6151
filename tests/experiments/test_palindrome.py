"""The palindromes: what is unseen, what the initial weights promise, and the figure of all runs."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

import npnn
from experiments import _palindrome_figure as figure
from experiments._palindrome_fall import UntilTheFall, fallen
from npnn.data import make_palindromes
from npnn.experiment.registry import experiment
from npnn.train import Callback, History
from npnn.train.backend import backend_of
from npnn.train.run import Run
from tests.experiments.conftest import tiny_job

PALINDROME = experiment("rnn_palindrome")


@pytest.mark.parametrize("T", [3, 4, 5, 9])
def test_nothing_of_the_test_is_in_training_and_training_has_every_digit(T):
    data = PALINDROME.data(PALINDROME.VARIANTS[f"T{T}"])
    train, test = ({row.tobytes() for row in part} for part in (data.train_x, data.test_x))
    assert (len(train), len(test)) == (len(data.train_x), len(data.test_x)), "none occurs twice"
    assert not train & test
    np.testing.assert_allclose(np.bincount(data.train_y), len(data.train_y) / 10, rtol=0.1)
    np.testing.assert_allclose(np.bincount(data.test_y), len(data.test_y) / 10, rtol=0.2)


def test_another_seed_has_another_test_set():
    tests = [PALINDROME.data(PALINDROME.Config(T=3, n_samples=100, seed=seed)).test_x for seed in (0, 1)]
    assert not np.array_equal(*tests)


@pytest.mark.parametrize("T", [4, 7, 9])
def test_the_share_that_training_has_seen(T):
    data = make_palindromes(T, 10_000, replacement=True)
    train = {row.tobytes() for row in data.train_x}
    measured = np.mean([row.tobytes() in train for row in data.test_x])
    assert measured == pytest.approx(figure.share_seen(T, 10_000), abs=0.02)


def test_the_initial_weights_remember():
    recurrent = PALINDROME.build(npnn.nn, PALINDROME.Config(T=20)).rnn.weight_hh_l0.detach().numpy()
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(128), atol=1e-5)
    for cell in ("LSTM", "GRU"):
        rnn = PALINDROME.build(npnn.nn, PALINDROME.Config(T=20, cell=cell, hidden=6)).rnn
        gate = rnn.bias_hh_l0.detach().numpy()[6:12]
        np.testing.assert_allclose(1 / (1 + np.exp(-gate)), 1 - 1 / 20, rtol=1e-6)
        assert rnn.bias_hh_l0.requires_grad


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_the_gate_that_is_opened_is_the_one_that_keeps_the_memory(cell):
    """With it wide open and everything else 0, the state does not fade (LSTM's input gate adds tanh(0) = 0)."""
    rnn = PALINDROME.build(npnn.nn, PALINDROME.Config(T=10**9, cell=cell, hidden=4)).rnn
    for name, parameter in rnn.named_parameters():
        if name != "bias_hh_l0":
            parameter.array[:] = 0
    rnn.bias_hh_l0.array[:4] = rnn.bias_hh_l0.array[8:] = 0
    state = np.full((1, 2, 4), 0.5, np.float32)
    given = (npnn.tensor(state), npnn.tensor(state)) if cell == "LSTM" else npnn.tensor(state)
    last = rnn(npnn.tensor(np.zeros((2, 9, 10), np.float32)), given)[1]
    np.testing.assert_allclose((last[1] if cell == "LSTM" else last).detach().numpy(), state, rtol=1e-5)


def test_the_gradient_fades_from_the_last_digit_to_the_first_unless_the_matrix_is_orthogonal():
    npnn.manual_seed(0)
    faded, kept = (
        figure.gradient_by_digit(PALINDROME.build(npnn.nn, PALINDROME.Config(init=init)), T=20)
        for init in ("default", "memory")
    )
    assert faded.shape == kept.shape == (19,)
    assert faded[0] / faded[-1] < 1 / math.sqrt(3) ** 16
    assert kept[0] / kept[-1] > 0.1


def test_a_record_of_each_step_says_how_far_the_weights_moved():
    job = tiny_job("rnn_palindrome", "raw-T20-fall", steps=3)
    weights = []

    class Look(Callback):
        def on_step_end(self, trainer):
            weights.append(np.concatenate([p.detach().numpy().ravel().copy() for p in trainer.model.parameters()]))

    start = job.start((Look(),), progress=False)
    first = np.concatenate([p.detach().numpy().ravel() for p in start.trainer.model.parameters()])
    moved = start.fit(job.config)["update_norm"]
    np.testing.assert_allclose(moved, np.linalg.norm(np.diff([first, *weights], axis=0), axis=1), rtol=1e-4)
    assert not PALINDROME.callbacks(PALINDROME.VARIANTS["raw-T20"])


@pytest.mark.parametrize(("accuracies", "fell"), [
    ([0.19] * 50 + [0.1] * 50, True), ([0.1] * 50 + [0.1] * 50, False), ([1.0] * 50 + [0.7] * 50, False),
    ([1.0] * 49 + [0.1] * 50, False), ([0.1] * 50 + [1.0] * 50, False), ([], False),
])  # fmt: skip
def test_what_a_fall_is(accuracies, fell):
    assert fallen(accuracies) is fell


def test_a_run_ends_soon_after_the_fall_with_the_records_of_the_last_steps():
    callback, model = UntilTheFall(), npnn.nn.Linear(1, 1)
    trainer = SimpleNamespace(model=model, backend=backend_of(model), history=History(), run=Run())
    callback.on_train_begin(trainer)
    for step in range(1, 400):
        trainer.history.append({"step": step, "validation_accuracy": 1.0 if step < 300 else 0.1, "seconds": 0.5})
        callback.on_record(trainer, trainer.history.records[-1])
        if trainer.run.should_stop:
            break
    assert 300 < step <= 350
    assert trainer.history["step"] == list(range(step - 199, step + 1))
    assert sum(trainer.history["seconds"]) == 0.5 * step


def records(accuracies):
    history = History()
    for k, right in enumerate(accuracies, 1):
        history.append({"step": 10 * k, "validation_accuracy": right, "grad_norm": 2.0})
    return history


@pytest.mark.parametrize(("accuracies", "step"), [
    ([0.1, 1.0, 1.0], 20), ([1.0, 0.9, 1.0], 30), ([1.0, 1.0], 10), ([0.5, 1.0, 0.9], np.nan), ([0.2], np.nan),
])  # fmt: skip
def test_steps_to_all(accuracies, step):
    assert figure.steps_to_all(records(accuracies)) == pytest.approx(step, nan_ok=True)


def test_the_figure_shows_what_ran():
    def row(variant, seeds=2):
        columns = {"step": [10, 20], "validation_accuracy": [0.5, 1.0], "grad_norm": [3.0, 20.0], "update_norm": [1, 2]}
        history = History()
        for values in zip(*columns.values(), strict=True):
            history.append(dict(zip(columns, values, strict=True)))
        return SimpleNamespace(
            config=PALINDROME.VARIANTS[variant], accuracies=[1.0, 0.9], history=history,
            npnn=[{"history": columns, "config": {"seed": seed}} for seed in range(seeds)],
            torch=[{"history": columns, "config": {"seed": 0}}],
        )  # fmt: skip

    variants = "T3 T20 lstm-T5 lstm-T10 raw-T4 raw-T4-few raw-T20 raw-T20-steplr raw-T20-fall"
    sheet = PALINDROME.overview({v: row(v) for v in variants.split()})
    lengths, steps, _, _, fell, _, norms, _, digit, leak = sheet.axes
    drawn = [[line.get_label() for line in ax.get_lines() if not line.get_label().startswith("_")] for ax in sheet.axes]
    assert drawn[0] == ["RNN", "LSTM", "as reported", "chance"]
    assert drawn[1] == ["RNN", "LSTM"]
    assert drawn[2] == ["seed 0", "seed 1", "seed 0, torch"]
    assert drawn[3] == ["StepLR", "one-hot, orthogonal"]
    assert drawn[6] == ["gradient", "change of weights", "clip at 10"]
    assert [line.get_ydata().tolist() for line in norms.get_lines()[:2]] == [[3, 20], [1, 2]]
    assert fell.get_xlim() == norms.get_xlim() == (20 - 40, 20 + 25)
    assert lengths.get_lines()[0].get_xdata().tolist() == [3, 20]
    assert lengths.get_lines()[0].get_ydata().tolist() == [95, 95]
    assert lengths.get_lines()[2].get_xdata().tolist() == [4, 20]
    assert steps.get_lines()[0].get_ydata().tolist() == [20, 20]
    assert all(ax.get_ylabel() and (ax.get_title() or ax.get_xlabel()) for ax in sheet.axes)
    assert (len(digit.get_lines()), len(leak.get_lines())) == (3, 3)
    assert PALINDROME.overview({}).axes
