"""What a model does to its input: a list of the Functions that it applied, with all that they were given."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from npnn import memory
from npnn.anomaly import Place
from npnn.function import Function
from npnn.modes import clock, mode, no_grad
from npnn.nn.module import Module
from npnn.onnx.table import ONNXError
from npnn.tensor import Tensor

__all__ = ["Call", "evaluating", "leaves", "trace"]


@dataclass(frozen=True)
class Call:
    """One Function as it was applied: Tensors are given as their arrays, and an array is known by its identity."""

    op: type[Function]
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    results: list[NDArray[Any]]
    layer: str  # the path of the module that applied it


@contextlib.contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """The whole model in evaluation mode, nothing recorded for backward; afterwards every layer is as it was."""
    modules = list(model.modules())
    before = [module.training for module in modules]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.training = training


def trace(model: Module, inputs: tuple[Any, ...]) -> tuple[list[Call], Any]:
    """The calls of ``model(*inputs)`` in order, and what it returned.

    Errors: ONNXError if a tensor was changed in place, as that is no call.
    """
    calls: list[Call] = []
    seen: list[tuple[Tensor, str]] = []
    paths = {id(module): path for path, module in model.named_modules()}
    start = next(clock)

    def observe(op: type[Function], given: tuple[Any, ...], options: dict[str, Any]) -> Any:
        mode.observer = None
        try:
            result = op.apply(*given, **options)
        finally:
            mode.observer = observe
        results = list(result) if isinstance(result, tuple) else [result]
        layer = paths.get(id(next(iter(Place().layers), None)), "")
        calls.append(Call(op, _arrays(given), _arrays(options), [y.array for y in results], layer))
        seen.extend((t, op.__name__) for t in (*given, *results) if isinstance(t, Tensor))
        return result

    outer, mode.observer = mode.observer, observe
    try:
        output = model(*inputs)
    finally:
        mode.observer = outer
    for t, name in seen:
        if memory.time_of_change(t.array) > start:
            raise ONNXError(
                f"a tensor of shape {t.shape} that {name} took or made was changed in place, which cannot be "
                "written down: write y = x + 1 instead of x += 1, and use cat or where instead of x[i] = y"
            )
    return calls, output


def _arrays(tree: Any) -> Any:
    """Arrays in place of Tensors, in tuples, lists and dicts."""
    if isinstance(tree, Tensor):
        return tree.array
    if isinstance(tree, dict):
        return {key: _arrays(value) for key, value in tree.items()}
    return type(tree)(map(_arrays, tree)) if type(tree) in (tuple, list) else tree


def leaves(tree: Any, name: str) -> list[tuple[str, Any]]:
    """The entries of nested tuples, lists and dicts, with names made of where they are."""
    if isinstance(tree, (tuple, list)):
        return [leaf for i, value in enumerate(tree) for leaf in leaves(value, f"{name}_{i}")]
    if isinstance(tree, Mapping):
        return [leaf for key, value in tree.items() for leaf in leaves(value, str(key))]
    return [(name, tree)]
