"""One thread pool.

A compiled kernel splits its work into ``get_num_threads()`` chunks and runs them on numba's pool.
Matrix products are split in the same way, with the BLAS library held to one thread while they run:
two pools on the same cores spend their time waiting for each other.

The number of threads is ``NPNN_NUM_THREADS``; without it ``OMP_NUM_THREADS``, which most numerical
programs obey; without that one in a worker process, which shares the cores with its siblings, and
elsewhere the number of cores this process may use, divided by that of the processes which mpiexec
started on them.  It is also the number of chunks, so sums over
chunks depend on it by rounding.

Nothing global changes: numba's and OpenMP's own settings stay as they are, and the BLAS library
gets its number of threads back after each call.  A forked child computes on one thread, whatever
is set: the threads of its parent's pool do not exist in it, and OpenMP cannot start new ones.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["get_num_threads", "run", "set_num_threads", "single_threaded_blas", "split"]

#: Below this many elementary operations a kernel stays on the calling thread: handing work to the
#: pool costs 5 to 20 microseconds, as much as one core needs for this many.
PARALLEL_THRESHOLD = 1 << 16

_MOST_THREADS = 1024  # some kernels need working memory for each thread

_pool_lock = threading.RLock()  # one parallel region at a time: numba's workqueue layer allows no second one
_blas_lock = threading.RLock()
_in_forked_child = False


def _checked(n: Any, name: str) -> int:
    if isinstance(n, bool) or not hasattr(n, "__index__") or not 1 <= n <= _MOST_THREADS:
        raise ValueError(f"{name} must be a whole number from 1 to {_MOST_THREADS}, got {n!r}")
    return int(n)


def _cores() -> int:
    """How many cores this process may use: those it is tied to, and no more than its container grants it time of."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity
        cores = os.cpu_count() or 1
    return min(cores, _granted() or cores)


def _granted(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The cores' worth of time that a container may use (docker run --cpus=1.5), rounded up; None without a limit."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((root / name).read_text() for name in names).split()
        except (OSError, ValueError):
            continue
        if quota.isdecimal() and period.isdecimal() and int(period):
            return max(1, -(-int(quota) // int(period)))
    return None


def _ranks() -> int:
    """How many processes mpiexec started on this machine, this one among them, as MPICH, Open MPI and others tell."""
    names = ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "PMI_SIZE")
    return next((int(os.environ[name]) for name in names if name in os.environ), 1)


def _is_worker() -> bool:
    """True in a process that multiprocessing (or joblib) started."""
    multiprocessing = sys.modules.get("multiprocessing.process")  # surely imported there
    return multiprocessing is not None and multiprocessing.parent_process() is not None


def _from_environment() -> int | None:
    ours = os.environ.get("NPNN_NUM_THREADS")
    if ours:
        return _checked(int(ours) if ours.isdecimal() else ours, "NPNN_NUM_THREADS")
    common = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list has one number for each nesting
    return min(int(common), _cores()) if common.isdecimal() and int(common) > 0 else None


_num_threads = _from_environment()  # None: not decided yet; a worker knows that it is one only after its imports


def get_num_threads() -> int:
    """The number of threads that npnn's kernels use."""
    global _num_threads
    if _num_threads is None:
        _num_threads = 1 if _is_worker() else max(1, _cores() // _ranks())
    return 1 if _in_forked_child else _num_threads


def set_num_threads(n: int) -> None:
    """Use ``n`` threads from now on; more than there are cores make smaller pieces, not a larger pool.

    Errors: ValueError unless n is a whole number from 1 to 1024.
    """
    global _num_threads
    _num_threads = _checked(n, "the number of threads")


def split(work: int) -> int:
    """How many chunks to cut ``work`` elementary operations into: 1 if it is too little to share."""
    return 1 if work < PARALLEL_THRESHOLD else get_num_threads()


def run(loop: Any, chunks: int, *args: Any) -> Any:
    """Call ``loop(chunks, *args)``, a function made with ``jit(parallel=True)``.

    ``loop`` runs ``for chunk in prange(chunks)`` and finds its own share of the work from ``chunk``.
    """
    if chunks == 1 or _in_forked_child:
        return loop.serial(chunks, *args)
    with _pool_lock:
        _start_pool()
        return loop.parallel(chunks, *args)


@functools.cache
def _start_pool() -> None:
    """Start numba's threads.  Where they are OpenMP's, keep OpenMP's default, which PyTorch takes for its own."""
    import numba

    found = []
    with contextlib.suppress(ImportError, TypeError):  # no OpenMP here; no names of the whole process on Windows
        from numba.np.ufunc import omppool  # type: ignore[attr-defined]

        # In the linker's order: what the process shares (PyTorch's copy, if it was there first), then its own
        libraries = [ctypes.CDLL(name) for name in (None, omppool.__file__)]
        found = [library for library in libraries if hasattr(library, "omp_get_max_threads")]
    before = [library.omp_get_max_threads() for library in found]
    numba.get_num_threads()
    for library, n in zip(found, before, strict=True):
        library.omp_set_num_threads(n)


class _OneBlasThread:
    """Context in which a BLAS library computes with one thread; the last one to leave gives the others back."""

    def __init__(self, get_threads: Callable[[], int], set_threads: Callable[[int], Any]):
        self.get_threads, self.set_threads = get_threads, set_threads
        self.inside, self.before = 0, 1

    def __enter__(self) -> None:
        with _blas_lock:
            self.inside += 1
            if self.inside == 1:
                self.before = self.get_threads()
                if self.before != 1:
                    self.set_threads(1)

    def __exit__(self, *error: object) -> None:
        with _blas_lock:
            self.inside -= 1
            if self.inside == 0 and self.before != 1:
                self.set_threads(self.before)


def _blas_thread_functions() -> tuple[Callable[[], int], Callable[[int], Any]] | None:
    """How to get and set the number of threads of the BLAS that compiled code calls, which is SciPy's.

    None for a library without such functions (Apple's): then nothing holds it.
    """
    from scipy.linalg import cython_blas

    openblas = [f"{prefix}openblas_{{}}_num_threads{suffix}" for prefix in ("scipy_", "") for suffix in ("", "64_")]
    names = [(name.format("get"), name.format("set")) for name in openblas]
    names.append(("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"))
    # A look-up in the interface goes on in what it is linked to; not so on Windows, where the library must be found
    interface = Path(cython_blas.__file__)
    for path in [interface, *interface.parents[2].glob("scipy.libs/*openblas*")]:
        library = ctypes.CDLL(str(path))
        for get_threads, set_threads in names:
            if hasattr(library, get_threads):
                return library[get_threads], library[set_threads]
    return None


@functools.cache
def single_threaded_blas() -> contextlib.AbstractContextManager[None]:
    """Hold the BLAS that compiled kernels call to one thread inside the block, then give it back."""
    functions = _blas_thread_functions()
    return contextlib.nullcontext() if functions is None else _OneBlasThread(*functions)


def _after_fork_in_child() -> None:
    global _in_forked_child, _pool_lock, _blas_lock
    _in_forked_child, _pool_lock, _blas_lock = True, threading.RLock(), threading.RLock()  # free, whoever held them


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
