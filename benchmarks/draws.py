"""Random draws beside PyTorch: the same numbers, checked first, and the time of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.timing import alternate

__all__ = ["measure", "table"]

SIZES = (20, 1_000_000)


def _dropout(lib: Any, n: int) -> Callable[[], Any]:
    x, dy = lib.ones(n, requires_grad=True), lib.ones(n)

    def step() -> Any:
        x.grad = None
        lib.nn.functional.dropout(x, 0.3).backward(dy)
        return x.grad

    return step


DRAWS: dict[str, Callable[[Any, int], Callable[[], Any]]] = {
    "rand": lambda lib, n: lambda: lib.rand(n),
    "randn": lambda lib, n: lambda: lib.randn(n),
    "randint": lambda lib, n: lambda: lib.randint(0, 10, (n,)),
    "randperm": lambda lib, n: lambda: lib.randperm(n),
    "bernoulli_": lambda lib, n: (lambda x: lambda: x.bernoulli_(0.3))(lib.empty(n)),
    "dropout, forward and backward": _dropout,
}


def measure(rounds: int = 9) -> list[dict[str, Any]]:
    """Milliseconds of each draw in both, in turn, after both gave the same numbers from one seed."""
    import torch

    import npnn

    rows = []
    for name, make in DRAWS.items():
        for n in SIZES:
            ours, theirs = make(npnn, n), make(torch, n)
            npnn.manual_seed(1), torch.manual_seed(1)
            np.testing.assert_allclose(ours().numpy(), theirs().numpy(), rtol=1e-6, atol=1e-6)
            times = alternate({"npnn": ours, "torch": theirs}, 200 if n < 1000 else 5, rounds)
            rows.append({"draw": name, "n": n, **{peer: 1e3 * t.median for peer, t in times.items()}})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text; a ratio below 1 means that npnn is ahead."""
    lines = ["| draw | elements | npnn ms | torch ms | npnn / torch |", "|---|--:|--:|--:|--:|"]
    for r in rows:
        ratio = r["npnn"] / r["torch"]
        lines.append(f"| {r['draw']} | {r['n']:,} | {r['npnn']:.4f} | {r['torch']:.4f} | {ratio:.2f} |")
    return "\n".join(lines)
