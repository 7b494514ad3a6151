"""The whole state of a training run, to be saved, and the way back.

Bit for bit: a trainer that takes up the state of another does from there on exactly what the other
would have done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from npnn.train.generators import get_generators, set_generators
from npnn.train.run import Run

if TYPE_CHECKING:
    from npnn.train.trainer import Trainer

__all__ = ["restore", "snapshot"]

_PARTS = ("model", "optimizer", "scheduler", "callbacks", "generators", "run")  # of a snapshot


def snapshot(trainer: Trainer) -> dict[str, Any]:
    """The state of the trainer and of all that it drives.  Its tensors are the live ones: save them before going on."""
    return {
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": None if trainer.scheduler is None else trainer.scheduler.state_dict(),
        "callbacks": [[type(callback).__name__, callback.state_dict()] for callback in trainer.callbacks],
        "generators": get_generators(trainer.loader),
        "run": trainer.run.state_dict(),
    }


def restore(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Make the trainer go on from a state that was saved and loaded.

    Errors: ValueError if the state is not a trainer's, or was taken with other callbacks, or with a
    scheduler where there is none or the reverse; and what load_state_dict of model, optimiser and
    scheduler raise.
    """
    missing = [part for part in _PARTS if part not in state]
    if missing:
        raise ValueError(f"this is not the checkpoint of a Trainer's run: it has no {', '.join(missing)}")
    saved, present = [name for name, _ in state["callbacks"]], [type(c).__name__ for c in trainer.callbacks]
    if saved != present:
        raise ValueError(f"the run to resume had the callbacks {saved}, this trainer has {present}")
    if (state["scheduler"] is None) != (trainer.scheduler is None):
        had, has = ("no scheduler", "one") if state["scheduler"] is None else ("a scheduler", "none")
        raise ValueError(f"the run to resume had {had}, this trainer has {has}")
    native = trainer.backend.state
    trainer.model.load_state_dict(native(state["model"]))
    trainer.optimizer.load_state_dict(native(state["optimizer"]))
    if trainer.scheduler is not None:
        trainer.scheduler.load_state_dict(native(state["scheduler"]))
    for callback, (_, own) in zip(trainer.callbacks, state["callbacks"], strict=True):
        callback.load_state_dict(own)
    set_generators(state["generators"], trainer.loader)
    trainer.run = Run.from_state_dict(state["run"])
