"""The history: columns, and the round trip through JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from npnn.train.history import History


def example() -> History:
    history = History()
    history.append({"epoch": 1, "train_loss": np.float32(0.5), "class_accuracy": np.array([1.0, np.nan])})
    history.append({"epoch": 2, "train_loss": 0.1 + 0.2, "validation_loss": float("nan")})
    history.extend_losses([0.5, 0.1 + 0.2])
    return history


def test_columns():
    history = example()
    assert len(history) == 2
    assert history["train_loss"] == [0.5, 0.1 + 0.2]
    assert history["validation_loss"] == [None, None]
    assert "train_loss" in history
    assert "lr" not in history


def test_an_unknown_column_names_those_there_are():
    with pytest.raises(KeyError, match="only: epoch, train_loss, class_accuracy, validation_loss"):
        example()["loss"]
    with pytest.raises(KeyError, match="no records at all"):
        History()["loss"]


def test_strict_json_gives_the_same_history_back():
    history = example()
    history.interrupted = True
    again = History.from_dict(json.loads(json.dumps(history.to_dict(), allow_nan=False)))
    assert again.to_dict() == history.to_dict()
    assert again.records[0]["class_accuracy"] == [1.0, None]
    assert again.interrupted


def test_the_dict_is_a_copy():
    history = example()
    history.to_dict()["records"][0]["epoch"] = 7
    assert history["epoch"] == [1, 2]
