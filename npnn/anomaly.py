"""Finding the operation that made the first nan or inf: what detect_anomaly of npnn.autograd looks at, and says."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import layer_name, within_npnn

__all__ = ["Place", "check_gradients", "check_results"]


class Place:
    """Where the user's code called an operation: the line, and the layers in between."""

    def __init__(self) -> None:
        self.line: tuple[str, int, str] | None = None
        self.layers: list[Any] = []  # modules whose forward was running, the innermost first
        frame = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            if not within_npnn(frame):
                self.line = self.line or (code.co_filename, frame.f_lineno, code.co_name)
            elif code.co_name == "__call__" and hasattr(frame.f_locals.get("self"), "named_modules"):
                self.layers.append(frame.f_locals["self"])
            frame = frame.f_back  # type: ignore[assignment]

    def __str__(self) -> str:
        layer = f" in layer {layer_name(self.layers)}" if self.layers else ""
        if self.line is None:
            return f"called{layer}"
        file, number, function = self.line
        source = linecache.getline(file, number).strip()
        return f"called{layer}\n  File {file}, line {number}, in {function}" + (f"\n    {source}" if source else "")


def check_results(name: str, inputs: Sequence[Any], outputs: Sequence[NDArray[Any]], place: Place) -> None:
    """Errors: RuntimeError if an output of the operation holds nan, or inf though no input does."""
    for i, y in enumerate(outputs):
        kind = _worst(y)
        given = [_worst(x) for x in _flat(inputs)] if kind else []
        if "nan" in given:
            raise RuntimeError(f"{name} was given nan, which no recorded operation made: look at the data, {place}")
        if kind == "nan" or (kind and not any(given)):
            source = "from inf" if any(given) else "from finite numbers"
            raise RuntimeError(f"{name} made {kind} {source} in {_where(f'output {i}', y)}, {place}")


def check_gradients(
    name: str, given: Sequence[Any], made: Sequence[Any], needed: Sequence[bool], place: Place | None
) -> None:
    """Errors: RuntimeError if a gradient that backward returned holds nan, or inf though those given to it do not."""
    forward = "" if place is None else f"; its forward was {place}"
    before = [_worst(dy) for dy in given]
    if "nan" in before:
        raise RuntimeError(f"{name}.backward was given nan: the gradient that backward() started from has it{forward}")
    for i, (dx, wanted) in enumerate(zip(made, needed, strict=True)):
        kind = _worst(dx) if wanted else ""
        if kind == "nan" or (kind and not any(before)):
            raise RuntimeError(f"{name}.backward made {kind} in {_where(f'the gradient of input {i}', dx)}{forward}")


def _worst(x: Any) -> str:
    """'nan', 'inf' or, for finite numbers and for what is no number at all, ''."""
    if not (isinstance(x, (float, np.floating)) or (isinstance(x, np.ndarray) and x.dtype.kind == "f")):
        return ""
    if np.isfinite(x).all():
        return ""
    return "nan" if np.isnan(x).any() else "inf"


def _flat(values: Sequence[Any]) -> list[Any]:
    """The values, those in tuples among them."""
    return [leaf for v in values for leaf in (_flat(v) if isinstance(v, (tuple, list)) else [v])]


def _where(what: str, x: NDArray[Any]) -> str:
    bad = np.argwhere(~np.isfinite(np.atleast_1d(x)))
    first = f", the first at {tuple(bad[0].tolist())}" if x.ndim else ""
    return f"{what} of shape {x.shape}, in {len(bad)} of {x.size} elements{first}"
