"""Settings: what they may be, and how runs that differ get different names."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from dataclasses import dataclass

import pytest

from npnn.experiment.config import RunConfig, UserError, option, replace, settings
from npnn.experiment.job import Job
from npnn.experiment.registry import experiment, names
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


def test_no_two_runs_have_one_name():
    """Variants, seeds, frameworks, and every setting changed by itself."""
    stems = []
    for name in names():
        found = experiment(name)
        for variant, config in found.VARIANTS.items():
            jobs = [Job(found, variant, config), Job(found, variant, replace(config, seed=config.seed + 1))]
            jobs += [dataclasses.replace(job, backend="torch") for job in jobs]
            for setting in settings(found.Config):
                usual = getattr(config, setting.name)
                other = {bool: not usual, int: 1009, float: 0.77, str: "other"}[setting.read]
                with contextlib.suppress(UserError):  # not every setting can be changed alone
                    jobs.append(Job(found, variant, replace(config, **{setting.name: other})))
            stems += [job.stem for job in jobs]
    assert len(stems) > 1000
    assert [stem for stem, count in Counter(stems).items() if count > 1] == []


def test_a_change_is_not_taken_for_a_variant_that_is_called_like_it():
    changed = Job(experiment("mlp_toy"), "moons", replace(experiment("mlp_toy").VARIANTS["moons"], lr=0.1))
    assert changed.stem == "mlp_toy-moons+lr=0.1"
    variant = Job(experiment("mlp_toy"), "moons-lr0.1", changed.config)
    assert variant.stem == "mlp_toy-moons-lr0.1"
    seed = dataclasses.replace(variant, backend="torch", config=replace(variant.config, seed=2))
    assert seed.stem == "mlp_toy-moons-lr0.1-seed2-torch"


def test_whatever_is_changed_is_part_of_the_name():
    job = tiny_job("mlp_toy", "circles", "torch", steps=7, lr=0.5, hidden=20, n_samples=1000, batch_size=800)
    assert job.stem == "mlp_toy-circles+steps=7+lr=0.5-torch"
    assert job.command == "python -m experiments run mlp_toy --variant circles --steps 7 --lr 0.5 --backend torch"
    epochs = tiny_job("cnn_digits", "plain", steps=None, epochs=2, batch_size=32, channels=64)
    assert epochs.stem == "cnn_digits-plain+epochs=2"
