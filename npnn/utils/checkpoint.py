"""torch.utils.checkpoint: here activations are kept, so that the function is simply called."""

from __future__ import annotations

from typing import Any

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(function: Any, *args: Any, use_reentrant: bool | None = None, **kwargs: Any) -> Any:
    """function(*args): nothing is computed twice, and no memory is saved."""
    return function(*args, **kwargs)


def checkpoint_sequential(functions: Any, segments: int, input: Any, **kwargs: Any) -> Any:
    """The functions one after the other."""
    for function in functions:
        input = function(input)
    return input
