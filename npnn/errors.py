"""Errors and warnings that say where they happened."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Sequence
from itertools import pairwise
from types import FrameType
from typing import Any

__all__ = [
    "CheckpointError", "DataError", "DtypeError", "LayerError", "ShapeError", "TrainingDiverged", "layer_name", "warn",
    "within_npnn",
]  # fmt: skip

_PACKAGE = os.path.dirname(__file__) + os.sep


class CheckpointError(RuntimeError):
    """A file of weights or a checkpoint cannot be read: ``path`` says which, ``reason`` why."""

    def __init__(self, path: Any, reason: str):
        super().__init__(str(path), reason)
        self.path, self.reason = str(path), reason

    def __str__(self) -> str:
        return f"cannot read {self.path}: {self.reason}"


class DataError(RuntimeError):
    """A data set's file is missing, damaged or cannot be fetched; the message says what to do."""


def _plain(message: str) -> str:
    """Shapes and dtypes without torch's dressing: (2, 3) for torch.Size([2, 3]), float32 for torch.float32."""
    message = re.sub(r"torch\.Size\(\[([^\]]*)\]\)", lambda m: f"({m[1]},)" if m[1].isdigit() else f"({m[1]})", message)
    return re.sub(r"\btorch\.(?=(float|int|uint|bool)\d*\b)", "", message)


class LayerError(ValueError, RuntimeError):
    """A layer was given something that does not go with it.

    The message names the layer by its path in the model (``features.3``), which each module on the
    way out adds to.  A ValueError because the value is bad; a RuntimeError because torch's is one.
    """

    def __init__(self, message: str):
        message = _plain(message)
        super().__init__(message)
        self.message = message
        self.layers: list[Any] = []

    def came_through(self, module: Any) -> None:
        """Note that the error left ``module``; the innermost module calls first."""
        self.layers.append(module)

    def __str__(self) -> str:
        return f"in layer {layer_name(self.layers)}: {self.message}" if self.layers else self.message


class ShapeError(LayerError):
    """A layer or an operation was given an array whose shape does not fit it."""


class DtypeError(LayerError):
    """A layer was given an array of a dtype that does not go with its weights, or with what it computes."""


def layer_name(layers: Sequence[Any]) -> str:
    """The path to the first of these modules from the last, and what it is: ``features.3: ReLU()``."""
    steps = []
    for inner, outer in pairwise(layers):
        steps += [name for name, module in outer.named_modules() if module is inner][:1]
    path = ".".join(step for step in reversed(steps) if step)
    kind = repr(layers[0]).split("\n")[0].removesuffix("(")
    return f"{path}: {kind}" if path else kind


def within_npnn(frame: FrameType) -> bool:
    """True for a frame of npnn's own code."""
    return frame.f_code.co_filename.startswith(_PACKAGE)


def warn(message: str) -> None:
    """A warning that points at the line of the user's code that called npnn."""
    level, frame = 2, sys._getframe(1)
    while within_npnn(frame) and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


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
