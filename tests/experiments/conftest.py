"""Small runs: a few steps on few data, into a temporary folder."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

from npnn.data import TrainTest
from npnn.experiment.config import replace
from npnn.experiment.job import Job
from npnn.experiment.registry import Reported, experiment, names
from npnn.experiment.results import Folders

DOWNLOADED = {"load_mnist": (1, 28, 28), "load_cifar10": (3, 32, 32)}


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    """Instead of the sets that are downloaded: 60 and 30 images of noise, three and more of each class."""

    def fake(shape):
        def load(dtype="float32"):
            rng = np.random.default_rng(0)
            x = rng.integers(0, 256, (90, *shape), np.uint8)
            x = x if dtype == "uint8" else (x / 255).astype(dtype)
            y = np.arange(90) % 10
            return TrainTest(x[:60], y[:60], x[60:], y[60:], tuple("0123456789"))

        return load

    def text():
        letters = [chr(code) for code in range(33, 33 + 65)]  # as many as the text has
        return "".join([*letters, *np.random.default_rng(0).choice(letters, 600)])

    for name in names():
        experiment(name)
    for module in [module for name, module in sys.modules.items() if name.startswith("experiments.")]:
        if hasattr(module, "load_shakespeare"):
            monkeypatch.setattr(module, "load_shakespeare", text)
        for loader, shape in DOWNLOADED.items():
            if hasattr(module, loader):
                monkeypatch.setattr(module, loader, fake(shape))


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path / "figs", tmp_path / "models", tmp_path / "runs", tmp_path / "experiments" / "results")


def tiny_job(name, variant=None, backend="npnn", **changes):
    """Two steps of one variant, with few data where their number is a setting."""
    found = experiment(name)
    variant = variant or next(iter(found.VARIANTS))
    config = found.VARIANTS[variant]
    small = {
        "steps": 2,
        "batch_size": 8,
        "n_samples": 60,
        "hidden": 8,
        "channels": 4,
        "units": "8-8",
        "width": 16,
        "length": 8,
    }
    if config.validation:
        small["validation"] = 10
    changes = {name: value for name, value in {**small, **changes}.items() if hasattr(config, name)}
    return Job(found, variant, replace(config, **changes), backend)


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
    the_only_one(monkeypatch, found)
    return found


def the_only_one(monkeypatch, found):
    """Let the table and the report know of no other experiment."""
    for module in ("table", "report"):
        monkeypatch.setattr(f"npnn.experiment.{module}.experiments", lambda: iter([found]))
    monkeypatch.setattr("npnn.experiment.table.names", lambda: [found.name])
    monkeypatch.setattr("npnn.experiment.numbers.experiment", lambda name: found)
