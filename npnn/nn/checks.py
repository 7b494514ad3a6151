"""What layers refuse before any arithmetic: inputs of a dtype that they, or their parameters, cannot work with."""

from __future__ import annotations

import numpy as np

from npnn.tensor import Tensor

__all__ = ["check_floating", "check_same_dtype"]


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
