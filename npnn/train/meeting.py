"""Whether all processes that mpiexec started come to train: one that ended before leaves the others waiting for ever.

Twice it must be seen.  MPI begins when all processes begin it, and until then no call of MPI returns: so a small
process beside this one counts its siblings.  Later the processes meet at the door of each training, and one that
ends instead leaves a message there.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Door", "siblings_counted"]

LEFT = 2024  # tag of the message that a process leaves
POLL = 0.001  # seconds between two looks at the door

# counts the children of mpiexec's helper, which ends all of them as soon as one is killed
WATCH = """
import os, signal, sys, time
me, helper, expected = map(int, sys.argv[1:])

def siblings():
    found = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        found += int(parent) == helper and state not in "ZX"
    return found

while os.getppid() == me and siblings() >= expected:
    time.sleep(0.2)
if os.getppid() == me:
    print("error: one of the processes that mpiexec started ended before training began, and the others would wait "
          "for it for ever: so all end", file=sys.stderr, flush=True)
    time.sleep(0.2)
    os.kill(me, signal.SIGKILL)
"""


@contextlib.contextmanager
def siblings_counted() -> Iterator[None]:
    """Inside the block, the end of a process that mpiexec started on this machine is the end of all.

    Only where the system tells who is there (Linux, MPICH's mpiexec).
    """
    expected = os.environ.get("MPI_LOCALNRANKS", "")
    if not (Path("/proc/self/stat").exists() and expected.isdigit()):
        yield
        return
    # the numbers are this system's own, the program is the text above
    words = [str(os.getpid()), str(os.getppid()), expected]
    watch = subprocess.Popen([sys.executable, "-I", "-S", "-c", WATCH, *words])
    try:
        yield
    finally:
        watch.kill()
        watch.wait()


class Door:
    """Where the processes of a communicator meet before each training."""

    def __init__(self, comm: Any):
        self.comm = comm
        atexit.register(self.leave)

    def meet(self) -> None:
        """Wait for all.   Errors: RuntimeError if one has left."""
        arrived = self.comm.Ibarrier()
        while not arrived.Test():
            if self.comm.Iprobe(tag=LEFT):
                raise RuntimeError(
                    f"rank {self.comm.recv(tag=LEFT)} has ended, and does not train: every process must call fit"
                )
            time.sleep(POLL)

    def leave(self) -> None:
        """Tell the others, at the end of the process, that they need not wait at the door."""
        for rank in range(self.comm.size):
            if rank != self.comm.rank:
                self.comm.isend(self.comm.rank, rank, tag=LEFT)
