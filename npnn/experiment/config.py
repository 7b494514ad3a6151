"""What a run can be told: a frozen dataclass per experiment, each field also an option of the command line."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_type_hints

__all__ = ["RunConfig", "Setting", "UserError", "completed", "flag", "option", "replace", "settings", "whole_numbers"]


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
        told = field.metadata
        found.append(Setting(field.name, _read(cls, field.name), told.get("help", ""), told.get("choices")))
    return found


def _read(cls: type, name: str) -> type:
    """What makes a setting's value from a string.  Errors: TypeError for a type that the command line cannot read."""
    kind = get_type_hints(cls)[name]
    for read in (bool, int, float, str):
        if read in (kind, *get_args(kind)):
            return read
    raise TypeError(f"{name} must be a bool, int, float or str, not {getattr(kind, '__name__', kind)}")


@functools.cache
def completed(cls: type | None) -> type[RunConfig]:
    """A Config with the settings of RunConfig and those of any dataclass (None: no others).

    Where the dataclass names no length there are 10 epochs, and where it names no rate it is 1e-3, Adam's.
    Errors: TypeError for a field without a default or of another type than bool, int, float and str.
    """
    own = {} if cls is None else {field.name: field for field in dataclasses.fields(cls)}
    usual = {field.name: field for field in dataclasses.fields(RunConfig)}
    specs: list[tuple[str, Any, Any]] = []
    if not own.keys() & {"epochs", "steps"}:
        specs.append(("epochs", int | None, dataclasses.field(default=10, metadata=usual["epochs"].metadata)))
    if "lr" not in own:
        specs.append(("lr", float, dataclasses.field(default=1e-3, metadata=usual["lr"].metadata)))
    for name, field in own.items():
        if field.default is dataclasses.MISSING:
            raise TypeError(f"{name} needs a default that is a bool, int, float or str")
        assert cls is not None
        _read(cls, name)
        known = usual[name].metadata if name in usual else {}
        specs.append(
            (
                name,
                get_type_hints(cls)[name],
                dataclasses.field(default=field.default, metadata={**known, **field.metadata}),
            )
        )
    methods = {} if cls is None else {k: v for k, v in vars(cls).items() if k not in own and k[:2] != "__"}
    made = dataclasses.make_dataclass("Config", specs, bases=(RunConfig,), frozen=True, kw_only=True, namespace=methods)
    made.__doc__ = None if cls is None else cls.__doc__
    return made


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
