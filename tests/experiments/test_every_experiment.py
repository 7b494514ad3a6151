"""Each variant of each experiment takes two steps on few data in both frameworks, from the same weights."""

from __future__ import annotations

import re

import numpy as np
import pytest

from npnn.experiment.numbers import read
from npnn.experiment.registry import experiment, names
from npnn.experiment.results import evaluate
from npnn.experiment.run import run
from tests.experiments.conftest import tiny_job
from tests.parity import requires_torch

# Of variants that are called alike but for a number, such as T3 to T30, the first.
KINDS = {
    (name, re.sub(r"\d", "", variant)): variant for name in names() for variant in reversed(experiment(name).VARIANTS)
}
VARIANTS = sorted((name, variant) for (name, _), variant in KINDS.items())


def test_the_three_families_are_there():
    assert {"mlp_toy", "cnn_digits", "rnn_palindrome"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_the_file_opens_with_question_command_number_and_time(name):
    text = __import__(f"experiments.{name}", fromlist=["__doc__"]).__doc__
    assert experiment(name).question.endswith("?")
    assert f"python -m experiments run {name}" in text
    assert "%" in text
    assert " s" in text


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_two_steps_leave_figure_weights_and_numbers(name, variant, folders, monkeypatch):
    job = tiny_job(name, variant)
    if variant != next(iter(job.experiment.VARIANTS)):  # drawn, but not painted, which takes a second each
        monkeypatch.setattr("npnn.plot.save", lambda figure, path: path.write_bytes(b"\x89PNG"))
    run(job, folders)
    assert folders.figure(job).read_bytes().startswith(b"\x89PNG")
    numbers = read(folders.numbers(job), job.stem)
    assert numbers["experiment"] == name
    assert numbers["config"]["steps"] == 2
    assert numbers["config"]["seed"] == job.experiment.VARIANTS[variant].seed
    assert numbers["finished"]
    assert numbers["step"] == numbers["history"]["step"][-1] == 2
    assert numbers["versions"].keys() >= {"python", "npnn", "numpy"}
    assert not list(folders.runs.glob("*/last.safetensors")), "a finished run leaves nothing to resume"
    found = evaluate(folders.weights(job))
    assert found.measured == found.recorded == numbers["metrics"]


@requires_torch
@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_torch_takes_the_same_two_steps(name, variant):
    losses, states = [], []
    for backend in ("npnn", "torch"):
        job = tiny_job(name, variant, backend)
        start = job.start(progress=False)
        lr = start.trainer.optimizer.param_groups[0]["lr"]
        losses.append(start.fit(job.config).step_losses)
        states.append({k: np.asarray(v.detach()) for k, v in start.trainer.model.state_dict().items()})
    # The first loss is computed from the same weights.  After a step of Adam or RMSprop a weight whose gradient is
    # nothing but rounding may have moved by the rate in either direction: such weights are few, and twice the rate
    # a step is as far apart as they can be.
    np.testing.assert_allclose(losses[0][0], losses[1][0], rtol=1e-5)
    np.testing.assert_allclose(losses[0][1], losses[1][1], rtol=1e-5 if lr <= 1e-3 else 1e-2)
    assert list(states[0]) == list(states[1])
    apart = total = 0
    for key in states[0]:
        gap = np.abs(states[0][key] - states[1][key])
        assert gap.max(initial=0) <= 2 * 2 * 3.2 * lr, key  # RMSprop's first step is 1/√(1 - α) times the rate
        apart += int((gap > 1e-3 * np.abs(states[1][key]) + 2e-5).sum())
        total += gap.size
    assert apart <= 1e-2 * total


@pytest.mark.parametrize("name", names())
def test_one_seed_gives_one_result(name):
    losses = []
    for seed in (5, 5, 6):
        job = tiny_job(name, seed=seed)
        losses.append(list(job.start(progress=False).fit(job.config).step_losses))
    assert losses[0] == losses[1] != losses[2]


def test_the_palindromes_of_training_and_test_are_different():
    data = experiment("rnn_palindrome").data(experiment("rnn_palindrome").VARIANTS["T5"])
    train, test = ({row.tobytes() for row in part} for part in (data.train_x, data.test_x))
    assert len(train) == 800
    assert len(test) == 200
    assert not train & test
