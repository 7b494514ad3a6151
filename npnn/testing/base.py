"""What every Subject offers, and how random numbers are held still."""

from __future__ import annotations

import contextlib
import inspect
import random as python_random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import npnn.random
from npnn.io.torch_interop import loaded_torch

__all__ = [
    "BACKWARD", "FORWARD", "SWITCHES", "Arrays", "Subject", "method", "optional", "outputs_of", "parameter_names", "required",
    "seeded", "takes_any",
]  # fmt: skip

Arrays = list[NDArray[Any]]
SWITCHES = ("training", "train", "is_training", "train_mode", "mode", "train_flg", "is_train", "eval")
FORWARD = ("forward", "__call__", "fprop", "call")
BACKWARD = ("backward", "backprop", "bprop", "grad")


def method(layer: Any, names: Sequence[str]) -> Callable[..., Any] | None:
    found = [getattr(layer, name) for name in names if callable(getattr(layer, name, None))]
    return found[0] if found and not isinstance(layer, type) else None


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside the block every global stream of random numbers begins at ``seed``; afterwards all are as they were."""
    torch = loaded_torch()
    stream = npnn.random.generator()
    before = np.random.get_state(), python_random.getstate(), stream.state_bytes()  # noqa: NPY002  the layer's own
    torch_state = None if torch is None else torch.get_rng_state()
    np.random.seed(seed)  # noqa: NPY002
    python_random.seed(seed)
    stream.manual_seed(seed)
    if torch is not None:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before[0])  # noqa: NPY002
        python_random.setstate(before[1])
        stream.set_state_bytes(before[2])
        if torch is not None:
            torch.set_rng_state(torch_state)


class Subject:
    """What is checked.  ``parameters`` are arrays by name, which may be changed in place between calls."""

    name: str
    parameters: dict[str, NDArray[Any]]
    adds_up = False  # True if gradients of parameters are expected to grow from call to call
    can_be_turned_off = False  # True if there is a switch for evaluation
    plain = False  # True for NumPy that somebody wrote, where mistakes of memory are possible

    def forward(self, inputs: Sequence[NDArray[Any]]) -> Arrays:
        raise NotImplementedError

    def backward(self, cotangents: Sequence[NDArray[Any]]) -> tuple[list[Any], dict[str, Any]]:
        """Gradients of the inputs (None where there is none), and of the parameters by name."""
        raise NotImplementedError

    def clear(self) -> None:
        """Forget the gradients of earlier calls."""

    def evaluation(self) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()


def outputs_of(result: Any) -> Arrays:
    """The arrays of floats that forward returned."""
    parts = result if isinstance(result, (tuple, list)) else [result]
    flat: Arrays = []
    for part in parts:
        if isinstance(part, (tuple, list)):
            flat += outputs_of(part)
        elif part is not None and not isinstance(part, (str, dict)):
            flat.append(np.asarray(part))
    return [y for y in flat if y.dtype.kind == "f"]


def parameter_names(function: Any) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def required(function: Any) -> int:
    """How many positional arguments a function must be given."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1
    return sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters) or (
        1 if any(p.kind is p.VAR_POSITIONAL or p.default is not p.empty for p in parameters) else 0
    )


def optional(function: Any) -> bool:
    """True if a function can be called without arguments."""
    parameters = inspect.signature(function).parameters.values()
    return all(p.default is not p.empty or p.kind is p.VAR_POSITIONAL for p in parameters)


def takes_any(function: Any) -> bool:
    return any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(function).parameters.values())
