"""What may happen beside the training itself: stopping early, saving.

A callback is an object with the methods of :class:`Callback`; it overrides those it needs.  It may
read everything the trainer shows: ``model``, ``optimizer``, ``history``, and where the run stands,
``run.epoch`` and ``run.step``.  Setting ``run.should_stop`` ends the run.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npnn.io import keep_last, save_checkpoint
from npnn.train.health import copy_weights, load_weights

if TYPE_CHECKING:
    from npnn.train.trainer import Trainer

__all__ = ["Callback", "Checkpoint", "EarlyStopping"]


class Callback:
    """Base class; every method does nothing.

    A *record* is a line of the history: one per epoch, or one per ``evaluate_every`` steps.
    """

    def on_train_begin(self, trainer: Trainer) -> None:
        """Called once by fit, after a checkpoint to resume from was loaded."""

    def on_step_end(self, trainer: Trainer) -> None:
        """After each optimiser step.  The gradients of the step are still there."""

    def on_record(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        """After each record of the history."""

    def on_train_end(self, trainer: Trainer) -> None:
        """When training is over or was interrupted (``trainer.history.interrupted``), not after an error."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know to go on as if nothing had happened."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state that state_dict gave."""


class _Best:
    """The best value of one figure so far."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0):
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
        if not min_delta >= 0:
            raise ValueError(f"min_delta must not be negative, got {min_delta}")
        self.monitor, self.sign, self.min_delta = monitor, 1.0 if mode == "max" else -1.0, min_delta
        self.value = -math.inf  # of sign * figure, so that more is better

    def improved(self, record: Mapping[str, Any]) -> bool:
        """True if the record beats the best by more than min_delta, and is the best from now on.

        Errors: KeyError naming the figures there are, if the record lacks this one.
        """
        if self.monitor not in record:
            raise KeyError(f"nothing to monitor under {self.monitor!r}: the records have {', '.join(record)}")
        figure = record[self.monitor]
        if figure is None or not self.sign * figure > self.value + self.min_delta:
            return False
        self.value = self.sign * figure
        return True


class EarlyStopping(Callback):
    """Stop once ``monitor`` has not improved for ``patience`` records running.

    An improvement is a change of more than ``min_delta`` in the direction of ``mode`` ("min" or
    "max").  With ``restore_best`` the model ends with the weights of its best record, whether the
    run was stopped early or not; an interrupted run keeps those it has.
    Source: Prechelt, Early Stopping - But When?, 1998.
    """

    def __init__(
        self,
        monitor: str = "validation_loss",
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "min",
        restore_best: bool = True,
    ):
        if patience < 1:
            raise ValueError(f"patience must be at least 1, got {patience}")
        self.figure = _Best(monitor, mode, min_delta)
        self.patience, self.restore_best = patience, restore_best
        self.waited = 0
        self.weights: dict[str, Any] = {}

    def on_record(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        if self.figure.improved(record):
            self.waited = 0
            if self.restore_best:
                self.weights = copy_weights(trainer.model, trainer.backend)
            return
        self.waited += 1
        if self.waited >= self.patience:
            trainer.run.should_stop = True

    def on_train_end(self, trainer: Trainer) -> None:
        if not trainer.history.interrupted:
            self.restore(trainer)

    def restore(self, trainer: Trainer) -> bool:
        """Give the model the weights of its best record; False if none were kept."""
        if self.weights:
            load_weights(trainer.model, trainer.backend, self.weights)
        return bool(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.figure.value, "waited": self.waited, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.figure.value, self.waited, self.weights = state["best"], state["waited"], dict(state["weights"])


class Checkpoint(Callback):
    """Save the whole run in ``folder`` after each record: as ``last``, and as ``best`` if ``monitor`` improved.

    ``fit(..., resume_from=checkpoint.last)`` goes on where the run ended, also if that was by Ctrl-C
    in the middle of an epoch.  Without validation data the training loss decides what is best; with monitor=None
    no record is the best, and only ``last`` is written.
    With ``keep`` the newest so many records have a file of their own as well, ``step-00001200.safetensors``.
    All are files for ``npnn.io.load_checkpoint``, whose "model" is the state_dict.
    """

    def __init__(
        self, folder: str | os.PathLike[str], monitor: str | None = "validation_loss", mode: str = "min", keep: int = 0
    ):
        if keep < 0:
            raise ValueError(f"keep is a number of files, 0 or more, got {keep}")
        self.folder, self.keep = Path(folder), keep
        self.last, self.best = self.folder / "last.safetensors", self.folder / "best.safetensors"
        self.figure = None if monitor is None else _Best(monitor, mode)

    def on_train_begin(self, trainer: Trainer) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def on_record(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        if self.figure is not None and self.figure.monitor == "validation_loss" and "validation_loss" not in record:
            self.figure.monitor = "train_loss"
        improved = self.figure is not None and self.figure.improved(record)
        state = trainer.state_dict()
        save_checkpoint(state, self.last)
        if improved:
            save_checkpoint(state, self.best)
        if self.keep:
            save_checkpoint(state, self.folder / f"step-{trainer.run.step:08}.safetensors")
            keep_last(self.folder, self.keep, "step-*.safetensors")

    def on_train_end(self, trainer: Trainer) -> None:
        if trainer.history.interrupted:
            save_checkpoint(trainer.state_dict(), self.last)

    def state_dict(self) -> dict[str, Any]:
        return {"best": None if self.figure is None else self.figure.value}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if self.figure is not None:
            self.figure.value = state["best"]
