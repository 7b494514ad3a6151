"""What happened during training, as plain numbers that fit into a JSON file."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

__all__ = ["History"]


class History:
    """The records of a run, one per epoch (or per ``evaluate_every`` steps), and the loss of every step.

    (Of the steps since the last record only, if the trainer was told so with ``keep_losses=False``.)

    A record is a dict: epoch and step (how many were finished), train_loss, train_accuracy and the
    other metrics, validation_loss, validation_accuracy, ..., lr, seconds.  The train figures are
    means over the batches of that record, taken while the weights were moving; the validation
    figures belong to the weights at its end.  ``seconds`` is the time of the training steps alone.

    ``history["train_loss"]`` is that column as a list.
    """

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.step_losses = array("d")  # eight bytes a step: a run may have millions
        self.interrupted = False  # by Ctrl-C, before its time

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record; arrays in it become lists, and nan, which JSON does not know, None."""
        self.records.append({name: _plain(value) for name, value in record.items()})

    def __len__(self) -> int:
        return len(self.records)

    def __contains__(self, name: str) -> bool:
        return any(name in record for record in self.records)

    def __getitem__(self, name: str) -> list[Any]:
        """One figure of all records.  Errors: KeyError naming the figures there are."""
        if name not in self:
            known = dict.fromkeys(key for record in self.records for key in record)
            raise KeyError(f"the history has no {name!r}, only: {', '.join(known) or 'no records at all'}")
        return [record.get(name) for record in self.records]

    def to_dict(self) -> dict[str, Any]:
        """Dicts, lists and numbers; ``from_dict`` gives the same history back."""
        return {
            "records": [dict(record) for record in self.records],
            "step_losses": self.step_losses.tolist(),
            "interrupted": self.interrupted,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> History:
        history = cls()
        for record in values["records"]:
            history.append(record)
        history.extend_losses(values["step_losses"])
        history.interrupted = bool(values["interrupted"])
        return history

    def extend_losses(self, losses: Iterable[float]) -> None:
        self.step_losses.extend(float(loss) for loss in losses)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and value != value else value
