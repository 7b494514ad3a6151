"""What a Trainer is made of, looked at when it is made: each part that cannot work is an error that names the cure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from npnn.train.callbacks import Callback

__all__ = ["check_parts"]

EVENTS = [name for name in vars(Callback) if name.startswith("on_")]
ELSEWHERE = {  # what events are called in other libraries
    "on_epoch_end": "on_record", "on_train_epoch_end": "on_record", "on_validation_end": "on_record",
    "on_validation_epoch_end": "on_record", "on_batch_end": "on_step_end", "on_train_batch_end": "on_step_end",
    "on_fit_start": "on_train_begin", "on_train_start": "on_train_begin", "on_fit_end": "on_train_end",
}  # fmt: skip


def check_parts(model: Any, loss: Any, optimizer: Any, callbacks: Sequence[Any]) -> None:
    """Errors: TypeError for a part of the wrong kind; ValueError for an optimiser or an event that belongs to nothing."""
    if isinstance(loss, type):
        raise TypeError(f"the loss is a class: make it, {loss.__name__}()")
    if not callable(loss):
        raise TypeError(f"the loss is called as loss(outputs, targets), such as nn.CrossEntropyLoss(); got {loss!r}")
    if not hasattr(optimizer, "param_groups"):
        raise TypeError(f"the optimizer is one such as optim.Adam(model.parameters(), lr=1e-3); got {optimizer!r}")
    own = {id(p) for p in model.parameters()}
    held = [p for group in optimizer.param_groups for p in group["params"]]
    if own and not any(id(p) in own for p in held):
        raise ValueError(
            "the optimizer holds none of the model's parameters, and would train nothing: make it from "
            "model.parameters() of this model, after the model is as it stays"
        )
    for callback in callbacks:
        if isinstance(callback, type) or not isinstance(callback, Callback):
            name = callback.__name__ if isinstance(callback, type) else type(callback).__name__
            raise TypeError(f"callbacks are objects of classes derived from npnn.train.Callback, got {name}")
        for name in dir(callback):
            if name.startswith("on_") and name not in EVENTS and callable(getattr(callback, name)):
                near = ELSEWHERE.get(name) or next(iter(difflib.get_close_matches(name, EVENTS, 1)), None)
                hint = f"; did you mean {near}?" if near else ""
                raise ValueError(
                    f"{type(callback).__name__}.{name} would never be called: the events are {', '.join(EVENTS)}{hint}"
                )
