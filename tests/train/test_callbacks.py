"""EarlyStopping and Checkpoint: when they act, what they keep, what they refuse."""

from __future__ import annotations

import pytest

from npnn.io import CheckpointError, load_checkpoint
from npnn.train import Callback, Checkpoint, EarlyStopping
from tests.train.common import FRAMEWORKS, assert_same_weights, batches, build, data, framework, trainer, weights


class Script(Callback):
    """Replaces the validation loss of each record by the next of a list, before other callbacks see it."""

    def __init__(self, *figures):
        self.figures = list(figures)
        self.weights = []

    def on_record(self, trainer, record):
        record["validation_loss"] = self.figures[len(self.weights)]
        self.weights.append(weights(trainer.model))


def fit(figures, stopper, name="npnn", **options):
    script = Script(*figures)
    driven = trainer(name, callbacks=[script, stopper], **options)
    history = driven.fit(batches(), epochs=len(figures), validation=data())
    return driven, history, script


@pytest.mark.parametrize(
    ("options", "figures", "records"),
    [
        ({"patience": 2}, [3, 2, 2, 2, 1], 4),
        ({"patience": 2}, [3, 2, 2, 1, 1, 1], 6),
        ({"patience": 1}, [1, 2, 3], 2),
        ({"patience": 1, "mode": "max"}, [1, 2, 3, 3, 3], 4),
        ({"patience": 1, "min_delta": 0.5}, [3, 2, 1.6, 1], 3),
        ({"patience": 2}, [None, None, 1], 2),
    ],
)
def test_it_stops_once_patience_is_used_up(options, figures, records):
    _, history, _ = fit(figures, EarlyStopping(**options))
    assert len(history) == records
    assert not history.interrupted


@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.parametrize("figures", [[3, 1, 2, 2], [3, 1, 2]])  # stopped early, and not
def test_the_best_weights_come_back(name, figures):
    driven, _, script = fit(figures, EarlyStopping(patience=2), name)
    best = build(framework(name)[0])
    best.load_state_dict(driven.backend.state(script.weights[1]))
    assert_same_weights(driven.model, best)


def test_the_last_weights_stay_without_restore_best():
    driven, _, script = fit([3, 1, 2], EarlyStopping(patience=5, restore_best=False))
    for key, value in weights(driven.model).items():
        assert (value == script.weights[2][key]).all()


@pytest.mark.parametrize(
    "callback", [EarlyStopping("validation_accurracy"), Checkpoint("unused", "validation_accurracy")]
)
def test_a_misspelt_figure_is_an_error_that_names_those_there_are(callback, tmp_path):
    if isinstance(callback, Checkpoint):
        callback = Checkpoint(tmp_path, "validation_accurracy")
    with pytest.raises(KeyError, match="'validation_accurracy': the records have epoch, step, train_loss"):
        trainer(callbacks=[callback]).fit(batches(), epochs=1)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"patience": 0}, "patience"), ({"mode": "low"}, "'min' or 'max', got 'low'"), ({"min_delta": -1}, "min_delta")],
)
def test_bad_options(options, says):
    with pytest.raises(ValueError, match=says):
        EarlyStopping(**options)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_best_and_the_last_run_are_saved(name, tmp_path):
    checkpoint = Checkpoint(tmp_path / "new" / "folder")
    driven, _, script = fit([3, 1, 2], checkpoint, name)
    for path, number in ((checkpoint.best, 1), (checkpoint.last, 2)):
        saved = load_checkpoint(path)
        assert len(saved["run"]["records"]) == number + 1
        for key, value in script.weights[number].items():
            assert (value == saved["model"][key]).all()
    fresh = build(framework(name)[0])
    fresh.load_state_dict(driven.backend.state(load_checkpoint(checkpoint.last)["model"]))
    assert_same_weights(fresh, driven.model)


def test_without_a_figure_only_the_last_is_saved(tmp_path):
    trainer(callbacks=[Checkpoint(tmp_path, monitor=None)]).fit(batches(), epochs=2)
    assert [p.name for p in tmp_path.iterdir()] == ["last.safetensors"]


def test_the_newest_records_keep_files_of_their_own(tmp_path):
    checkpoint = Checkpoint(tmp_path, monitor=None, keep=2)
    trainer(callbacks=[checkpoint]).fit(batches(), epochs=4)
    files = ["last.safetensors", "step-00000009.safetensors", "step-00000012.safetensors"]
    assert sorted(p.name for p in tmp_path.iterdir()) == files
    checkpoint.last.write_bytes(b"")  # damaged: the error offers the one before
    with pytest.raises(CheckpointError, match=r"empty; .*step-00000012.safetensors is sound"):
        trainer(callbacks=[checkpoint]).fit(batches(), epochs=5, resume_from=checkpoint.last)
    resumed = trainer(callbacks=[checkpoint])
    resumed.fit(batches(), epochs=5, resume_from=tmp_path / files[1])
    assert resumed.history["step"] == [3, 6, 9, 12, 15]
    assert sorted(p.name for p in tmp_path.iterdir())[1:] == ["step-00000012.safetensors", "step-00000015.safetensors"]
    with pytest.raises(ValueError, match="keep is a number of files, 0 or more, got -1"):
        Checkpoint(tmp_path, keep=-1)


def test_checkpoints_are_told_last():
    early, checkpoint = EarlyStopping(), Checkpoint("folder")
    assert trainer(callbacks=[checkpoint, early]).callbacks == [early, checkpoint]
