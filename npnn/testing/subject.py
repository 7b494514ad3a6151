"""One face for everything that has a forward and a backward: a layer in plain NumPy, a Function, a module.

A ``Subject`` takes and gives float64 arrays.  ``forward`` computes the outputs from inputs; ``backward`` gives the
gradients of the inputs and of the parameters for cotangents of the outputs, as the layer itself computes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from npnn.function import Function
from npnn.io.torch_interop import loaded_torch
from npnn.nn.module import Module
from npnn.testing.base import BACKWARD, FORWARD, Subject, method
from npnn.testing.plain import Pair, Plain
from npnn.testing.recorded import NpnnLanguage, Recorded, TorchLanguage

__all__ = ["subject_of"]


def subject_of(layer: Any, inputs: Sequence[NDArray[Any]], training: bool = True) -> Subject:
    """The Subject for a layer of any kind.  Errors: TypeError for what has no forward or no backward."""
    torch = loaded_torch()
    if torch is not None and (
        isinstance(layer, torch.nn.Module) or (isinstance(layer, type) and issubclass(layer, torch.autograd.Function))
    ):
        return Recorded(layer, inputs, TorchLanguage(torch))
    if isinstance(layer, Module) or (isinstance(layer, type) and issubclass(layer, Function)):
        return Recorded(layer, inputs, NpnnLanguage())
    if isinstance(layer, (tuple, list)) and len(layer) == 2 and all(map(callable, layer)):
        return Pair(layer[0], layer[1], inputs)
    if method(layer, BACKWARD) and method(layer, FORWARD):
        return Plain(layer, inputs)
    if callable(layer) and not isinstance(layer, type):
        return Recorded(layer, inputs, NpnnLanguage())
    raise TypeError(
        f"{type(layer).__name__} cannot be checked: it needs forward(x) and backward(dy), or be a Function, a module, "
        "a function of tensors, or a pair of functions (forward, backward)"
    )
