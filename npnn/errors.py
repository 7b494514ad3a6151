"""Errors that say where they happened."""

from __future__ import annotations

from typing import Any

__all__ = ["CheckpointError", "DataError", "ShapeError", "TrainingDiverged"]


class CheckpointError(RuntimeError):
    """A file of weights or a checkpoint cannot be read: ``path`` says which, ``reason`` why."""

    def __init__(self, path: Any, reason: str):
        super().__init__(str(path), reason)
        self.path, self.reason = str(path), reason

    def __str__(self) -> str:
        return f"cannot read {self.path}: {self.reason}"


class DataError(RuntimeError):
    """A data set's file is missing, damaged or cannot be fetched; the message says what to do."""


class ShapeError(ValueError, RuntimeError):
    """A layer was given an array that does not fit it.

    The message names the layer by its path in the model (``features.3``), which each module on the
    way out adds to.  A ValueError because the value is bad; a RuntimeError because torch's is one.
    """

    def __init__(self, message: str):
        super().__init__(message)
        self.message = message
        self.layer = ""
        self.path: list[str] = []
        self._last: Any = None

    def came_through(self, module: Any) -> None:
        """Note that the error left ``module``; the innermost module calls first."""
        if self._last is None:
            self.layer = repr(module).split("\n")[0].removesuffix("(")
        else:
            for name, child in module.named_modules():
                if child is self._last:
                    self.path.insert(0, name)
                    break
        self._last = module

    def __str__(self) -> str:
        where = ".".join(self.path)
        if not self.layer:
            return self.message
        return f"in layer {where + ': ' if where else ''}{self.layer}: {self.message}"


class TrainingDiverged(RuntimeError):
    """The loss or a gradient became nan or infinite.  The model still holds good weights.

    ``epoch`` (from 1), ``step`` (from 1) and ``lr`` say when, ``layer`` names the first layer that
    went bad, or is None if every layer is sound.
    """

    def __init__(self, message: str, epoch: int, step: int, lr: float, layer: str | None):
        super().__init__(message)
        self.epoch, self.step, self.lr, self.layer = epoch, step, lr, layer

    def __reduce__(self) -> Any:
        return type(self), (self.args[0], self.epoch, self.step, self.lr, self.layer)
