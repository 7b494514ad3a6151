"""A layer run under controlled conditions: the same random numbers each time, and its gradients measured.

J[k, :] = (y(x + ε e_k) - y(x - ε e_k)) / 2ε          for single elements k of an input or a parameter
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.generator import Generator
from npnn.testing.base import Subject, seeded

__all__ = ["Measured", "Probe"]

EPS = 1e-6
SEED = 712_043_881  # one that nobody draws an input from: a cotangent that equals the input hides mistakes
SECONDS = 0.5  # for all finite differences of a layer
FEWEST, MOST = 24, 800  # elements of one array that are measured


@dataclass
class Measured:
    """The Jacobian of some elements of one array.   index (K,), J (K, M), numeric (K,) = J w, kinks (K,) bool"""

    shape: tuple[int, ...]
    index: NDArray[np.int64]
    J: NDArray[Any]
    numeric: NDArray[Any]
    kinks: NDArray[Any]

    @property
    def complete(self) -> bool:
        return len(self.index) == int(np.prod(self.shape))

    def full(self) -> NDArray[Any]:
        """The gradient in the array's shape, nan where it was not measured."""
        whole = np.full(int(np.prod(self.shape)), np.nan)
        whole[self.index] = self.numeric
        return whole.reshape(self.shape)


class Probe:
    """Runs forward and backward of a Subject at ``inputs`` with cotangents ``w``, drawn once."""

    def __init__(self, subject: Subject, inputs: Sequence[NDArray[Any]], scalar: bool = False, eps: float = EPS):
        self.eps = eps
        self.subject, self.inputs = subject, list(inputs)
        self.rng = np.random.default_rng(SEED)
        self.streams = _streams(getattr(subject, "layer", None))
        self.states = [_get_state(stream) for stream in self.streams]
        began = time.perf_counter()
        self.y = self.forward()
        self.seconds = time.perf_counter() - began
        self.w = [np.ones_like(y) if scalar else self.rng.standard_normal(y.shape) for y in self.y]

    def forward(self, inputs: Sequence[NDArray[Any]] | None = None, seed: int = 0) -> list[NDArray[Any]]:
        """The outputs, each in memory of its own."""
        for stream, state in zip(self.streams, self.states, strict=True):
            _set_state(stream, state)
        given = [x.copy() for x in (self.inputs if inputs is None else inputs)]
        with seeded(seed), np.errstate(all="ignore"):
            return [np.array(y) for y in self.subject.forward(given)]

    def backward(self, scale: float = 1.0) -> tuple[list[Any], dict[str, Any]]:
        """What the layer gives for the cotangents, after the latest forward; copies."""
        with seeded(1), np.errstate(all="ignore"):
            dx, dp = self.subject.backward([scale * w for w in self.w])
        return [None if g is None else np.array(g) for g in dx], {n: np.array(g) for n, g in dp.items()}

    def gradients(self) -> tuple[list[Any], dict[str, Any]]:
        """Forward and backward, from cleared gradients."""
        self.subject.clear()
        self.forward()
        return self.backward()

    def measure(self, array: NDArray[Any], arrays: int) -> Measured:
        """The Jacobian with respect to ``array``, one of the inputs or parameters, which is changed and put back.

        ``arrays`` is how many there are in all, which share the time.
        """
        count = int(min(MOST, max(FEWEST, SECONDS / max(self.seconds, 1e-6) / 2 / max(1, arrays))))
        index = np.arange(array.size) if array.size <= count else np.sort(self.rng.permutation(array.size)[:count])
        w = np.concatenate([w.ravel() for w in self.w]) if self.w else np.zeros(0)
        base = self._flat()
        J, kinks = np.zeros((len(index), len(w))), np.zeros(len(index), bool)
        for row, k in enumerate(index):
            at = np.unravel_index(k, array.shape)
            value = float(array[at])
            step = self.eps * max(1.0, abs(value))
            array[at] = value + step
            above = self._flat()
            array[at] = value - step
            below = self._flat()
            array[at] = value
            J[row] = (above - below) / (2 * step)
            right, left = (above - base) / step, (base - below) / step
            kinks[row] = bool((np.abs(right - left) > 1e-2 * np.maximum(np.abs(right), np.abs(left)) + 1e-4).any())
        return Measured(array.shape, index, J, J @ w, kinks)

    def along(self, array: NDArray[Any], direction: NDArray[Any]) -> float:
        """The derivative of <w, y> along a direction of ``array``."""
        before = array.copy()
        sides = []
        for sign in (1, -1):
            array[...] = before + sign * self.eps * direction
            sides.append(sum(float((y * w).sum()) for y, w in zip(self.forward(), self.w, strict=True)))
        array[...] = before
        return (sides[0] - sides[1]) / (2 * self.eps)

    def _flat(self) -> NDArray[Any]:
        y = self.forward()
        return np.concatenate([part.ravel() for part in y]) if y else np.zeros(0)


def _streams(layer: Any) -> list[Any]:
    """The generators that a layer holds itself."""
    kinds = (np.random.Generator, np.random.RandomState, Generator)
    return [v for v in (vars(layer).values() if hasattr(layer, "__dict__") else ()) if isinstance(v, kinds)]


def _get_state(stream: Any) -> Any:
    if isinstance(stream, np.random.Generator):
        return stream.bit_generator.state
    return stream.get_state() if isinstance(stream, np.random.RandomState) else stream.state_bytes()


def _set_state(stream: Any, state: Any) -> None:
    if isinstance(stream, np.random.Generator):
        stream.bit_generator.state = state
    elif isinstance(stream, np.random.RandomState):
        stream.set_state(state)
    else:
        stream.set_state_bytes(state)
