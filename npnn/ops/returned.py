"""Results of several parts, which are named, print as PyTorch's do, and can be unpacked."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from npnn.tensor import Tensor

__all__ = ["MinMax", "ValuesAndIndices", "named"]

F = TypeVar("F", bound=Callable[..., Any])


class ValuesAndIndices(NamedTuple):
    """What max and min over one axis, sort, topk and their like return."""

    values: Tensor
    indices: Tensor


class MinMax(NamedTuple):
    """What aminmax returns."""

    min: Tensor
    max: Tensor


def named(function: F, name: str | None = None) -> F:
    """The function with its name on the NamedTuple that it returns: torch.return_types.max(values=..., indices=...)."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        result = function(*args, **options)
        kind: Any = type(result)
        return _type(name or function.__name__, kind)(*result) if hasattr(result, "_fields") else result

    return call  # type: ignore[return-value]


@functools.cache
def _type(name: str, pair: Any) -> Any:
    if pair.__repr__ is _text:
        return pair  # named already: one of these functions called another
    return type(name, (pair,), {"__slots__": (), "__repr__": _text, "__reduce__": _saved})


def _text(self: Any) -> str:
    parts = ",\n".join(f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True))
    return f"torch.return_types.{type(self).__name__}(\n{parts})"


def _saved(self: Any) -> Any:
    return _again, (type(self).__name__, type(self).__base__, tuple(self))


def _again(name: str, pair: type, parts: tuple[Any, ...]) -> Any:
    return _type(name, pair)(*parts)
