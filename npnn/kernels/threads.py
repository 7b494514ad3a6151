"""One thread pool.

A compiled kernel splits its work into ``get_num_threads()`` chunks and runs them on numba's pool.
Matrix products are split in the same way, with the BLAS library held to one thread while they run:
two pools on the same cores spend their time waiting for each other.

The number of threads is ``NPNN_NUM_THREADS`` or, without it, the number of cores this process may
use.  Nothing global changes: numba's own setting stays as it is, and the BLAS library gets its
number of threads back after each call.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["get_num_threads", "run", "set_num_threads", "single_threaded_blas", "split"]

#: Below this many elementary operations a kernel stays on the calling thread: handing work to the
#: pool costs 5 to 20 microseconds, as much as one core needs for this many.
PARALLEL_THRESHOLD = 1 << 16

_lock = threading.RLock()  # one parallel region at a time: numba's workqueue layer allows no second one
_serial_only = False  # in a forked child the pool's threads do not exist


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity
        return os.cpu_count() or 1


def _initial_threads() -> int:
    text = os.environ.get("NPNN_NUM_THREADS", "")
    if not text:
        return _cores()
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"NPNN_NUM_THREADS must be a positive whole number, got {text!r}")
    return int(text)


_num_threads = _initial_threads()


def get_num_threads() -> int:
    """The number of threads that npnn's kernels use."""
    return 1 if _serial_only else _num_threads


def set_num_threads(n: int) -> None:
    """Use ``n`` threads from now on.  Errors: ValueError unless n is a whole number of at least 1."""
    global _num_threads
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"the number of threads must be a whole number of at least 1, got {n!r}")
    _num_threads = n


def split(work: int) -> int:
    """How many chunks to cut ``work`` elementary operations into: 1 if it is too little to share."""
    if work < PARALLEL_THRESHOLD or _serial_only:
        return 1
    return _num_threads


def run(loop: Any, chunks: int, *args: Any) -> Any:
    """Call ``loop(chunks, *args)``, a function made with ``jit(parallel=True)``.

    ``loop`` runs ``for chunk in prange(chunks)`` and finds its own share of the work from ``chunk``.
    """
    if chunks == 1:
        return loop.serial(1, *args)
    with _lock:
        return loop.parallel(chunks, *args)


@functools.cache
def _blas_libraries() -> tuple[Any, ...]:
    import scipy.linalg.cython_blas  # noqa: F401  the BLAS that numba calls is SciPy's
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().lib_controllers
    return tuple(lib for lib in found if lib.user_api == "blas")


@contextlib.contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold every BLAS library of the process to one thread inside the block, then give it back."""
    libraries = _blas_libraries()
    with _lock:
        before = [lib.get_num_threads() for lib in libraries]
        try:
            for lib in libraries:
                lib.set_num_threads(1)
            yield
        finally:
            for lib, n in zip(libraries, before, strict=True):
                lib.set_num_threads(n)


def _after_fork_in_child() -> None:
    global _serial_only, _lock
    _serial_only, _lock = True, threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
