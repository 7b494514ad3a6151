"""What torch.jit compiles is here the code itself: models are plain Python, and their kernels are compiled already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from npnn.nn.module import Module

__all__ = [
    "ScriptModule", "annotate", "export", "freeze", "ignore", "is_scripting", "is_tracing", "optimize_for_inference",
    "script", "script_if_tracing", "script_method", "trace", "unused",
]  # fmt: skip

ScriptModule = Module


def script(obj: Any, *args: Any, **options: Any) -> Any:
    """The function, class or module itself."""
    return obj


def _itself(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, as it is plain Python."""
    return fn


script_method = script_if_tracing = export = unused = _itself


def ignore(drop: Any = False, **options: Any) -> Any:
    """A decorator that returns the function itself, with or without brackets."""
    return drop if callable(drop) else _itself


def trace(func: Any, example_inputs: Any = None, *args: Any, **options: Any) -> Any:
    """The function or module itself, called once with the example, whose errors show here."""
    if example_inputs is not None:
        func(*(example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)))
    return func


def freeze(mod: Module, *args: Any, **options: Any) -> Module:
    """The module itself.   Errors: RuntimeError for one in training mode."""
    if mod.training:
        raise RuntimeError("Freezing is currently only implemented for modules in eval mode: call .eval() first")
    return mod


def optimize_for_inference(mod: Module, *args: Any, **options: Any) -> Module:
    """The module itself: its kernels are compiled already."""
    return mod


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value itself: types are not checked here."""
    return the_value


def is_scripting() -> bool:
    """False: this is Python."""
    return False


def is_tracing() -> bool:
    """False: nothing is recorded but gradients."""
    return False
