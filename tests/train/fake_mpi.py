"""Ranks that are threads of this process: what mpi4py's communicator does, for tests."""

from __future__ import annotations

import pickle
import threading

import numpy as np

from npnn import generator, random
from npnn.train.parallel import Group


class Aborted(BaseException):
    """What Abort raises here; there it ends the process."""


class Comm:
    """One rank's end of a communicator."""

    def __init__(self, rank, slots, barrier):
        self.rank, self.size, self.slots, self.barrier = rank, len(slots), slots, barrier
        self.messages = 0

    def allgather(self, value):
        self.messages += 1
        self.slots[self.rank] = pickle.dumps(value)
        self.barrier.wait()
        values = [pickle.loads(slot) for slot in self.slots]
        self.barrier.wait()
        return values

    def gather(self, value):
        values = self.allgather(value)
        return values if self.rank == 0 else None

    def bcast(self, value):
        return self.allgather(value)[0]

    def Allreduce(self, in_place, array):  # noqa: N802  MPI's spelling
        assert in_place is None
        assert array.flags.c_contiguous
        array[...] = np.sum(self.allgather(array), axis=0)

    def Abort(self, code):  # noqa: N802
        self.barrier.abort()
        raise Aborted(code)


def run(ranks, work, seeds=None):
    """What ``work(group)`` returns or raises in each rank; each begins with a generator of its own."""
    slots, barrier = [None] * ranks, threading.Barrier(ranks, timeout=60)
    results = [None] * ranks

    def target(rank):
        try:
            with random.use_generator(generator.Generator().manual_seed(seeds[rank] if seeds else 0)):
                results[rank] = work(Group(Comm(rank, slots, barrier)))
        except BaseException as error:
            results[rank] = error

    threads = [threading.Thread(target=target, args=(rank,)) for rank in range(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
