"""What layers refuse before any arithmetic: sizes that are none, inputs that do not go with their parameters."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from npnn.errors import DtypeError, ShapeError
from npnn.tensor import Tensor

__all__ = ["check_channel_vectors", "check_floating", "check_same_dtype", "pair", "permute_hint"]


def pair(name: str, value: Any, dims: int, least: int, fill: int) -> Any:
    """``value``, a number or one per axis, as (along the height, along the width); ``fill`` for an axis not there.

    Of three axes, the depth comes first.

    Errors: ShapeError for another count or a number below ``least``, TypeError for what is no whole number.
    """
    values = tuple(map(operator.index, value)) if isinstance(value, (tuple, list)) else (operator.index(value),)
    if len(values) == 1:
        values *= dims
    if len(values) != dims or min(values) < least:
        raise ShapeError(f"{name} must be {dims} whole number{'s'[: dims - 1]} of at least {least}, got {value!r}")
    return (fill, values[0]) if dims == 1 else values


def permute_hint(shape: tuple[int, ...], dims: int, channels: int) -> str:
    """What to do with an input of ``dims`` spatial axes that has its channels last; nothing if that is not it."""
    batched = len(shape) == dims + 2
    if not (batched or len(shape) == dims + 1) or shape[-1] != channels:
        return ""
    order = (0, dims + 1, *range(1, dims + 1)) if batched else (dims, *range(dims))
    space = {1: "L", 2: "H, W", 3: "D, H, W"}.get(dims, "*")
    looks = f"(N, {space}, C)" if batched else f"({space}, C)"
    return f"; its last axis would fit, it looks like {looks}: put the channels first with x.permute{order}"


def check_floating(name: str, x: Tensor) -> None:
    """Errors: DtypeError unless x holds floating-point numbers."""
    if x.array.dtype.kind != "f":
        raise DtypeError(f"{name}: expected a floating-point input, got {x.dtype}; x.float() casts")


def check_same_dtype(x: Tensor, **parameters: Tensor | None) -> None:
    """Errors: DtypeError that names the first parameter of another dtype than x, and the cast that helps."""
    for name, p in parameters.items():
        if p is not None and p.array.dtype != x.array.dtype:
            model = "model.double()" if x.array.dtype == np.float64 else "model.float()"
            cast = "x.double()" if p.array.dtype == np.float64 else "x.float()"
            raise DtypeError(
                f"the input is {x.dtype} but the {name} is {p.dtype}: cast one of them, with {cast} or {model}"
            )


def check_channel_vectors(x: Tensor, **vectors: Tensor | None) -> None:
    """Errors: ShapeError unless each vector has one element per channel of x (N, C, *); DtypeError for its dtype."""
    shape = x.array.shape
    for name, v in vectors.items():
        if v is not None and v.array.shape != shape[1:2]:
            expected = f"expected an input of shape (N, C, *) with C = {v.numel()} as in {name}, got {shape}"
            raise ShapeError(expected + permute_hint(shape, len(shape) - 2, v.numel()))
    check_same_dtype(x, **vectors)
