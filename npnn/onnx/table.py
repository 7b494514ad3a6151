"""The two tables of translations, which the families fill: from Functions to ONNX operators, and from those to npnn.

A writer is called as the Function's forward was, with the graph in front, and returns the names of the
results:  ``writes(MatMul)`` above  ``lambda g, a, b: g.node("MatMul", a, b)``.
A reader is called with an operator's inputs as Tensors, None where one is left out, and its
attributes by name:  ``reads("MatMul")`` above  ``lambda a, b: a @ b``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from npnn.function import Function

__all__ = ["READERS", "WRITERS", "ONNXError", "Reader", "TimeAxisError", "reads", "same", "writes"]


class ONNXError(RuntimeError):
    """A model cannot be written as an ONNX graph, or a graph cannot be read; the message says where and why."""


class TimeAxisError(ONNXError):
    """What was taken for the batch is the time axis of a recurrent layer."""


@dataclass(frozen=True)
class Reader:
    """How to compute an operator.  ``fixed`` are attributes of which only one value can be computed."""

    function: Callable[..., Any]
    fixed: Mapping[str, Any]

    def arguments(self, attributes: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes that the function takes.

        Errors: ONNXError for a value that only other programs can compute.
        """
        values = {**defaults, **attributes}
        for name, value in self.fixed.items():
            if values.pop(name, value) != value:  # an attribute that an older opset has not is as it was then
                raise ONNXError(f"only {name}={value!r} can be read")
        known = inspect.signature(self.function).parameters
        for name in values.keys() - known.keys():
            if values.pop(name) != defaults.get(name):
                raise ONNXError(f"the attribute {name} cannot be read")
        return values


WRITERS: dict[type[Function], Callable[..., Any]] = {}
READERS: dict[str, Reader] = {}


def writes(*ops: type[Function]) -> Callable[[Any], Any]:
    """Decorator: this function writes the nodes for these Functions."""

    def register(function: Any) -> Any:
        WRITERS.update(dict.fromkeys(ops, function))
        return function

    return register


def reads(*op_types: str, **fixed: Any) -> Callable[[Any], Any]:
    """Decorator: this function computes these ONNX operators, if their attributes are as ``fixed`` says."""

    def register(function: Any) -> Any:
        READERS.update(dict.fromkeys(op_types, Reader(function, fixed)))
        return function

    return register


def same(op: type[Function], op_type: str, function: Callable[..., Any]) -> None:
    """The Function and the operator take the same inputs and no options; ``function`` applies the former."""
    writes(op)(lambda g, *inputs: g.node(op_type, *inputs))
    reads(op_type)(function)
