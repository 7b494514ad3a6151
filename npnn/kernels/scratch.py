"""Working memory that is used again: fresh memory comes page by page, each page a trap of a microsecond."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["scratch"]

# The same holds for the arrays that a step makes and forgets.  Linux's C library gives free memory at the
# end of the heap back to the system as soon as it is more than twice the largest array that was ever
# forgotten (between 128 KB and 32 MB, see mallopt(3)): a large one, never touched, keeps it for the next step.
np.empty((32 << 20) - (1 << 16), np.uint8)


class _Local(threading.local):
    def __init__(self) -> None:
        self.memory = np.empty(0, np.uint8)


_local = _Local()


def scratch(dtype: Any, *shapes: tuple[int, ...]) -> list[NDArray[Any]]:
    """Arrays of these shapes, not initialised, each on a cache line of its own.

    They are valid until this thread asks again: use them inside one kernel, never return them.
    """
    itemsize = np.dtype(dtype).itemsize
    sizes = [-(-math.prod(shape) * itemsize // 64) * 64 for shape in shapes]
    if sum(sizes) + 64 > _local.memory.size:
        _local.memory = np.empty(sum(sizes) + 64, np.uint8)
    start = -_local.memory.ctypes.data % 64
    arrays = []
    for shape, size in zip(shapes, sizes, strict=True):
        used = math.prod(shape) * itemsize
        arrays.append(_local.memory[start : start + used].view(dtype).reshape(shape))
        start += size
    return arrays
