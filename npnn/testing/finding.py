"""What a check found: the kind of mistake, where it is, and one line that gives the evidence and the cure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Finding", "report"]

SHADES = "▁▂▃▄▅▆▇█"  # of a small picture in the terminal, from the smallest number to the largest
ROWS, COLUMNS = 8, 24  # of it, at most


@dataclass(frozen=True)
class Finding:
    """One mistake.   kind: which, see ``check_layer`` and ``npnn.train.check``;   where: "input", "W", "2.weight"

    Where gradients were compared, ``backward`` is the one that backward gave and ``numeric`` the right one, from
    finite differences; elements that were not measured are nan.
    """

    kind: str
    where: str
    message: str
    backward: NDArray[Any] | None = field(default=None, repr=False, compare=False)
    numeric: NDArray[Any] | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.kind} ({self.where}): {self.message}"


def report(findings: Iterable[Finding]) -> str:
    """A line for each finding; a single one is followed by its two gradients as small pictures, if it has them."""
    found = list(findings)
    if not found:
        return "nothing found: all that was compared is right"
    lines = [str(finding) for finding in found]
    if len(found) == 1 and found[0].backward is not None and found[0].numeric is not None:
        lines += ["", *_pictures(found[0].backward, found[0].numeric)]
    return "\n".join(lines)


def _pictures(backward: NDArray[Any], numeric: NDArray[Any]) -> list[str]:
    """Two blocks of shades side by side, on one scale."""
    blocks = [_block(np.asarray(g, float)) for g in (backward, numeric)]
    known = np.concatenate([block[np.isfinite(block)] for block in blocks])
    low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
    width = max(blocks[0].shape[1], len("backward"))
    lines = [f"{'backward':{width}}   finite differences   ({SHADES[0]} {low:.3g} to {SHADES[-1]} {high:.3g})"]
    for row in range(max(len(block) for block in blocks)):
        left, right = ("".join(_shade(v, low, high) for v in b[row]) if row < len(b) else "" for b in blocks)
        lines.append(f"{left:{width}}   {right}".rstrip())
    return lines


def _block(gradient: NDArray[Any]) -> NDArray[Any]:
    """The first rows and columns of an array of any shape."""
    flat = gradient.reshape(-1, gradient.shape[-1]) if gradient.ndim > 1 else gradient.reshape(1, -1)
    return flat[:ROWS, :COLUMNS]


def _shade(value: float, low: float, high: float) -> str:
    if not np.isfinite(value):
        return " "
    share = (value - low) / (high - low) if high > low else 0.0
    return SHADES[min(len(SHADES) - 1, int(share * len(SHADES)))]
