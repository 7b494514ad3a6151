"""Single layers over sizes: how cost grows with batch, channels, image size and sequence length.

Each point is a forward and a backward pass, on images in the order of memory in which the framework
keeps them between layers: channels last in npnn, channels first in PyTorch.  The roofline sets the
rate that a layer reaches, in GFLOP/s, against what the machine could do for its arithmetic
intensity (flops per byte of input, output and weights that must move at least once): the lower of
the measured bandwidth times the intensity, and the measured peak.

Source: Williams, Waterman & Patterson, Roofline, CACM 52(4), 2009.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import table as tables
from benchmarks.peers import Npnn, Torch
from benchmarks.timing import alternate

__all__ = ["draw", "measure", "table"]


@dataclass(frozen=True)
class Case:
    """One layer at one size."""

    family: str  # what is drawn as one line
    size: str
    build: Callable[[Any], Any]
    input_shape: tuple[int, ...]
    flops: float  # forward and both gradients
    weights: int = 0

    def bytes(self, output_size: int) -> float:
        """Input and output once forward, both with their gradients once backward; weights read twice, written once."""
        return 4 * (3 * np.prod(self.input_shape) + 3 * output_size + 3 * self.weights)


def _linear(n: int, i: int, o: int) -> Case:
    return Case("linear", f"{n} x {i} to {o}", lambda nn: nn.Linear(i, o), (n, i), 6 * n * i * o, i * o)


def _conv(n: int, c: int, o: int, size: int, kernel: int = 3) -> Case:
    weights = c * o * kernel * kernel
    return Case(
        f"conv {kernel}x{kernel}", f"{n} x {c} to {o}, {size}x{size}",
        lambda nn: nn.Conv2d(c, o, kernel, padding=kernel // 2), (n, c, size, size),
        6 * n * size * size * weights, weights,
    )  # fmt: skip


def _passes(family: str, build: Callable[[Any], Any], n: int, c: int, size: int, per_element: float) -> Case:
    return Case(family, f"{n} x {c}, {size}x{size}", build, (n, c, size, size), per_element * n * c * size * size)


def _rnn(kind: str, gates: int, n: int, t: int, hidden: int) -> Case:
    weights = gates * hidden * (hidden + 1)
    return Case(
        kind, f"{n} x {t}, hidden {hidden}", lambda nn: getattr(nn, kind)(1, hidden, batch_first=True), (n, t, 1),
        6 * n * t * weights, weights,
    )  # fmt: skip


def cases() -> list[Case]:
    return [
        *[_linear(n, 784, 600) for n in (1, 8, 32, 128, 512)],
        *[_linear(128, k, k) for k in (64, 256, 1024)],
        *[_conv(n, 128, 128, 16) for n in (1, 8, 32)],
        *[_conv(32, c, c, 16) for c in (16, 24, 32, 64, 256)],
        *[_conv(32, 128, 128, s) for s in (2, 4, 8, 32)],
        *[_conv(32, c, c, 16, 1) for c in (64, 256)],
        *[_conv(32, 32, 32, 16, 5)],
        *[_passes("max-pool 3/2", lambda nn: nn.MaxPool2d(3, 2, 1), 32, 64, s, 3) for s in (8, 16, 32)],
        *[_passes("batch norm", lambda nn: nn.BatchNorm2d(64), 32, 64, s, 14) for s in (8, 16, 32)],
        *[_passes("ReLU", lambda nn: nn.ReLU(), 32, 64, s, 2) for s in (8, 16, 32)],
        *[_rnn("RNN", 1, 128, t, 128) for t in (5, 19, 50)],
        *[_rnn("LSTM", 4, 128, t, 128) for t in (5, 19, 50)],
        *[_rnn("GRU", 3, 128, t, 128) for t in (5, 19, 50)],
    ]


def machine_peak() -> float:
    """GFLOP/s of a 1536-cube product of float32 matrices on all threads, the best of ten."""
    import npnn

    a = npnn.randn(1536, 1536)
    times = alternate({"product": lambda: a @ a}, steps=10, rounds=1)
    return 2 * 1536**3 / times["product"].min / 1e9


def machine_bandwidth() -> float:
    """GB/s of y <- relu(x) over 256 MB, read and write, on all threads, the best of ten."""
    import npnn

    relu, x = npnn.nn.ReLU(), npnn.randn(1 << 25)
    times = alternate({"pass": lambda: relu(x)}, steps=10, rounds=1)
    return 2 * 4 * (1 << 25) / times["pass"].min / 1e9


def _as_between_layers(lib: Any, array: Any) -> Any:
    """An array in the order of memory that the framework's own layers would give it."""
    if array.ndim == 4 and lib.__name__ == Npnn.name:
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return array


def _forward_and_backward(lib: Any, case: Case, x: Any, state: dict[str, Any]) -> tuple[Callable[[], Any], int]:
    layer = case.build(lib.nn)
    layer.load_state_dict({k: lib.tensor(v) for k, v in state.items()})
    x = lib.tensor(_as_between_layers(lib, x))
    x.requires_grad = True

    def output() -> Any:
        y = layer(x)
        return y[0] if isinstance(y, tuple) else y

    first = output()
    cotangent = np.random.default_rng(1).standard_normal(tuple(first.shape), np.float32)
    cotangent = lib.tensor(_as_between_layers(lib, cotangent))

    def run() -> Any:
        x.grad = None
        for p in layer.parameters():
            p.grad = None
        y = output()
        y.backward(cotangent)
        return x.grad

    return run, int(np.prod(tuple(first.shape)))


def measure(rounds: int) -> list[dict[str, Any]]:
    """Rows of one layer at one size, npnn beside torch; the gradients are compared first."""
    from tqdm.auto import tqdm

    import npnn

    peak, bandwidth = machine_peak(), machine_bandwidth()
    rows = []
    for case in tqdm(cases(), unit="size", leave=False):
        npnn.manual_seed(0)
        x = np.random.default_rng(0).standard_normal(case.input_shape, np.float32)
        state = {k: np.array(v) for k, v in case.build(npnn.nn).state_dict().items()}
        peers: dict[str, Any] = {"npnn": npnn}
        if Torch.available():
            import torch

            peers["torch"] = torch
        runs = {name: _forward_and_backward(lib, case, x, state) for name, lib in peers.items()}
        results = {name: np.asarray(run()) for name, (run, _) in runs.items()}
        if "torch" in results:
            np.testing.assert_allclose(results["npnn"], results["torch"], rtol=1e-2, atol=1e-3, err_msg=case.family)
        start = alternate({"npnn": runs["npnn"][0]}, steps=2, rounds=1)["npnn"].median
        steps = int(min(200, max(3, 0.02 / start)))
        times = alternate({name: run for name, (run, _) in runs.items()}, steps, rounds)
        moved = case.bytes(runs["npnn"][1])
        for name, taken in times.items():
            rows.append(
                {
                    "family": case.family,
                    "size": case.size,
                    "peer": name,
                    "median_ms": taken.median * 1e3,
                    "min_ms": taken.min * 1e3,
                    "ratio_to_torch": taken.median / times["torch"].median if "torch" in times else None,
                    "gflops": case.flops / taken.median / 1e9,
                    "flops_per_byte": case.flops / moved,
                    "peak_gflops": peak,
                    "bandwidth_gb": bandwidth,
                    "threads": npnn.get_num_threads(),
                }
            )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """npnn beside torch, one line a size."""
    torch_ms = {(r["family"], r["size"]): r["median_ms"] for r in rows if r["peer"] == Torch.name}
    lines = []
    for r in rows:
        if r["peer"] == Npnn.name:
            other = torch_ms.get((r["family"], r["size"]))
            lines.append(
                [f"{r['family']}, {r['size']}", f"{r['median_ms']:.3f}", f"{other:.3f}" if other else "",
                 f"{r['ratio_to_torch']:.2f}" if other else "", f"{r['gflops']:.0f}", f"{r['flops_per_byte']:.1f}"]
            )  # fmt: skip
    return tables.markdown(["layer, size", "npnn ms", "torch ms", "ratio", "npnn GFLOP/s", "flops/byte"], lines)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """The roofline: every layer's rate against its arithmetic intensity, under the machine's two limits."""
    from npnn import plot

    points: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for r in rows:
        points.setdefault(r["family"], {}).setdefault(r["peer"], []).append((r["flops_per_byte"], r["gflops"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    plot.save(plot.roofline(points, rows[0]["peak_gflops"], rows[0]["bandwidth_gb"]), path)
