"""Settings: what they may be, and how runs that differ get different names."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from experiments.harness.config import RunConfig, UserError, option, replace, settings
from tests.experiments.conftest import tiny_job


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 3}, "either --epochs or --steps"),
        ({"steps": None}, "either --epochs or --steps"),
        ({"steps": 0}, "--steps must be at least 1, got 0"),
        ({"batch_size": -1}, "--batch-size must be at least 1"),
        ({"evaluate_every": 0}, "--evaluate-every must be at least 1"),
        ({"lr": 0.0}, "--lr must be a positive number, got 0.0"),
        ({"lr": float("nan")}, "--lr must be a positive number, got nan"),
        ({"clip_grad_norm": 0.0}, "--clip-grad-norm must be a positive number"),
        ({"seed": -1}, "--seed must not be negative"),
        ({"validation": -1}, "--validation must not be negative"),
        ({"patience": 3}, "--patience needs --validation"),
        ({"patience": 0, "validation": 10}, "--patience must be at least 1"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        RunConfig(**{"steps": 5, **changes})


def test_a_length_in_steps_replaces_one_in_epochs():
    config = replace(RunConfig(epochs=3), steps=7)
    assert (config.epochs, config.steps) == (None, 7)
    config = replace(config, epochs=2)
    assert (config.epochs, config.steps) == (2, None)
    with pytest.raises(UserError, match="either"):
        replace(config, epochs=2, steps=7)


def test_settings_know_type_choices_and_help():
    @dataclass(frozen=True, kw_only=True)
    class Config(RunConfig):
        bias: bool = option(True, "add a bias")
        kind: str = option("a", "which", choices=("a", "b"))

    found = {s.name: s for s in settings(Config)}
    assert found["bias"].read is bool
    assert found["steps"].read is int
    assert found["clip_grad_norm"].read is float
    assert found["kind"].choices == ("a", "b")
    assert all(s.help for s in found.values())


def test_whatever_is_changed_is_part_of_the_name():
    job = tiny_job("mlp_toy", "circles", "torch", steps=7, lr=0.5, hidden=20, n_samples=1000, batch_size=800)
    assert job.stem == "mlp_toy-circles-steps7-lr0.5-torch"
    assert job.command == "python -m experiments run mlp_toy --variant circles --steps 7 --lr 0.5 --backend torch"
    epochs = tiny_job("cnn_digits", "plain", steps=None, epochs=2, batch_size=32, channels=64)
    assert epochs.stem == "cnn_digits-plain-epochs2"
