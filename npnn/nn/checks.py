"""What layers refuse before any arithmetic: inputs whose dtype or channels do not go with their parameters."""

from __future__ import annotations

import numpy as np

from npnn.errors import ShapeError
from npnn.tensor import Tensor

__all__ = ["check_channel_vectors", "check_floating", "check_same_dtype"]


def check_floating(name: str, x: Tensor) -> None:
    """Errors: RuntimeError unless x holds floating-point numbers."""
    if x.data.dtype.kind != "f":
        raise RuntimeError(f"{name}: expected a floating-point input, got {x.dtype}; x.float() casts")


def check_same_dtype(x: Tensor, **parameters: Tensor | None) -> None:
    """Errors: RuntimeError that names the first parameter of another dtype than x, and the cast that helps."""
    for name, p in parameters.items():
        if p is not None and p.data.dtype != x.data.dtype:
            model = "model.double()" if x.data.dtype == np.float64 else "model.float()"
            cast = "x.double()" if p.data.dtype == np.float64 else "x.float()"
            raise RuntimeError(
                f"the input is {x.dtype} but the {name} is {p.dtype}: cast one of them, with {cast} or {model}"
            )


def check_channel_vectors(x: Tensor, **vectors: Tensor | None) -> None:
    """Errors: ShapeError unless each vector has one element per channel of x (N, C, *); RuntimeError for its dtype."""
    shape = x.data.shape
    for name, v in vectors.items():
        if v is not None and v.data.shape != shape[1:2]:
            hint = ""
            if len(shape) > 2 and shape[-1:] == v.data.shape:
                order = (0, len(shape) - 1, *range(1, len(shape) - 1))
                hint = f"; its last axis would fit: put the channels first with x.permute{order}"
            raise ShapeError(
                f"expected an input of shape (N, C, *) with C = {v.numel()} as in {name}, got {shape}{hint}"
            )
    check_same_dtype(x, **vectors)
