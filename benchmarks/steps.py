"""Whole training steps and predictions of every workload, peer beside peer."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import bound
from benchmarks.memory import peak_of
from benchmarks.peers import PEERS, Peer, initial_state
from benchmarks.timing import alternate
from benchmarks.workloads import Workload

__all__ = ["measure"]

#: Losses of the first three steps may differ by this, relative: float32 sums in another order, and Adam, which
#: makes a whole step of the sign of a gradient that is nearly 0.
TOLERANCE = 5e-3


def _peers(workload: Workload) -> dict[str, Peer]:
    state = initial_state(workload)
    peers = {}
    for kind in PEERS:
        if kind.available():
            try:
                peers[kind.name] = kind(workload, state)
            except LookupError:
                continue
    return peers


def check(workload: Workload, tolerance: float = TOLERANCE) -> None:
    """Three steps from the same weights on the same batch must give every peer the same losses.

    A benchmark of wrong answers is worth nothing.  Errors: AssertionError naming the peers.
    """
    batch = workload.batch()
    losses: dict[str, list[float]] = {}
    for name, peer in _peers(workload).items():
        step = peer.trainer(batch)
        losses[name] = [step().item() for _ in range(3)]
    reference = losses["torch"] if "torch" in losses else losses["npnn"]
    for name, values in losses.items():
        if not np.allclose(values, reference, rtol=tolerance):
            raise AssertionError(f"{workload.name}: {name} gives the losses {values}, expected {reference}")


def measure(workload: Workload, rounds: int, threads: int, memory: bool, scaling: bool = False) -> list[dict[str, Any]]:
    """Rows of the table: one per peer for the training step, and for prediction where asked.

    ``scaling``: only for what the threads gain, which is told of npnn and torch.
    """
    check(workload)
    modes = {"": workload.batch()}
    if workload.inference:
        modes |= {f", prediction, batch {n}": workload.batch(n) for n in (workload.input_shape[0], 1)}
    rows = []
    for suffix, batch in modes.items():
        peers = _peers(workload)
        for peer in peers.values():
            peer.set_threads(threads)
        training = not suffix
        if not training or scaling:  # in prediction torch fused is torch, and JAX has no predictor
            peers = {n: p for n, p in peers.items() if n in ("npnn", "torch")}
        functions = {n: (p.trainer(batch) if training else p.predictor(batch)) for n, p in peers.items()}
        steps = workload.steps if training else workload.steps * (20 if suffix.endswith(" 1") else 3)
        times = alternate(functions, steps, rounds)
        base = times["torch"].median if "torch" in times else None
        least = bound.milliseconds(workload, threads) if training else None
        for name, taken in times.items():
            compared = memory and workload.memory and training and threads > 1 and name in ("npnn", "torch")
            peak = peak_of(workload.name, name) if compared else None
            rows.append(
                {
                    "workload": workload.name + suffix,
                    "text": workload.text,
                    "peer": name,
                    "median_ms": taken.median * 1e3,
                    "min_ms": taken.min * 1e3,
                    "spread": taken.spread,
                    "ratio_to_torch": taken.median / base if base else None,
                    "target": workload.target if training else 1.0,
                    "bound_ms": least,
                    "peak_mb": peak,
                    "threads": threads,
                }
            )
    return rows
