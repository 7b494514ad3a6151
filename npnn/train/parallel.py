"""Training in several processes at once, each with its share of every batch (data parallelism).

    mpiexec -n 2 python train.py            (pip install npnn[mpi])

All processes, numbered by *rank* from 0, run the same program and hold the same weights.  In every
step each computes the gradient of its own rows of the batch; the gradients are summed over the
processes, and all take the same step.  So the weights, the losses and the decisions are those of a
single process up to rounding, whatever the number of processes.  What is not the same:

- BatchNorm normalises with the statistics of a rank's own rows, as in torch's DistributedDataParallel.
  The running statistics that are saved and evaluated are rank 0's.
- What the model draws (dropout) and what augments the batches is drawn for each rank's rows by
  itself: as reproducible, but different for another number of processes.  PyTorch's own generator
  starts an epoch in the same state in all of them.
- A loss must be the mean over the rows, or CrossEntropyLoss or NLLLoss, whose weights are known (``weighting``).  A
  function of your own that is weighted otherwise is averaged over the processes as if it were not.

A DataLoader prepares only the share of its process.  Any other loader is asked for whole batches
in every process; these must be the same everywhere.  Rank 0 alone evaluates, calls the callbacks
(which save and log) and shows progress; the others get the records and the end of the run from
it.  They wait until it is done, and an error in one process ends all of them.

``Single`` and ``Group`` are the two answers to what the trainer asks: in one process, and in many.
Source: Li et al., PyTorch Distributed: Experiences on Accelerating Data Parallel Training, 2020.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from npnn import generator, random
from npnn.data.fetching import share
from npnn.data.loader import DataLoader
from npnn.errors import TrainingDiverged
from npnn.kernels.threads import get_num_threads
from npnn.train.backend import Backend
from npnn.train.batches import pairs, rest_of_epoch
from npnn.train.buckets import Bucket, buckets, layout
from npnn.train.generators import get_generators, set_generators
from npnn.train.health import copy_weights, load_weights
from npnn.train.meeting import Door, siblings_counted
from npnn.train.run import Run
from npnn.train.weighting import weight_of

__all__ = ["Group", "Single", "together", "world"]

PATIENCE = 1.0  # seconds: an error that rank 0 has, too, is told by rank 0
FORWARDING = 0.2  # seconds: what mpiexec has not passed on when it is told to abort is lost

T = TypeVar("T")
_NOTHING = contextlib.nullcontext()


class Single:
    """One process: there is nobody to ask and nothing to share."""

    rank, size = 0, 1

    def guard(self) -> contextlib.AbstractContextManager[Any]:
        """A context from which no process departs by itself: its error is the end of all."""
        return _NOTHING

    def abort(self, message: str, code: int = 1) -> None:
        """Tell of an error which this process alone may have had.  A Group ends here, in all of its processes."""
        print(message, file=sys.stderr, flush=True)

    def begin(self, trainer: Any, loader: Iterable[Any]) -> Iterable[Any]:
        """Make all processes start alike.  Returns the loader to train with."""
        return loader

    def batches(self, loader: Iterable[Any], run: Run, backend: Backend) -> Iterator[tuple[Any, Any]]:
        """What is left of the epoch: this process's rows of each batch."""
        return pairs(rest_of_epoch(loader, run), backend)

    def own_generator(self, run: Run) -> contextlib.AbstractContextManager[Any]:
        """A context in which what npnn draws is this process's own."""
        return _NOTHING

    def weight(self, loss: Any, targets: Any, backend: Backend) -> float:
        """What this process's rows weigh in the mean of the loss; asked for only where there are others."""
        return 1.0

    def mean(self, loss: float, rows: int, weight: float) -> tuple[float, int]:
        """The mean loss of all rows of the batch, and their number, from those of each process and their weight."""
        return loss, rows

    def backward(self, loss: Any) -> None:
        """Give every parameter the gradient of the mean loss that ``mean`` was asked for last."""
        loss.backward()

    def rows(self, *parts: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Arrays with the rows of the whole batch, in rank 0; the others get their parts back."""
        return parts

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag whether it is set in any process."""
        return flags

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in the order of the ranks."""
        return [value]

    def first(self, function: Callable[..., T], *args: Any) -> T:
        """What the function returns in rank 0.  The others do not call it."""
        return function(*args)

    def check_weights(self, model: Any, backend: Backend) -> None:
        """Errors: RuntimeError unless all processes have the same weights."""

    def end(self, trainer: Any) -> None:
        """Make all models what rank 0's is."""


class Group(Single):
    """The processes of an MPI communicator (``mpi4py.MPI.Comm``), which train together."""

    def __init__(self, comm: Any):
        self.comm, self.rank, self.size = comm, comm.rank, comm.size
        self._weight = 0.0  # of this process's rows among those of the batch
        self._buckets: list[Bucket] = []
        self._head = np.zeros(3)
        self.door: Door | None = None  # of processes, which may end by themselves

    def _sum(self, array: NDArray[Any]) -> None:
        self.comm.Allreduce(None, array)  # None: in place

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Also holds BLAS to the threads that are this process's share."""
        from threadpoolctl import threadpool_limits

        try:
            if self.door is not None:
                self.door.meet()
            with threadpool_limits(get_num_threads(), user_api="blas"):
                yield
        except TrainingDiverged:  # raised by all of them, in the same step
            raise
        except BaseException as error:
            self.abort(_story(error))

    def abort(self, message: str, code: int = 1) -> None:
        if self.rank:
            time.sleep(PATIENCE)
        super().abort(f"{message}\nrank {self.rank} of {self.size} failed, and so the run ends in all processes")
        time.sleep(FORWARDING)
        self.comm.Abort(code)

    def begin(self, trainer: Any, loader: Iterable[Any]) -> Iterable[Any]:
        """Check that the processes do the same thing, hand out rank 0's weights, lay the buffers out.

        Errors: ValueError for another model or another number of batches than rank 0 has, and for a
        DataLoader with a batch of fewer rows than there are processes.
        """
        backend = trainer.backend
        parameters = [p for group in trainer.optimizer.param_groups for p in group["params"] if p.requires_grad]
        try:
            batches: Any = len(loader)  # type: ignore[arg-type]
        except TypeError:
            batches = None
        for what, mine in (("a model or optimizer", layout(parameters, backend)), ("a number of batches", batches)):
            if mine != self.comm.bcast(mine):
                raise ValueError(f"rank {self.rank} has {what} that is not rank 0's: every process must build the same")
        self._share_weights(trainer)
        self._buckets = buckets(parameters, backend)
        return loader.shard(self.rank, self.size) if isinstance(loader, DataLoader) else loader

    def _share_weights(self, trainer: Any) -> None:
        weights = self.comm.bcast(copy_weights(trainer.model, trainer.backend) if self.rank == 0 else None)
        if self.rank:
            load_weights(trainer.model, trainer.backend, weights)

    def batches(self, loader: Iterable[Any], run: Run, backend: Backend) -> Iterator[tuple[Any, Any]]:
        set_generators(self.comm.bcast(get_generators(loader)), loader)  # the order of an epoch is drawn by rank 0
        mine = pairs(rest_of_epoch(loader, run), backend)
        if isinstance(loader, DataLoader):
            return mine
        return ((x[part], y[part]) for x, y in mine for part in [share(len(y), self.rank, self.size)])

    def own_generator(self, run: Run) -> contextlib.AbstractContextManager[Any]:
        """It follows from where the epoch began, the step and the rank: there is nothing to save for a resumed run."""
        began = bytes(run.epoch_generators["npnn"])
        told = hashlib.blake2b(began + f"{run.step} {self.rank}".encode(), digest_size=8).digest()
        return random.use_generator(generator.Generator().manual_seed(int.from_bytes(told, "little")))

    def weight(self, loss: Any, targets: Any, backend: Backend) -> float:
        return weight_of(loss, targets, backend)

    def mean(self, loss: float, rows: int, weight: float) -> tuple[float, int]:
        self._head[:] = loss * weight if weight else 0.0, rows, weight  # all ignored: the mean of nothing is nan
        self._sum(self._head)
        total, count, weights = self._head.tolist()
        self._weight = weight / weights if weights else np.nan
        return total / weights if weights else np.nan, int(count)

    def backward(self, loss: Any) -> None:
        if self._weight:  # at one number, not at every gradient
            (loss * self._weight).backward()
        for bucket in self._buckets:
            bucket.sum(self._sum)

    def rows(self, *parts: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        gathered = self.comm.gather(parts)
        return parts if gathered is None else tuple(map(np.concatenate, zip(*gathered, strict=True)))

    def any(self, *flags: bool) -> tuple[bool, ...]:
        counts = np.array(flags, np.int32)
        self._sum(counts)
        return tuple((counts > 0).tolist())

    def gather(self, value: T) -> list[T]:
        return self.comm.allgather(value)

    def first(self, function: Callable[..., T], *args: Any) -> T:
        return self.comm.bcast(function(*args) if self.rank == 0 else None)

    def check_weights(self, model: Any, backend: Backend) -> None:
        sums = [float(backend.array(p).sum()) for p in model.parameters()]
        if sums != self.comm.bcast(sums):
            raise RuntimeError(
                f"the weights of rank {self.rank} are not those of rank 0 any more: they change in the optimizer's "
                "step only, the same in every process (callbacks, which rank 0 alone calls, must not change them)"
            )

    def end(self, trainer: Any) -> None:
        self._share_weights(trainer)


def together(method: Callable[..., T]) -> Callable[..., T]:
    """A method of an object with ``parallel`` that all processes call, and that none may leave by itself."""

    @functools.wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> T:
        with self.parallel.guard():
            return method(self, *args, **kwargs)

    return guarded


@functools.cache
def world() -> Single:
    """All processes that mpiexec started together with this one; a Single without mpiexec, and in their children.

    From then on an error that no program catches ends all of them.
    Errors: ImportError without mpi4py and an MPI library, or if they are not mpiexec's.
    """
    started = next((int(os.environ[name]) for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE") if name in os.environ), 1)
    if started == 1 or multiprocessing.parent_process() is not None:
        return Single()
    try:
        with siblings_counted():
            mpi = importlib.import_module("mpi4py.MPI")
    except (ImportError, RuntimeError) as error:  # RuntimeError: it finds no MPI library
        raise ImportError(f"training in {started} processes needs mpi4py and MPI: pip install npnn[mpi]") from error
    if mpi.COMM_WORLD.size != started:
        raise ImportError(
            f"mpiexec started {started} processes, mpi4py knows of {mpi.COMM_WORLD.size}: mpiexec belongs to another "
            f"MPI than mpi4py's ({mpi.Get_library_version().split(chr(10))[0].strip()})"
        )
    group = Group(mpi.COMM_WORLD)
    group.door = Door(mpi.COMM_WORLD)
    sys.excepthook = lambda kind, error, trace: group.abort(_story(error))
    return group


def _story(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()
