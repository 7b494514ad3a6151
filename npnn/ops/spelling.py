"""What every operation takes, written once: other names of arguments, sizes and axes by name, and ``out=``."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from npnn.inplace import overwrite
from npnn.modes import mode
from npnn.tensor import Tensor

__all__ = ["spelled"]

# a second name of an argument, and the first; PyTorch takes both
_NAMES = {
    "axis": "dim", "keepdims": "keepdim", "x": "input", "x1": "input", "x2": "other", "axis0": "dim0", "axis1": "dim1",
    "split_size": "split_size_or_sections", "sections": "indices_or_sections", "indices": "indices_or_sections",
    "tensor": "other",
}  # fmt: skip
_VARIADIC = 0x04  # of a function's code: it takes *args


def spelled(name: str, function: Any, with_out: bool = True) -> Callable[..., Any]:
    """The operation as users call it.

    ``name(..., axis=0)`` is ``name(..., dim=0)``, ``name(*size)`` also ``name(size=...)``, and ``out=`` takes the result.

    A method that has neither is the function itself: the detour costs a tenth of a microsecond.
    """
    # inspect.signature would take a twentieth of the time that importing npnn takes
    code = getattr(function, "__wrapped__", function).__code__
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    renamed = {theirs: ours for theirs, ours in _NAMES.items() if ours in parameters and theirs not in parameters}
    rest = code.co_varnames[len(parameters)] if code.co_flags & _VARIADIC else None
    if not with_out and not rest and not set(renamed) - {"x", "x1", "x2"}:
        return function

    @functools.wraps(function)
    def operation(*args: Any, out: Any = None, **options: Any) -> Any:
        if options:
            for theirs in [key for key in options if key in renamed]:
                if renamed[theirs] in options:
                    raise TypeError(f"{name}() got both {renamed[theirs]!r} and {theirs!r}, which mean the same")
                options[renamed[theirs]] = options.pop(theirs)
            if rest in options:
                before = [options.pop(key) for key in parameters[len(args) : code.co_argcount] if key in options]
                args = (*args, *before, options.pop(rest))
        if out is None:
            return function(*args, **options)
        if not with_out:
            raise TypeError(f"{name}() of a tensor got an unexpected keyword argument 'out'")
        return _into(name, function(*args, **options), out)

    return operation


def _into(name: str, result: Any, out: Any) -> Any:
    """``result`` in the tensors ``out``, which it returns.

    Errors: RuntimeError for one that takes part in the graph, or whose dtype cannot hold the result.
    """
    if isinstance(result, tuple):
        if not isinstance(out, (tuple, list)) or len(out) != len(result):
            raise TypeError(f"{name}() has {len(result)} results: out= takes a tuple of as many tensors")
        filled = [_into(name, *pair) for pair in zip(result, out, strict=True)]
        return type(result)(*filled) if hasattr(result, "_fields") else tuple(filled)
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if mode.enabled and (result.requires_grad or out.requires_grad):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    if out.array.shape != result.array.shape:
        if out.array.size:
            warnings.warn(
                f"An output with one or more elements was resized since it had shape {list(out.array.shape)}, "
                f"which does not match the required output shape {list(result.array.shape)}.",
                stacklevel=3,
            )
        out.resize_(*result.array.shape)
    return overwrite(name, out, result)
