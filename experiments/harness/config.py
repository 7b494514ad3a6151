"""What a run can be told: a frozen dataclass per experiment, each field also an option of the command line."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_type_hints

__all__ = ["RunConfig", "Setting", "UserError", "flag", "option", "replace", "settings", "whole_numbers"]


class UserError(Exception):
    """Something the user can put right: told in one line, without a traceback."""


def option(default: Any, help: str, choices: Iterable[Any] | None = None) -> Any:
    """A dataclass field that explains itself in ``--help``."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices and tuple(choices)})


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The settings that every experiment has; its own Config adds some and gives the defaults.

    The length of a run is given in epochs or in optimiser steps, never in both.  With ``validation``
    the test set is measured once, at the end; with ``patience`` the run ends with its best weights.
    """

    seed: int = option(0, "draws the initial weights, the order of the batches and the dropout masks")
    epochs: int | None = option(None, "passes over the training set")
    steps: int | None = option(None, "optimiser steps, instead of epochs")
    batch_size: int = option(32, "examples per step")
    lr: float = option(1e-2, "learning rate")
    clip_grad_norm: float | None = option(None, "largest norm of the gradient; inf only measures it")
    evaluate_every: int | None = option(None, "steps from one record of the history to the next; without it, an epoch")
    validation: int = option(0, "examples held out of the training set, to choose by; 0: records look at the test set")
    patience: int | None = option(None, "stop after this many records without a better validation accuracy")

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise UserError("the length of a run is either --epochs or --steps: give one of them")
        for name in ("seed", "validation"):
            if getattr(self, name) < 0:
                raise UserError(f"{flag(name)} must not be negative, got {getattr(self, name)}")
        for name in ("epochs", "steps", "batch_size", "evaluate_every", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{flag(name)} must be at least 1, got {value}")
        if not 0 < self.lr < math.inf:
            raise UserError(f"--lr must be a positive number, got {self.lr}")
        if self.clip_grad_norm is not None and not self.clip_grad_norm > 0:
            raise UserError(f"--clip-grad-norm must be a positive number, got {self.clip_grad_norm}")
        if self.patience is not None and not self.validation:
            raise UserError("--patience needs --validation: when to stop must not be chosen by the test set")

    def total_steps(self, steps_per_epoch: int) -> int:
        """The length of the run in optimiser steps."""
        return self.steps or self.epochs * steps_per_epoch  # type: ignore[operator]

    @property
    def watched(self) -> str:
        """The set that the records look at, "validation" or "test": what curves and progress are to call it."""
        return "validation" if self.validation else "test"


@dataclass(frozen=True)
class Setting:
    """A field of a Config as the command line sees it."""

    name: str
    read: type  # makes the value from a string
    help: str
    choices: tuple[Any, ...] | None


def settings(cls: type[RunConfig]) -> list[Setting]:
    """The fields of a Config.  A type ``float | None`` is read as a float."""
    found = []
    for field in dataclasses.fields(cls):
        kind = get_type_hints(cls)[field.name]
        read = next(t for t in (bool, int, float, str) if t in (kind, *get_args(kind)))
        found.append(Setting(field.name, read, **field.metadata))
    return found


def whole_numbers(name: str, text: str) -> list[int]:
    """The numbers of an option such as 512-256.  Errors: UserError, which names the option."""
    parts = text.split("-")
    if not all(part.isdecimal() and int(part) for part in parts):
        raise UserError(f"{flag(name)} must be whole numbers such as 512-256, got {text!r}")
    return [int(part) for part in parts]


def flag(name: str) -> str:
    """The command line's spelling of a field."""
    return "--" + name.replace("_", "-")


C = TypeVar("C", bound=RunConfig)


def replace(config: C, **changes: Any) -> C:
    """``config`` with some fields changed.  A length in steps replaces one in epochs, and the reverse."""
    for given, other in (("epochs", "steps"), ("steps", "epochs")):
        if changes.get(given) is not None:
            changes.setdefault(other, None)
    return dataclasses.replace(config, **changes)
