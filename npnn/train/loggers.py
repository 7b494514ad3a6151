"""Logs of a run that other programs read: a line for each record, as CSV or as JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npnn.io.atomic import atomic_write
from npnn.train.callbacks import Callback

if TYPE_CHECKING:
    from npnn.train.trainer import Trainer

__all__ = ["CSVLogger", "JSONLLogger"]

Record = Mapping[str, Any]


class _Logger(Callback):
    """A file with a line for each record of the history, written before training goes on, whole or not at all.

    When a run is resumed, the file is made to agree with its history: lines that were written after
    the checkpoint was go, as their steps are taken again, and lines that were lost come back.
    """

    def __init__(self, path: str | os.PathLike[str], overwrite: bool = False):
        self.path, self.overwrite = Path(path), overwrite

    def on_train_begin(self, trainer: Trainer) -> None:
        records = trainer.history.records
        if not (records or self.overwrite) and self.path.exists() and self.path.stat().st_size:
            raise FileExistsError(
                f"{self.path} holds the log of another run: choose another path, or overwrite=True to lose it"
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.write(records)

    def on_record(self, trainer: Trainer, record: Record) -> None:
        try:
            _append(self.path, self.lines([record]).encode())
        except OSError as error:
            reason = f"cannot write the log: {(error.strerror or str(error)).lower()}"
            raise OSError(error.errno, reason, str(self.path)) from error

    def write(self, records: Sequence[Record]) -> None:
        """Make the file anew, of these records."""
        with atomic_write(self.path) as file:
            file.write(self.lines(records).encode())

    def lines(self, records: Sequence[Record]) -> str:
        """A line for each record, with the newline at its end."""
        raise NotImplementedError


class CSVLogger(_Logger):
    """The history as a CSV file that grows with it: a column for each figure, named in the first line.

    Lists (a figure per class) are written as JSON, what there is not (nan) as nothing.  If a record has a
    figure that those before it had not, the file is written anew, with one more column.
    An existing file is not touched (FileExistsError) unless it is this run's, which is resumed,
    or ``overwrite``.  Errors: OSError naming the file if the disk refuses; no part of a line is left.
    """

    columns: Sequence[str] = ()

    def on_record(self, trainer: Trainer, record: Record) -> None:
        if record.keys() <= set(self.columns):
            super().on_record(trainer, record)
        else:
            self.write(trainer.history.records)

    def write(self, records: Sequence[Record]) -> None:
        self.columns = list(dict.fromkeys(name for record in records for name in record))
        head = dict(zip(self.columns, self.columns, strict=True))
        super().write([head, *records] if records else [])

    def lines(self, records: Sequence[Record]) -> str:
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        for record in records:
            cells = [record.get(name) for name in self.columns]
            rows.writerow([json.dumps(cell) if isinstance(cell, list) else cell for cell in cells])
        return text.getvalue()


class JSONLLogger(_Logger):
    """The history as JSON Lines, a file that grows with it: an object for each record.

    What there is not, and what JSON has no number for, is null.  Existing files and errors: as CSVLogger.
    """

    def lines(self, records: Sequence[Record]) -> str:
        return "".join(json.dumps(_finite(dict(record)), allow_nan=False) + "\n" for record in records)


def _append(path: Path, data: bytes) -> None:
    """Add the data at the end of the file; if not all of it can be written, none."""
    with open(path, "ab", buffering=0) as file:
        end = file.tell()
        try:
            while data:
                data = data[file.write(data) :]
        except OSError:
            file.truncate(end)
            raise


def _finite(value: Any) -> Any:
    """nan and infinity as None, in lists and dicts, too."""
    if isinstance(value, dict):
        return {name: _finite(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
