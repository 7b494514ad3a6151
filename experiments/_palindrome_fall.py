"""What happens at the step at which a network that says the first digit forgets it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npnn.train import Callback, Trainer
from npnn.train.health import copy_weights

__all__ = ["UntilTheFall", "fallen"]

LAST = 200  # steps whose records are kept, each as it is: a longer history is thinned in the file
AFTER = 50  # steps to go on after a fall


class UntilTheFall(Callback):
    """For a run with a record of each step: how far it moved the weights, and an end soon after a fall.

    ``update_norm`` is the norm of the change of all weights together, as ``grad_norm`` is that of the gradient
    before it is clipped.  Only the last records are kept: the fall may come after thousands of quiet steps.
    """

    def on_train_begin(self, trainer: Trainer) -> None:
        self.weights = copy_weights(trainer.model, trainer.backend)

    def on_record(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        records, before = trainer.history.records, self.weights
        self.weights = copy_weights(trainer.model, trainer.backend)
        squares = [np.square(self.weights[name] - before[name]).sum(dtype=float) for name in before]
        records[-1]["update_norm"] = float(np.sqrt(sum(squares)))
        if len(records) > LAST:
            records[1]["seconds"] += records[0]["seconds"]  # so that they are still those of the whole run
            del records[0]
        if fallen([r["validation_accuracy"] for r in records]):
            trainer.run.should_stop = True


def fallen(accuracies: Sequence[float]) -> bool:
    """True if the last 50 are, in the mean, less than .6 of the 50 before: as from 20 % to 10 %, which is chance."""
    before, after = accuracies[-2 * AFTER : -AFTER], accuracies[-AFTER:]
    return len(before) == AFTER and float(np.mean(after)) < 0.6 * float(np.mean(before))
