"""How the time of a training step grows with the batch, the width, the image and the length of a sequence, beside PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import table as tables
from benchmarks.timing import alternate

__all__ = ["draw", "measure", "table"]


@dataclass(frozen=True)
class Series:
    """A network over sizes: what grows, the sizes, and (model, input shape) for a size."""

    grows: str
    name: str
    sizes: tuple[int, ...]
    build: Callable[[Any, int], tuple[Any, tuple[int, ...]]]


def _mlp(nn: Any, width: int) -> Any:
    return nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))


def _cnn(nn: Any, channels: int) -> Any:
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(2 * channels, 10),
    )  # fmt: skip


def _recurrent(nn: Any, kind: str, hidden: int) -> Any:
    class Last(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = getattr(nn, kind)(16, hidden, batch_first=True), nn.Linear(hidden, 10)

        def forward(self, x: Any) -> Any:
            return self.head(self.layer(x)[0][:, -1])

    return Last()


POWERS = tuple(2**k for k in range(12))
SERIES = [
    Series("batch", "MLP 784-256-256-10", POWERS[:11:2], lambda nn, n: (_mlp(nn, 256), (n, 784))),
    Series("batch", "CNN of 16 and 32 channels", POWERS[:9:2], lambda nn, n: (_cnn(nn, 16), (n, 3, 32, 32))),
    Series("batch", "LSTM 128", POWERS[:9:2], lambda nn, n: (_recurrent(nn, "LSTM", 128), (n, 32, 16))),
    Series("width", "MLP 784-256-256-10", POWERS[4:12], lambda nn, w: (_mlp(nn, w), (64, 784))),
    Series("width", "CNN of 16 and 32 channels", POWERS[2:8], lambda nn, c: (_cnn(nn, c), (16, 3, 32, 32))),
    Series("width", "LSTM 128", POWERS[3:10], lambda nn, h: (_recurrent(nn, "LSTM", h), (32, 32, 16))),
    Series("pixels of a side", "CNN of 16 and 32 channels", POWERS[2:8], lambda nn, s: (_cnn(nn, 16), (16, 3, s, s))),
    Series("steps of a sequence", "RNN 128", POWERS[1:10], lambda nn, t: (_recurrent(nn, "RNN", 128), (32, t, 16))),
    Series("steps of a sequence", "LSTM 128", POWERS[1:10], lambda nn, t: (_recurrent(nn, "LSTM", 128), (32, t, 16))),
    Series("steps of a sequence", "GRU 128", POWERS[1:10], lambda nn, t: (_recurrent(nn, "GRU", 128), (32, t, 16))),
]  # fmt: skip


def _step(lib: Any, series: Series, size: int) -> Callable[[], Any]:
    lib.manual_seed(0)
    model, shape = series.build(lib.nn, size)
    rng = np.random.default_rng(0)
    x, y = lib.tensor(rng.standard_normal(shape, np.float32)), lib.tensor(rng.integers(0, 10, shape[0]))
    optimizer, loss_fn = lib.optim.SGD(model.parameters(), lr=0.01), lib.nn.CrossEntropyLoss()

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def measure(rounds: int, threads: int) -> list[dict[str, Any]]:
    """Milliseconds of a step in both, one row a size; the first losses are compared before."""
    import torch
    from tqdm.auto import tqdm

    import npnn

    npnn.set_num_threads(threads), torch.set_num_threads(threads)
    rows = []
    points = [(series, size) for series in SERIES for size in series.sizes]
    for series, size in tqdm(points, unit="size", leave=False):
        steps = {"npnn": _step(npnn, series, size), "torch": _step(torch, series, size)}
        np.testing.assert_allclose(steps["npnn"](), steps["torch"](), rtol=1e-3, err_msg=f"{series.name}, {size}")
        once = alternate({"torch": steps["torch"]}, 3, 1)["torch"].median
        times = alternate(steps, int(min(100, max(3, 0.02 / once))), rounds)
        ours, theirs = (1e3 * times[peer].median for peer in ("npnn", "torch"))
        rows.append({"grows": series.grows, "network": series.name, "size": size, "npnn_ms": ours, "torch_ms": theirs,
                     "ratio": ours / theirs, "threads": threads})  # fmt: skip
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """One line a network and kind of size: the ratio at each size."""
    lines: dict[tuple[str, str], list[str]] = {}
    for r in rows:
        lines.setdefault((r["grows"], r["network"]), []).append(f"{r['size']}: {r['ratio']:.2f}")
    return tables.markdown(
        ["grows, network", "npnn / torch at each size"], [[", ".join(k), ", ".join(v)] for k, v in lines.items()]
    )


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    from npnn import plot

    series: dict[str, dict[str, dict[str, list[tuple[float, float]]]]] = {}
    for r in rows:
        runs = series.setdefault(r["grows"], {}).setdefault(r["network"], {"npnn": [], "torch": []})
        runs["npnn"].append((r["size"], r["npnn_ms"]))
        runs["torch"].append((r["size"], r["torch_ms"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    plot.save(plot.growth(series), path)
