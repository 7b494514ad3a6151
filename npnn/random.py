"""The one source of randomness: initial weights, dropout, shuffling and augmentation all draw from it."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["generator", "get_rng_state", "manual_seed", "set_rng_state"]

_generator = np.random.Generator(np.random.PCG64())


def generator() -> np.random.Generator:
    """The generator that every random choice in npnn uses."""
    return _generator


def manual_seed(seed: int) -> np.random.Generator:
    """Start the generator anew: the same seed gives the same run."""
    _generator.bit_generator.state = np.random.PCG64(seed).state
    return _generator


def get_rng_state() -> dict[str, Any]:
    """The generator's state, a dict of numbers that survives a round trip through JSON."""
    return dict(_generator.bit_generator.state)


def set_rng_state(state: dict[str, Any]) -> None:
    """Continue from a state that get_rng_state returned."""
    _generator.bit_generator.state = state
