"""Which memory was changed in place, and when: how backward knows that a value it saved is no longer what it was.

Tensors share memory (``view``, ``detach``, ``x[0]``), so what is noted is the change of the memory, not of
a tensor: under the array that owns it.  Nothing is noted in a forward pass without in-place operations,
and nothing is looked up in a backward pass if no change is younger than the operations of that pass.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["changed_since", "latest", "note", "owner", "time_of_change"]

latest = 0  # the time of the last change of all, on the clock that numbers the operations as well
_changes: dict[int, list[Any]] = {}  # id of the owning array -> time, operation, weak reference to the array


def owner(array: NDArray[Any]) -> NDArray[Any]:
    """The array that holds the memory which this one looks at; itself if it looks at its own."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def note(array: NDArray[Any], time: int, operation: str) -> None:
    """The memory of the array was changed at that time by that operation."""
    global latest
    held = array if array.base is None else owner(array)
    key = id(held)
    entry = _changes.get(key)
    if entry is None:
        _changes[key] = [time, operation, weakref.ref(held, lambda _: _changes.pop(key, None))]
    else:
        entry[0], entry[1] = time, operation
    latest = time


def time_of_change(array: NDArray[Any]) -> int:
    """When the memory of the array was changed last; 0 if never."""
    entry = _changes.get(id(owner(array)))
    return 0 if entry is None else entry[0]


def changed_since(values: Iterable[Any], time: int) -> tuple[NDArray[Any], str] | None:
    """The first array among the values (or in tuples and lists of them) changed after that time, and by what."""
    for value in values:
        if isinstance(value, np.ndarray):
            entry = _changes.get(id(owner(value)))
            if entry is not None and entry[0] > time:
                return value, entry[1]
        elif isinstance(value, (tuple, list)):
            found = changed_since(value, time)
            if found is not None:
                return found
    return None
