"""How far rounding alone drives two runs of one program apart, and how far npnn and PyTorch are apart.

A network of three 3×3 convolutions learns the handwritten digits for 200 steps, from the same
weights, on the same batches: in PyTorch; in PyTorch again with its images in the other order of
memory, which changes nothing but the order of its sums; in npnn, with and without Winograd's
algorithm; and in npnn in float64, against PyTorch in float64.

Training is chaotic: a difference of one rounding error grows from step to step, and Adam turns
the sign of a gradient that is almost zero into a whole step.  What two float32 runs of PyTorch
differ by is what no third one can be asked to stay below.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import table as tables

__all__ = ["measure", "table"]

STEPS, BATCH, SEEDS = 200, 32, 5
OPTIMIZERS = {"Adam": 1e-3, "SGD": 5e-2}


def build(nn: Any) -> Any:
    """Three convolutions of 3×3, of which the second and the third take Winograd's form."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1024, 10),
    )  # fmt: skip


def _losses(lib: Any, model: Any, optimizer: str, batches: list[Any]) -> NDArray[Any]:
    optimizer = getattr(lib.optim, optimizer)(model.parameters(), lr=OPTIMIZERS[optimizer])
    loss_fn, losses = lib.nn.CrossEntropyLoss(), []
    for x, y in batches:
        loss = loss_fn(model(lib.tensor(x)), lib.tensor(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def measure() -> list[dict[str, Any]]:
    """Rows with the largest difference of the training losses, one per optimiser, seed and pair of runs."""
    import torch
    from tqdm.auto import tqdm

    import npnn
    from npnn.data import load_digits
    from npnn.kernels import conv

    data = load_digits()
    images, labels = data.train_x, data.train_y
    rows = []
    for optimizer, seed in tqdm([(o, s) for o in OPTIMIZERS for s in range(SEEDS)], unit="run", leave=False):
        npnn.manual_seed(seed)
        state = {k: np.array(v) for k, v in build(npnn.nn).state_dict().items()}
        rng = np.random.default_rng(seed)
        batches = [(images[i], labels[i]) for i in rng.integers(0, len(images), (STEPS, BATCH))]

        def run(
            lib: Any, dtype: str = "float32", channels_last: bool = False, winograd: bool = True,
            state: Any = state, optimizer: str = optimizer, batches: Any = batches,
        ) -> NDArray[Any]:  # fmt: skip
            model = build(lib.nn)
            model.load_state_dict({k: lib.tensor(v) for k, v in state.items()})
            if dtype == "float64":
                model, batches = model.double(), [(x.astype(dtype), y) for x, y in batches]
            if channels_last:
                model = model.to(memory_format=torch.channels_last)
            conv.use_winograd(winograd)
            try:
                return _losses(lib, model, optimizer, batches)
            finally:
                conv.use_winograd(True)

        torch32, torch64 = run(torch), run(torch, "float64")
        gaps = {
            "torch, channels last": run(torch, channels_last=True) - torch32,
            "npnn": run(npnn) - torch32,
            "npnn without Winograd": run(npnn, winograd=False) - torch32,
            "npnn in float64": run(npnn, "float64") - torch64,
        }
        rows += [
            {"optimizer": optimizer, "seed": seed, "run": name, "steps": STEPS, "gap": float(np.abs(gap).max())}
            for name, gap in gaps.items()
        ]
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The median and the range over the seeds."""
    lines = []
    for name in dict.fromkeys(r["run"] for r in rows):
        cells = []
        for optimizer in OPTIMIZERS:
            gaps = [r["gap"] for r in rows if r["run"] == name and r["optimizer"] == optimizer]
            cells.append(f"{np.median(gaps):.0e} ({min(gaps):.0e} to {max(gaps):.0e})")
        lines.append([name, *cells])
    return tables.markdown(["run", *(f"{o}, lr {lr:g}" for o, lr in OPTIMIZERS.items())], lines)
