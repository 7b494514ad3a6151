"""``inplace=True`` of activations: the function, then the copy home (``npnn.inplace``)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from npnn.inplace import in_place
from npnn.tensor import Tensor

__all__ = ["honours_inplace", "with_inplace"]


def with_inplace(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function with ``inplace``: its result then takes the place of the input."""

    @functools.wraps(function)
    def call(input: Tensor, *args: Any, inplace: bool = False, **options: Any) -> Tensor:
        if inplace:
            return in_place(f"{function.__name__}_", function, input, *args, **options)
        return function(input, *args, **options)

    return call


def honours_inplace(layer: type) -> None:
    """Let a layer that was made with ``inplace=True`` change its input."""
    forward, name = layer.forward, f"{layer.__name__.lower()}_"  # type: ignore[attr-defined]

    @functools.wraps(forward)
    def call(self: Any, input: Tensor) -> Tensor:
        if self.inplace:
            return in_place(name, lambda x: forward(self, x), input)
        return forward(self, input)

    layer.forward = call  # type: ignore[attr-defined]
