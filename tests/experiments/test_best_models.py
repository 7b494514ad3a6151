"""The models in best_models/ are those of the recorded runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from npnn.experiment import numbers as numbers_of
from npnn.experiment.results import evaluate
from npnn.io.weights import read

ROOT = Path(__file__).parent.parent.parent
MODELS = sorted((ROOT / "best_models").glob("*.safetensors"))
SMALL = [path for path in MODELS if path.name.startswith(("cnn_digits-", "mlp_toy-", "rnn_palindrome-"))]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_run_in_the_file_is_the_one_that_is_recorded(path):
    stem, saved = path.stem, json.loads(read(path)[1]["run"])
    files = [ROOT / folder / f"{stem}.json" for folder in ("experiments/results", "runs")]
    # `make demo` writes a model anew, and its record into runs/
    records = [record for file in files if (record := numbers_of.read(file)) is not None]
    recorded = next((r for r in records if saved["metrics"] == r["metrics"]), records[0])
    assert saved == {name: recorded[name] for name in saved}
    assert saved.keys() >= {"experiment", "variant", "config", "metrics"}
    assert recorded["weights"]["bytes"] == path.stat().st_size


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_a_small_model_reaches_again_what_is_recorded(path):
    assert evaluate(path).agrees


def test_all_of_them_are_small_enough_to_be_kept():
    assert len(SMALL) == 3
    assert sum(path.stat().st_size for path in MODELS) < 60e6
