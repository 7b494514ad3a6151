"""Scripts written for PyTorch, run as they are by PyTorch and by npnn: does each run, how fast, with the same numbers?

    python -m benchmarks scripts train.py examples/*.py

Each run is a process in an empty folder, without windows.  Both frameworks take turns.  "Same numbers" counts the
numbers with a decimal point that both printed, in order, and those among them that agree to four digits: a script
that sets no seed, or prints the time, has others.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.table import markdown

__all__ = ["measure", "same", "table"]

PEERS = {"npnn": ["-m", "npnn.torch"], "torch": []}
NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]?\d+)?")


def _run(peer: str, script: Path, limit: float) -> tuple[float, str, str]:
    """Seconds, what it printed, and the last line of its error ("" if it has none)."""
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": os.pathsep.join(sys.path[1:])}
        start = time.perf_counter()
        try:
            done = subprocess.run(
                [sys.executable, *PEERS[peer], str(script)],
                cwd=folder, env=env, capture_output=True, text=True, timeout=limit, check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return limit, "", f"more than {limit:g} seconds"
        seconds = time.perf_counter() - start
    error = (done.stderr.strip().splitlines() or ["ended with an error"])[-1] if done.returncode else ""
    return seconds, done.stdout, error


def same(a: str, b: str) -> tuple[int, int]:
    """How many of the numbers printed agree to four digits, and how many there are in the longer of two outputs."""
    left, right = ([float(n) for n in NUMBER.findall(text)] for text in (a, b))
    equal = sum(abs(x - y) <= 5e-4 * max(abs(x), abs(y)) for x, y in zip(left, right, strict=False))
    return equal, max(len(left), len(right))


def measure(scripts: Sequence[Path], rounds: int = 1, limit: float = 300.0) -> list[dict[str, Any]]:
    """A row for each script; the seconds are the least of the rounds.   Errors: FileNotFoundError without the script."""
    rows = []
    for script in (Path(s).resolve() for s in scripts):
        if not script.is_file():
            raise FileNotFoundError(f"there is no script {script}")
        runs: dict[str, list[tuple[float, str, str]]] = {peer: [] for peer in PEERS}
        for _ in range(rounds):
            for peer, results in runs.items():
                results.append(_run(peer, script, limit))
        errors = {peer: next((e for _, _, e in results if e), "") for peer, results in runs.items()}
        equal, numbers = same(runs["npnn"][0][1], runs["torch"][0][1])
        rows.append({
            "script": script.name, "equal": equal, "numbers": numbers, "errors": errors,
            "seconds": {peer: min(s for s, _, _ in results) for peer, results in runs.items()},
        })  # fmt: skip
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        own, torchs = row["seconds"]["npnn"], row["seconds"]["torch"]
        failed = [f"{peer}: {error}" for peer, error in row["errors"].items() if error]
        told = [f"{own:.1f}", f"{torchs:.1f}", "" if failed else f"{own / torchs:.2f}"]
        lines.append([row["script"], *told, f"{row['equal']} of {row['numbers']}", "; ".join(failed)])
    return markdown(["script", "npnn s", "torch s", "npnn / torch", "same numbers", "what failed"], lines)
