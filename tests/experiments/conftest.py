"""Small runs: a few steps on few data, into a temporary folder."""

from __future__ import annotations

import pytest

from experiments.harness.config import replace
from experiments.harness.job import Job
from experiments.harness.registry import experiment
from experiments.harness.results import Folders


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path / "figs", tmp_path / "models", tmp_path / "runs")


def tiny_job(name, variant=None, backend="npnn", **changes):
    """Two steps of one variant, with few data where their number is a setting."""
    found = experiment(name)
    variant = variant or next(iter(found.VARIANTS))
    config = found.VARIANTS[variant]
    small = {"steps": 2, "batch_size": 8, "n_samples": 60, "hidden": 8, "channels": 4}
    changes = {name: value for name, value in {**small, **changes}.items() if hasattr(config, name)}
    return Job(found, variant, replace(config, **changes), backend)
