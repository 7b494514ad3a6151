"""CSVLogger and JSONLLogger: a line for each record, also after an interruption, and whole lines only."""

from __future__ import annotations

import csv
import errno
import io
import json
import os

import numpy as np
import pytest

from npnn.train import Checkpoint, CSVLogger, History, JSONLLogger, class_accuracy
from tests.train.common import FRAMEWORKS, batches, data, trainer

LOGGERS = {"csv": CSVLogger, "jsonl": JSONLLogger}


def read(path):
    """The rows of a log, numbers as numbers."""
    text = path.read_text()
    assert text == "" or text.endswith("\n")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return [
        {name: json.loads(cell) if cell else None for name, cell in row.items()}
        for row in csv.DictReader(io.StringIO(text))
    ]


@pytest.fixture(params=LOGGERS)
def log(request, tmp_path):
    return tmp_path / f"log.{request.param}"


def logger(path, **options):
    return LOGGERS[path.suffix[1:]](path, **options)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_log_is_the_history(name, log):
    metrics = {
        "accuracy": lambda a, b: float((a.argmax(1) == b).mean()),
        "class_accuracy": lambda a, b: class_accuracy(a, b),
    }
    driven = trainer(name, callbacks=[logger(log)], metrics=metrics, clip_grad_norm=1.0)
    history = driven.fit(batches(), epochs=3, validation=data())
    assert read(log) == history.records
    assert len(history) == 3


def test_each_record_is_there_before_training_goes_on(log):
    from npnn.train import Callback

    class Look(Callback):
        def __init__(self):
            self.seen = []

        def on_record(self, trainer, record):
            self.seen.append(len(read(log)))

    look = Look()
    trainer(callbacks=[logger(log), look]).fit(batches(), max_steps=6, evaluate_every=2)
    assert look.seen == [1, 2, 3]


def test_a_resumed_run_goes_on_without_double_lines(log, tmp_path):
    whole = trainer(callbacks=[logger(tmp_path / f"whole{log.suffix}")]).fit(batches(), epochs=5).records
    trainer(callbacks=[logger(log), Checkpoint(tmp_path, None)]).fit(batches(), epochs=2)
    (tmp_path / "last.safetensors").rename(tmp_path / "second.safetensors")
    trainer(callbacks=[logger(log), Checkpoint(tmp_path, None)]).fit(
        batches(), epochs=4, resume_from=tmp_path / "second.safetensors"
    )  # two epochs more, which no checkpoint that is used knows of
    assert len(read(log)) == 4
    again = trainer(callbacks=[logger(log), Checkpoint(tmp_path, None)])
    history = again.fit(batches(), epochs=5, resume_from=tmp_path / "second.safetensors")
    assert read(log) == history.records
    assert [r["train_loss"] for r in read(log)] == [r["train_loss"] for r in whole]


def test_a_line_cut_short_by_the_end_of_the_process_is_mended(log, tmp_path):
    trainer(callbacks=[logger(log), Checkpoint(tmp_path, None)]).fit(batches(), epochs=2)
    log.write_bytes(log.read_bytes()[:-20])
    driven = trainer(callbacks=[logger(log), Checkpoint(tmp_path, None)])
    driven.fit(batches(), epochs=3, resume_from=tmp_path / "last.safetensors")
    assert read(log) == driven.history.records


def test_the_log_of_another_run_is_not_lost(log):
    trainer(callbacks=[logger(log)]).fit(batches(), epochs=2)
    before = log.read_bytes()
    with pytest.raises(FileExistsError, match=r"holds the log of another run.*overwrite=True"):
        trainer(callbacks=[logger(log)]).fit(batches(), epochs=1)
    assert log.read_bytes() == before
    trainer(callbacks=[logger(log, overwrite=True)]).fit(batches(), epochs=1)
    assert len(read(log)) == 1


def test_a_new_folder_is_made(tmp_path):
    for suffix in LOGGERS:
        path = tmp_path / "new" / "folder" / f"log.{suffix}"
        trainer(callbacks=[logger(path)]).fit(batches(), epochs=1)
        assert len(read(path)) == 1


def recorded(log, *records):
    """A logger that was told of these records, without any training."""
    driven, told = trainer(), logger(log)
    told.on_train_begin(driven)
    for record in records:
        driven.history.append(record)
        told.on_record(driven, driven.history.records[-1])
    return told


def test_missing_and_infinite_numbers_lists_and_words(log):
    history = History()
    recorded(log, {"step": 1, "a": float("nan"), "b": np.array([0.5, np.nan]), "c": 'with "quotes", and a comma'})
    history.append({"step": 1, "a": float("nan"), "b": np.array([0.5, np.nan]), "c": 'with "quotes", and a comma'})
    if log.suffix == ".jsonl":
        assert read(log) == history.records
    else:
        (row,) = csv.DictReader(io.StringIO(log.read_text()))
        assert row == {"step": "1", "a": "", "b": "[0.5, null]", "c": 'with "quotes", and a comma'}
    recorded(log.with_stem("infinite"), {"step": 1, "a": float("inf")})
    assert log.with_stem("infinite").read_text().splitlines()[-1] in ("1,inf", '{"step": 1, "a": null}')


def test_a_figure_that_comes_later_gets_a_column_of_its_own(log):
    recorded(log, {"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "accuracy": 0.5}, {"step": 3})
    rows = [{k: v for k, v in row.items() if v is not None} for row in read(log)]
    assert rows == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "accuracy": 0.5}, {"step": 3}]


def test_a_full_disk_leaves_whole_lines(log, monkeypatch):
    """The disk has room for three more bytes, and then for none."""
    told = recorded(log, {"step": 1, "loss": 2.0})
    before = log.read_bytes()
    room = [3]
    real = open

    class Full(io.FileIO):
        def write(self, data):
            if not room[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            written, room[0] = super().write(bytes(data)[: room[0]]), 0
            return written

    monkeypatch.setattr("builtins.open", lambda p, m, **k: Full(p, "a") if m == "ab" else real(p, m, **k))
    driven = trainer()
    driven.history.append({"step": 2, "loss": 1.5})
    with pytest.raises(OSError, match=rf"cannot write the log: no space left on device.*{log.name}") as info:
        told.on_record(driven, {"step": 2, "loss": 1.5})
    assert info.value.errno == errno.ENOSPC
    assert log.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(log):
    log.parent.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            trainer(callbacks=[logger(log)]).fit(batches(), epochs=1)
    finally:
        log.parent.chmod(0o700)
