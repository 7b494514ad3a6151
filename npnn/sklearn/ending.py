"""When a fit ends: for lack of progress, after all epochs, or never, as partial_fit."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from npnn.train import EarlyStopping, Trainer

__all__ = ["knows_no_end", "warn_if_early", "watch"]

_SMALLEST_RATE = 1e-6  # where learning_rate="adaptive" ends


def knows_no_end(estimator: Any) -> bool:
    """True if one epoch is like the next, so that partial_fit makes sense.  Errors: AttributeError saying why not."""
    if estimator.early_stopping or estimator.learning_rate != "constant":
        raise AttributeError("partial_fit is for early_stopping=False and learning_rate='constant': it knows no end")
    return True


def watch(parameters: Mapping[str, Any]) -> EarlyStopping:
    """What ends the fit when n_iter_no_change epochs brought no gain of more than tol."""
    kind = SlowDown if parameters["learning_rate"] == "adaptive" else EarlyStopping
    patience, tol = parameters["n_iter_no_change"], parameters["tol"]
    if parameters["early_stopping"]:
        return kind("validation_score", patience, tol, mode="max")
    return kind("train_loss", patience, tol, restore_best=False)


class SlowDown(EarlyStopping):
    """Before it stops, divides the learning rate by 5, again and again until that is small."""

    def on_record(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        super().on_record(trainer, record)
        groups = trainer.optimizer.param_groups
        if trainer.run.should_stop and groups[0]["lr"] > _SMALLEST_RATE:
            trainer.run.should_stop, self.waited = False, 0
            for group in groups:
                group["lr"] /= 5


def warn_if_early(trainer: Trainer, parameters: Mapping[str, Any]) -> None:
    """Warn of a fit that Ctrl-C or max_iter ended before its time; a schedule's time is max_iter."""
    run, epochs = trainer.run, parameters["max_iter"]
    if run.history.interrupted:
        warnings.warn(f"the fit was interrupted after {run.epoch} of {epochs} epochs", stacklevel=6)
        return
    stops_itself = parameters["learning_rate"] in ("constant", "adaptive") and parameters["n_iter_no_change"] < math.inf
    if stops_itself and not run.should_stop:
        warnings.warn(
            f"{epochs} epochs (max_iter) have passed while there was still progress; "
            "n_iter_no_change=inf says that this is meant",
            ConvergenceWarning,
            stacklevel=6,
        )
