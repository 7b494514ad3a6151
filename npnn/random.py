"""The one source of randomness, and it is PyTorch's: the same seed gives the same numbers in both.

Initial weights, dropout, shuffling and augmentation all draw from a :class:`Generator`, a Mersenne
Twister.  How its words become uniform, normal and other numbers is in ``npnn.kernels.twister``;
here is what goes around it: seeds, states, and the order in which an array is filled.

Arrays are filled in the order of their memory, as in PyTorch; those whose channels lie together
(as npnn keeps images, where PyTorch does not) are filled in the order of their indices.
"""

from __future__ import annotations

import contextlib
import operator
import os
import threading
from collections.abc import Iterator
from typing import Any

from npnn.generator import Generator, _after_fork_in_child

__all__ = [
    "default_generator", "fork_rng", "generator", "get_rng_state", "initial_seed", "manual_seed", "seed",
    "set_rng_state", "use_generator",
]  # fmt: skip


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


default_generator = Generator()


class _Source(threading.local):
    """All threads share the class's generator; ``use_generator`` gives one of its own to the thread that asks."""

    generator = default_generator


_source = _Source()


def generator() -> Generator:
    """The generator that every random choice in npnn uses unless it is given another."""
    return _source.generator


@contextlib.contextmanager
def use_generator(own: Generator) -> Iterator[None]:
    """Inside the block, in this thread only, draw from ``own`` instead of the common one."""
    before = _source.generator
    _source.generator = own
    try:
        yield
    finally:
        _source.generator = before


def manual_seed(seed: int) -> Generator:
    """Start the generator anew: the same seed gives the same run, and the run that PyTorch has.

    Errors: ValueError for a seed of more than 64 bits.
    """
    return generator().manual_seed(operator.index(seed) if not isinstance(seed, (float, str)) else int(seed))


def seed() -> int:
    """Start the generator from a seed that nobody can foresee, and return it."""
    return generator().seed()


def initial_seed() -> int:
    """The seed that the generator was started from."""
    return generator().initial_seed()


def get_rng_state() -> Any:
    """The generator's state, a tensor of 5,056 bytes."""
    return generator().get_state()


def set_rng_state(new_state: Any) -> None:
    """Continue from a state that get_rng_state returned, here or in PyTorch.  Errors: RuntimeError for another."""
    generator().set_state_bytes(new_state)


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **ignored: Any) -> Iterator[None]:
    """Inside the block draw as usual; afterwards the generator stands where it stood before."""
    state = generator().state_bytes() if enabled else None
    try:
        yield
    finally:
        if state is not None:
            generator().set_state_bytes(state)
