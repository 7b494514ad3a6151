"""A loss in any form, as a Subject."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.testing.base import BACKWARD, FORWARD, Subject, method, optional, required
from npnn.testing.plain import Pair
from npnn.testing.subject import subject_of

__all__ = ["LossObject", "LossOf", "loss_subject"]


class LossOf(Pair):
    """A function that returns (loss, gradient)."""

    def forward(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        value, self._gradient = self._functions[0](*inputs)
        return [np.asarray(value, float)]

    def backward(self, cotangents: Sequence[NDArray[Any]]) -> tuple[list[Any], dict[str, Any]]:
        return [np.asarray(self._gradient), None], {}


def loss_subject(loss: Any, inputs: list[NDArray[Any]]) -> Subject:
    if callable(loss) and not isinstance(loss, type) and not hasattr(loss, "backward"):
        try:
            result = loss(*[x.copy() for x in inputs])
        except Exception:  # a function of tensors, which takes no arrays
            result = None
        if isinstance(result, tuple) and len(result) == 2 and np.shape(result[1]) == inputs[0].shape:
            return LossOf(loss, loss, inputs)
    if isinstance(loss, (tuple, list)) and not isinstance(loss[0](*[x.copy() for x in inputs]), tuple):
        return LossObject(loss[0], loss[1], inputs)
    return LossObject.made(loss, inputs) or subject_of(loss, inputs)


class LossObject(Pair):
    """An object whose backward takes nothing, or the scores and labels again."""

    def __init__(self, forward: Any, backward: Any, inputs: Sequence[NDArray[Any]]):
        super().__init__(forward, backward, inputs)
        self.layer = getattr(forward, "__self__", None)
        self._wanted = 0 if optional(backward) else required(backward)

    @classmethod
    def made(cls, loss: Any, inputs: list[NDArray[Any]]) -> Subject | None:
        """None for a module, which is walked back by its framework."""
        forward, backward = method(loss, FORWARD), method(loss, BACKWARD)
        if forward is None or backward is None or hasattr(loss, "named_parameters"):
            return None
        made = cls(forward, backward, inputs)
        made.name = type(loss).__name__
        return made

    def forward(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        self._inputs = list(inputs)
        result = self._functions[0](*inputs)
        self._value = np.asarray(result[0] if isinstance(result, tuple) else result)
        return [self._value] if self._value.dtype.kind == "f" else []

    def backward(self, cotangents: Sequence[NDArray[Any]]) -> tuple[list[Any], dict[str, Any]]:
        given = {0: (), 1: (cotangents[0],), 2: tuple(self._inputs), 3: (cotangents[0], *self._inputs)}[self._wanted]
        try:
            result = self._functions[1](*given)
        except TypeError:
            if given:
                raise
            result = self._functions[1](*self._inputs)  # what it takes is not in its signature
        gradient = result[0] if isinstance(result, (tuple, list)) else result
        if gradient is None:
            gradient = next(
                (
                    v
                    for n, v in (vars(self.layer) if self.layer is not None else {}).items()
                    if n in ("dx", "grad", "dscores", "d_x")
                ),
                None,
            )
        return [None if gradient is None else np.asarray(gradient), None], {}
