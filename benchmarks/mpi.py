"""What a second process gains in training, beside what a second thread does.

    python -m benchmarks.mpi W2 32 100

trains a workload for that many steps on batches of that size, under mpiexec in as many processes as it
starts, and prints the median time of a step and the last loss.  The whole of ``Trainer.fit`` is timed:
preparing the batches, the gradients, and what the processes tell each other.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import table as tables

__all__ = ["measure", "mpiexec", "table"]

WAYS = {(1, 1): "1 process", (2, 1): "2 processes", (1, 2): "2 threads"}  # (processes, threads of each)
BATCHES = {"W2": (32, 256), "W4": (32, 128)}
TOLERANCE = 5e-3  # of the last loss, relative: the same sums in another order
SETTLE = 5  # steps that are not counted


def mpiexec() -> str | None:
    """The mpiexec of this environment (PyPI's mpich), else that of the system, else None."""
    return shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")


def measure(rounds: int) -> list[dict[str, Any]]:
    """Rows of the table: one for each workload, batch size and way.  The ways take turns, each time in new processes.

    Errors: RuntimeError without mpiexec; AssertionError if the ways lead to different losses.
    """
    from benchmarks.workloads import WORKLOADS

    launcher = mpiexec()
    if launcher is None:
        raise RuntimeError("there is no mpiexec: pip install npnn[mpi]")
    rows = []
    for workload in WORKLOADS:
        for batch in BATCHES.get(workload.name, ()):
            found: dict[tuple[int, int], list[dict[str, float]]] = {way: [] for way in WAYS}
            for i in range(rounds):
                for processes, threads in list(WAYS)[:: 1 if i % 2 == 0 else -1]:
                    command = [sys.executable, "-m", "benchmarks.mpi", workload.name, batch, 4 * workload.steps]
                    command = [launcher, "-n", processes, *command] if processes > 1 else command
                    run = subprocess.run(
                        list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True,
                        env={**os.environ, "NPNN_NUM_THREADS": str(threads)},
                    )  # fmt: skip
                    found[processes, threads].append(json.loads(run.stdout))
            reference = found[1, 1][0]["loss"]
            for (processes, threads), runs in found.items():
                if abs(runs[0]["loss"] / reference - 1) > TOLERANCE:
                    raise AssertionError(
                        f"{workload.name}: {runs[0]['loss']} in {processes} processes, not {reference}"
                    )
                times = [run["ms"] for run in runs]
                median = statistics.median(times)
                low, _, high = statistics.quantiles(times, n=4) if rounds > 1 else (median,) * 3
                rows.append(
                    {
                        "workload": workload.name,
                        "text": workload.text.replace(", batch 32", "").replace(" of 3x32x32", ""),
                        "batch": batch,
                        "processes": processes,
                        "threads": threads,
                        "median_ms": median,
                        "spread": (high - low) / 2 / median,
                        "loss": runs[0]["loss"],
                    }
                )
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line for each workload and batch size: milliseconds, and how much faster than one process with one thread."""
    by = {(r["workload"], r["batch"], r["processes"], r["threads"]): r for r in rows}
    lines = []
    for name, batch in dict.fromkeys((r["workload"], r["batch"]) for r in rows):
        ways = {(n, m): by[name, batch, n, m] for n, m in WAYS}
        times = {way: row["median_ms"] for way, row in ways.items()}
        lines.append(
            [
                f"{name}: {ways[1, 1]['text']}",
                str(batch),
                *[f"{times[way]:.2f}" for way in WAYS],
                *[f"{times[1, 1] / times[way]:.2f}" for way in WAYS if way != (1, 1)],
                f"{max(row['spread'] for row in ways.values()) * 100:.0f}",
            ]
        )
    gains = [f"gain of {way}" for way in list(WAYS.values())[1:]]
    return tables.markdown(["workload", "batch", *[f"{way} ms" for way in WAYS.values()], *gains, "± %"], lines)


def _main(name: str, batch: int, steps: int) -> None:
    from benchmarks.environment import prepare

    prepare()
    import time

    import npnn
    from benchmarks.workloads import WORKLOADS
    from npnn.data import DataLoader, TensorDataset
    from npnn.train import Callback, Trainer
    from npnn.train.parallel import world

    class Clock(Callback):
        def __init__(self) -> None:
            self.times: list[float] = []

        def on_step_end(self, trainer: Trainer) -> None:
            self.times.append(time.perf_counter())

    (workload,) = [w for w in WORKLOADS if w.name == name]
    npnn.manual_seed(0)
    model = workload.build(npnn.nn)
    optimizer = getattr(npnn.optim, workload.optimizer)(model.parameters(), **workload.options)
    clock = Clock()
    trainer = Trainer(
        model, npnn.nn.CrossEntropyLoss(), optimizer, metrics=(), callbacks=[clock], progress=False
    )  # fmt: skip
    loader = DataLoader(TensorDataset(*workload.batch(4 * batch)), batch, shuffle=True)
    history = trainer.fit(loader, max_steps=steps + SETTLE)
    if world().rank == 0:
        taken = [after - before for before, after in zip(clock.times, clock.times[1:], strict=False)]
        print(json.dumps({"ms": statistics.median(taken[SETTLE - 1 :]) * 1e3, "loss": history.step_losses[-1]}))


if __name__ == "__main__":
    _main(sys.argv[1], *map(int, sys.argv[2:]))
