"""Results of two parts, which are named, print as PyTorch's do, and can be unpacked."""

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


def named(function: F) -> F:
    """The function with its name on the pair that it returns: torch.return_types.max(values=..., indices=...)."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        result = function(*args, **options)
        return _type(function.__name__, type(result))(*result) if isinstance(result, tuple) else result

    return call  # type: ignore[return-value]


@functools.cache
def _type(name: str, pair: type) -> type:
    if not hasattr(pair, "_fields") or pair not in (ValuesAndIndices, MinMax):
        return pair  # named already: one of these functions called another
    return type(name, (pair,), {"__slots__": (), "__repr__": _text, "__reduce__": _saved})


def _text(self: Any) -> str:
    parts = ",\n".join(f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True))
    return f"torch.return_types.{type(self).__name__}(\n{parts})"


def _saved(self: Any) -> Any:
    return _again, (type(self).__name__, type(self).__base__, tuple(self))


def _again(name: str, pair: type, parts: tuple[Any, ...]) -> Any:
    return _type(name, pair)(*parts)
