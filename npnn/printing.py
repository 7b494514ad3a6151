"""How tensors print: as in torch, number for number, so that a script's output is the same.

Numbers of a tensor share one format.  Whole ones print with a point ("2."), others with four digits, or with
an exponent where the largest is over 1,000 times the smallest, above 1e8, or the smallest below 1e-4.  Above 1,000
elements only the three first and last along each axis are shown.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn import dtypes
from npnn.tensor import Tensor

__all__ = ["describe", "printoptions", "set_printoptions"]


@dataclass(frozen=True)
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {"default": _Options(), "short": _Options(2, 1000, 2), "full": _Options(4, math.inf)}
_current = [_Options()]


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How many digits, elements, and columns printed tensors have; profiles: default, short, full."""
    options = _current[0] if profile is None else _PROFILES[profile]
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    changed = {name: value for name, value in given.items() if value is not None}
    _current[0] = replace(options, **changed, sci_mode=sci_mode)  # type: ignore[arg-type]


@contextlib.contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """set_printoptions inside a ``with`` block."""
    before = _current[0]
    set_printoptions(**options)
    try:
        yield
    finally:
        _current[0] = before


class _Format:
    """One format for all numbers of a tensor."""

    def __init__(self, shown: NDArray[Any]):
        self.floating, options = shown.dtype.kind == "f", _current[0]
        self.whole, self.scientific = self.floating, False
        if not self.floating:
            self.width = max([1, *[len(str(v)) for v in shown.reshape(-1).tolist()]])
            return
        values = np.abs(shown[np.isfinite(shown) & (shown != 0)].astype(np.float64))
        self.width = 1
        if values.size:
            high, low = values.max(), values.min()
            self.whole = bool((values == np.ceil(values)).all())
            wide = high / low > 1000.0 or high > 1.0e8
            self.scientific = bool(wide if self.whole else wide or low < 1.0e-4)
            if options.sci_mode is not None:
                self.scientific = options.sci_mode
            signed = shown[np.isfinite(shown) & (shown != 0)].tolist()
            self.width = max([1, *[len(self._bare(v)) for v in signed]])
        elif options.sci_mode is not None:
            self.scientific = options.sci_mode
        bad = shown[~np.isfinite(shown)]
        self.width = max([self.width, *[len(str(v)) for v in bad.tolist()]])

    def _bare(self, value: Any) -> str:
        if not self.floating:
            return str(value)
        if self.scientific:
            return f"{value:.{_current[0].precision}e}"
        if self.whole:
            return f"{value:.0f}" + ("." if math.isfinite(value) else "")
        return f"{value:.{_current[0].precision}f}"

    def __call__(self, value: Any) -> str:
        return self._bare(value).rjust(self.width)


def _summarised(x: NDArray[Any]) -> NDArray[Any]:
    """The elements that will be shown."""
    edge = _current[0].edgeitems
    for axis, n in enumerate(x.shape):
        if n > 2 * edge:
            x = np.concatenate([x.take(range(edge), axis), x.take(range(n - edge, n), axis)], axis)
    return x


def _row(x: NDArray[Any], indent: int, form: _Format, cut: bool) -> str:
    options = _current[0]
    per_line = max(1, (options.linewidth - indent) // (form.width + 2))
    if cut and len(x) > 2 * options.edgeitems:
        edge = options.edgeitems
        items = [form(v) for v in x[:edge].tolist()] + [" ..."] + [form(v) for v in x[-edge:].tolist()]
    else:
        items = [form(v) for v in x.tolist()]
    lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)] or [""]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _block(x: NDArray[Any], indent: int, form: _Format, cut: bool) -> str:
    if x.ndim == 0:
        return form(x.item())
    if x.ndim == 1:
        return _row(x, indent, form, cut)
    edge = _current[0].edgeitems
    if cut and len(x) > 2 * edge:
        parts = [_block(p, indent + 1, form, cut) for p in x[:edge]] + ["..."]
        parts += [_block(p, indent + 1, form, cut) for p in x[len(x) - edge :]]
    else:
        parts = [_block(p, indent + 1, form, cut) for p in x]
    return "[" + ("," + "\n" * (x.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def describe(tensor: Tensor, **ignored: Any) -> str:
    """What ``print(tensor)`` shows."""
    x, notes, prefix = tensor.array, [], "tensor("
    usual = dtypes.OF[x.dtype] in (dtypes.get_default_dtype(), "int64", "bool")
    if not x.size:
        if x.ndim != 1:
            notes.append(f"size={tuple(x.shape)}")
        if x.dtype != dtypes.default_float():
            notes.append(f"dtype={tensor.dtype}")
        body = "[]"
    else:
        if not usual:
            notes.append(f"dtype={tensor.dtype}")
        cut = x.size > _current[0].threshold
        body = _block(x, len(prefix), _Format(_summarised(x) if cut else x), cut)
    if tensor.grad_fn is not None:
        notes.append(f"grad_fn=<{tensor.grad_fn.name()}>")
    elif tensor.requires_grad:
        notes.append("requires_grad=True")
    text = prefix + body
    room = len(text) - (text.rfind("\n") + 1) + 1
    for note in notes:
        if room + len(note) + 2 > _current[0].linewidth:
            text, room = f"{text},\n{' ' * len(prefix)}{note}", len(prefix) + len(note)
        else:
            text, room = f"{text}, {note}", room + len(note) + 2
    text += ")"
    if type(tensor) is not Tensor:
        return f"{type(tensor).__name__} containing:\n{text}"
    return text


Tensor.__repr__ = describe  # type: ignore[method-assign, assignment]
