"""When operations are recorded, and who looks on: ``no_grad`` and its like, ``detect_anomaly``, and the one clock."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from npnn import anomaly
from npnn.errors import warn

__all__ = [
    "clock", "detect_anomaly", "enable_grad", "inference_mode", "is_grad_enabled", "mode", "no_grad",
    "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip

_F = TypeVar("_F", bound=Callable[..., Any])

# Functions are numbered as they run, and in-place changes as they happen, on one clock.  So a
# function always has a higher number than those its inputs came from, and a change after it ran
# has a higher number than it: one counter gives both the order of the walk and the safety check.
clock = itertools.count(1)


class _GradMode(threading.local):
    enabled = True
    observer: Any = None  # called in place of Function.apply, by who wants to know what is applied


mode = _GradMode()


def is_grad_enabled() -> bool:
    """True if operations are being recorded for ``backward`` (per thread)."""
    return mode.enabled


class _Switch:
    """An entry of ``mode`` set to ``value`` inside a ``with`` block or a decorated function, and then set back."""

    def __init__(self, name: str, value: Any):
        self.name, self.value = name, value
        self.before: list[Any] = []

    def __enter__(self) -> None:
        self.before.append(getattr(mode, self.name))
        setattr(mode, self.name, self.value)

    def __exit__(self, *exc: object) -> None:
        setattr(mode, self.name, self.before.pop())

    def __call__(self, function: _F) -> _F:
        @functools.wraps(function)
        def switched(*args: Any, **kwargs: Any) -> Any:
            with _Switch(self.name, self.value):  # one for each call, which threads may make at once
                return function(*args, **kwargs)

        return switched  # type: ignore[return-value]


class _SwitchAtOnce(_Switch):
    """A switch that acts as soon as it is made, so that making it is all one needs to do."""

    def __init__(self, name: str, value: Any):
        super().__init__(name, value)
        self.first = getattr(mode, name)
        setattr(mode, name, value)

    def __enter__(self) -> None:
        setattr(mode, self.name, self.first)
        super().__enter__()

    def __call__(self, function: _F) -> _F:
        setattr(mode, self.name, self.first)  # a decorator acts when the function is called
        return super().__call__(function)


class set_grad_enabled(_SwitchAtOnce):  # noqa: N801  torch's spelling
    """Record operations if ``mode``, else do not: from now on, or inside a ``with`` block or a decorated function."""

    def __init__(self, mode: bool):
        super().__init__("enabled", mode)


class no_grad(_Switch):  # noqa: N801  torch's spelling
    """Context manager or decorator: operations inside are not recorded, so they cost no memory."""

    def __init__(self, function: Any = None) -> None:
        super().__init__("enabled", False)

    def __new__(cls, function: Any = None) -> Any:
        """``@no_grad`` without brackets decorates as well."""
        made = super().__new__(cls)
        if function is None:
            return made
        made.__init__()  # type: ignore[misc]
        return made(function)


class enable_grad(no_grad):  # noqa: N801  torch's spelling
    """Context manager or decorator: operations inside are recorded, also within a ``no_grad``."""

    def __init__(self, function: Any = None) -> None:
        _Switch.__init__(self, "enabled", True)


class inference_mode(_Switch):  # noqa: N801  torch's spelling
    """no_grad under another name (or, with ``mode=False``, nothing): results may be used for training later on."""

    def __init__(self, mode: Any = True) -> None:
        super().__init__("enabled", False if mode else is_grad_enabled())

    def __new__(cls, mode: Any = True) -> Any:
        made = super().__new__(cls)
        if not callable(mode):
            return made
        made.__init__()  # type: ignore[misc]
        return made(mode)


class detect_anomaly(_Switch):  # noqa: N801  torch's spelling
    """Context manager or decorator: the first operation inside, forward or backward, to make nan or inf is an error.

    The error names the operation, the layer, and the line of your code that called it.  inf made of inf
    passes (a mask of -inf is no mistake), nan never does.  Without ``check_nan`` nothing is checked, but
    an error in backward comes with a warning that says where its forward was called.  As it looks at
    every number, it is for finding a mistake, not for training; it concerns one thread.
    Errors: RuntimeError.
    """

    def __init__(self, check_nan: bool = True):
        super().__init__("observer", _Watch(check_nan))


class set_detect_anomaly(_SwitchAtOnce):  # noqa: N801  torch's spelling
    """detect_anomaly switched on if ``mode``, else off: from now on, or inside a ``with`` block or a function."""

    def __init__(self, mode: bool, check_nan: bool = True):
        super().__init__("observer", _Watch(check_nan) if mode else None)


class _Watch:
    """The observer that runs operations for detect_anomaly."""

    def __init__(self, check_nan: bool):
        self.check_nan = check_nan

    def __call__(self, op: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        mode.observer = None
        try:
            with np.errstate(all="ignore"):  # what NumPy would warn of is looked for here
                results = op.apply(*inputs, **options)
        finally:
            mode.observer = self
        place, outputs = anomaly.Place(), results if type(results) is tuple else (results,)
        for y in outputs:
            if y.grad_fn is not None:
                y.grad_fn.called_at = place
        if self.check_nan:
            arrays = [x.array if hasattr(x, "requires_grad") else x for x in inputs]
            anomaly.check_results(op.__name__, [*arrays, *options.values()], [y.array for y in outputs], place)
        return results

    def backward(self, node: Any, grads: list[Any]) -> Any:
        """What node.backward(*grads) returns, if it can be trusted."""
        place, needed = vars(node).get("called_at"), node.needs_grad
        try:
            with np.errstate(all="ignore"):
                results = node.backward(*grads)
        except Exception:
            if place is not None:
                warn(f"{type(node).__name__}.backward failed; its forward was {place}")
            raise
        if self.check_nan:
            made = results if type(results) is tuple else (results,)
            anomaly.check_gradients(type(node).__name__, grads, made, needed, place)
        return results
