"""When training has diverged: what went bad first, and back to weights that are good."""

from __future__ import annotations

from typing import Any

from npnn.errors import TrainingDiverged
from npnn.train.callbacks import EarlyStopping
from npnn.train.generators import get_generators, set_generators
from npnn.train.health import all_finite, copy_weights, first_bad, load_weights

__all__ = ["diverged"]


def diverged(trainer: Any, what: str, x: Any) -> TrainingDiverged:
    """The error to raise.  Finds the culprit, and puts good weights back: the best, if somebody kept them."""
    generators, weights = get_generators(), copy_weights(trainer.model, trainer.backend)
    culprits = trainer.parallel.gather(first_bad(trainer.model, trainer.backend, x))
    layer, culprit = min(culprits, key=lambda bad: (bad[0] is None, bad[1] == "the loss itself"))
    culprit = "the model's outputs" if culprit == "unknown" else culprit
    sound = all_finite(weights.values())
    load_weights(trainer.model, trainer.backend, weights if sound else trainer._good_weights)
    best = any(c.restore(trainer) for c in trainer.callbacks if isinstance(c, EarlyStopping))
    set_generators(generators)
    run, lr = trainer.run, trainer.optimizer.param_groups[0]["lr"]
    epoch, step = run.epoch + 1, run.step + 1
    return TrainingDiverged(
        f"{what} in epoch {epoch}, step {step}, at learning rate {lr:g}; the first to go bad was {culprit}. "
        f"The model has its weights of {'the best record' if best else 'the step before' if sound else 'the record before'}. "
        "A smaller learning rate or clip_grad_norm may help.",
        epoch, step, lr, layer,
    )  # fmt: skip
