"""The one source of randomness: initial weights, dropout, shuffling and augmentation all draw from it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["generator", "get_rng_state", "manual_seed", "set_rng_state", "use_generator"]


class _Source(threading.local):
    """All threads share the class's generator; ``use_generator`` gives one of its own to the thread that asks."""

    generator = np.random.Generator(np.random.PCG64())


_source = _Source()


def generator() -> np.random.Generator:
    """The generator that every random choice in npnn uses."""
    return _source.generator


@contextlib.contextmanager
def use_generator(own: np.random.Generator) -> Iterator[None]:
    """Inside the block, in this thread only, draw from ``own`` (a PCG64 generator) instead of the common one."""
    before = _source.generator
    _source.generator = own
    try:
        yield
    finally:
        _source.generator = before


def manual_seed(seed: int) -> np.random.Generator:
    """Start the generator anew: the same seed gives the same run."""
    generator().bit_generator.state = np.random.PCG64(seed).state
    return generator()


def get_rng_state() -> dict[str, Any]:
    """The generator's state, a dict of numbers that survives a round trip through JSON."""
    return dict(generator().bit_generator.state)


def set_rng_state(state: dict[str, Any]) -> None:
    """Continue from a state that get_rng_state returned."""
    generator().bit_generator.state = state
