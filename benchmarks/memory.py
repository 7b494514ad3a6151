"""The peak memory of a training step, each in a process of its own.

    python -m benchmarks.memory W4 npnn

prints how far the resident memory rose, in MB, from the imports (before the model exists) to the
peak of the first three steps: weights, optimiser state, activations, gradients and scratch space.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

__all__ = ["peak_of"]


def _status(key: str) -> float:
    with open("/proc/self/status") as f:
        for line in f:
            if line.startswith(key):
                return int(line.split()[1]) / 1024
    raise LookupError(key)


def peak_of(workload: str, peer: str) -> float | None:
    """MB, or None where the system does not tell (anything but Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    command = [sys.executable, "-m", "benchmarks.memory", workload, peer]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _main(workload_name: str, peer_name: str) -> None:
    from benchmarks.environment import prepare

    prepare()
    from benchmarks.peers import PEERS, initial_state
    from benchmarks.workloads import WORKLOADS

    def steps(workload: Any) -> None:
        step = kind(workload, initial_state(workload)).trainer(workload.batch())
        for _ in range(3):
            step()

    (workload,) = [w for w in WORKLOADS if w.name == workload_name]
    (kind,) = [p for p in PEERS if p.name == peer_name]
    small = [w for w in WORKLOADS if w.name == "W7"]
    steps(small[0])  # libraries load and kernels compile here, before the count begins
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")  # the peak starts anew
    before = _status("VmRSS")
    steps(workload)
    print(round(_status("VmHWM") - before, 1))


if __name__ == "__main__":
    _main(*sys.argv[1:])
