"""The user's first seconds: importing npnn, and the first finished step with an empty and a warm cache."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any

__all__ = ["measure"]

_IMPORT = "import time; t = time.perf_counter(); import npnn; print(time.perf_counter() - t)"
_FIRST_STEP = """
import time
start = time.perf_counter()
from benchmarks.environment import prepare
prepare()
from benchmarks.peers import Npnn
from benchmarks.workloads import WORKLOADS
import npnn
workload = [w for w in WORKLOADS if w.name == {name!r}][0]
npnn.manual_seed(0)
state = {{k: v.numpy() for k, v in workload.build(npnn.nn).state_dict().items()}}
float(Npnn(workload, state).trainer(workload.batch())())
print(time.perf_counter() - start)
"""


def _seconds(code: str, **environment: str) -> float:
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return float(run.stdout)


def measure(repeats: int = 5) -> list[dict[str, Any]]:
    """Rows of (what, seconds, target); medians but for the empty cache, which is filled once."""
    rows = [
        {"what": "import npnn", "seconds": statistics.median(_seconds(_IMPORT) for _ in range(repeats)), "target": 0.25}
    ]
    for name, warm_target, cold_target in (("W1", 1.0, 5.0), ("W4", 1.5, 25.0)):
        code = _FIRST_STEP.format(name=name)
        with tempfile.TemporaryDirectory() as cache:
            cold = _seconds(code, NUMBA_CACHE_DIR=cache)
            warm = statistics.median(_seconds(code, NUMBA_CACHE_DIR=cache) for _ in range(repeats))
        rows.append({"what": f"first step of {name}, empty cache", "seconds": cold, "target": cold_target})
        rows.append({"what": f"first step of {name}, warm cache", "seconds": warm, "target": warm_target})
    return rows
