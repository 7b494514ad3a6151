"""What the rules of the diagnosis may look at, and when two gradients are equal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.testing.probe import Measured, Probe

__all__ = ["Case", "apart", "close"]


@dataclass
class Case:
    """What a rule may look at.   g: backward's gradient, in the shape it came in;  tolerance: of rounding"""

    g: NDArray[Any]
    right: Measured
    probe: Probe
    where: str
    value: NDArray[Any]  # the input or the parameter itself
    again: Callable[[], Any]  # backward's gradient once more, after something was changed
    tolerance: float
    is_input: bool
    inputs_wrong: Callable[[], bool]  # is the gradient of an input wrong, too?

    @property
    def n(self) -> NDArray[Any]:
        return self.right.numeric

    def at(self, gradient: NDArray[Any]) -> NDArray[Any]:
        """The measured elements of a gradient of the right shape."""
        return gradient.reshape(-1)[self.right.index]

    def fits(self, gradient: NDArray[Any]) -> bool:
        return gradient.shape == self.right.shape and close(self.at(gradient), self.n, self.tolerance)


def close(a: NDArray[Any], b: NDArray[Any], tolerance: float, reference: Any = None) -> bool:
    """Equal but for rounding, which is a share of the largest number."""
    return bool(apart(a, b, tolerance, reference).sum() == 0)


def apart(a: NDArray[Any], b: NDArray[Any], tolerance: float, reference: Any = None) -> Any:
    """Which elements differ by more than rounding."""
    largest = np.abs(b if reference is None else reference).max(initial=0.0)
    return ~(np.abs(a - b) <= tolerance * max(largest, 1e-3) + 0.1 * tolerance * np.abs(b))
