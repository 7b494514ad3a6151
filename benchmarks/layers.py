"""Single layers beside PyTorch, forward and backward: at the shapes that courses use, or at shapes drawn at random.

    python -m benchmarks layers                          # the shapes of courses
    python -m benchmarks layers --random 200 --seed 1    # kinds, sizes, windows, strides and dtypes at random

Both frameworks get the same numbers.  The results and all gradients are compared first; then both take turns.
Images lie in memory as each framework keeps them between layers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.layer_cases import Case
from benchmarks.table import markdown
from benchmarks.timing import alternate

__all__ = ["Peer", "compare", "measure", "table"]


class Peer:
    """One framework's copy of a case: the layer, its inputs and the gradient of the result."""

    def __init__(self, lib: Any, case: Case, arrays: list[Any], weights: Any = None):
        lib.manual_seed(0)
        before = lib.get_default_dtype()
        lib.set_default_dtype(getattr(lib, case.dtype))
        try:
            self.layer = case.build(lib)
        finally:
            lib.set_default_dtype(before)
        self.channels_last = lib.__name__ == "npnn" and case.kind != "attention"
        self.inputs = [lib.from_numpy(self.kept(a)).requires_grad_() for a in arrays]
        module = getattr(self.layer, "layer", self.layer)
        self.parameters = list(module.parameters()) if hasattr(module, "parameters") else []
        y = self.layer(*self.inputs)
        self.dy = lib.from_numpy(self.kept(np.random.default_rng(1).standard_normal(tuple(y.shape)).astype(case.dtype)))

    def kept(self, array: Any) -> Any:
        """A copy in the order of memory in which the framework keeps images between layers."""
        if array.ndim == 4 and self.channels_last:
            return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        return array.copy()

    def step(self) -> Any:
        for x in (*self.inputs, *self.parameters):
            x.grad = None
        y = self.layer(*self.inputs)
        y.backward(self.dy)
        return y

    def numbers(self) -> list[Any]:
        y = self.step()
        return [y.detach().numpy(), *[x.grad.numpy() for x in (*self.inputs, *self.parameters)]]


def compare(ours: Peer, theirs: Peer, case: Case) -> float:
    """The largest difference of results and gradients, as a share of the largest number.

    Errors: AssertionError where rounding cannot explain it.
    """
    worst = 0.0
    for a, b in zip(ours.numbers(), theirs.numbers(), strict=True):
        scale = max(float(np.abs(b).max(initial=0.0)), 1e-3)
        worst = max(worst, float(np.abs(a - b).max(initial=0.0)) / scale)
    # in float64 1e-7, as PyTorch's slope of Hardsigmoid is the sixth of a float32 there as well
    if not worst < (1e-3 if case.dtype == "float32" else 1e-7):
        raise AssertionError(f"{case}: npnn and torch differ by {worst:.1e}")
    return worst


def measure(cases: list[Case], rounds: int, threads: int) -> list[dict[str, Any]]:
    """Milliseconds of a forward and backward pass in both, and their ratio, one row a case."""
    import torch
    from tqdm.auto import tqdm

    import npnn

    npnn.set_num_threads(threads), torch.set_num_threads(threads)
    rows = []
    for case in tqdm(cases, unit="layer", leave=False):
        rng = np.random.default_rng(0)
        arrays = [rng.standard_normal(shape).astype(case.dtype) for shape in case.shapes]
        ours, theirs = Peer(npnn, case, arrays), Peer(torch, case, arrays)
        apart = compare(ours, theirs, case)
        once = alternate({"torch": theirs.step}, 3, 1)["torch"].median
        steps = int(min(200, max(3, 0.02 / once)))
        times = alternate({"npnn": ours.step, "torch": theirs.step}, steps, rounds)
        npnn_ms, torch_ms = (1e3 * times[peer].median for peer in ("npnn", "torch"))
        rows.append({"kind": case.kind, "case": str(case), "npnn_ms": npnn_ms, "torch_ms": torch_ms,
                     "ratio": npnn_ms / torch_ms, "difference": apart, "threads": threads})  # fmt: skip
    return rows


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def table(rows: list[dict[str, Any]]) -> str:
    """One line a case, and a summary by kind; a ratio below 1 means that npnn is ahead."""
    lines = [[r["case"], f"{r['npnn_ms']:.3f}", f"{r['torch_ms']:.3f}", f"{r['ratio']:.2f}"] for r in rows]
    text = markdown(["layer, input", "npnn ms", "torch ms", "npnn / torch"], lines)
    kinds: dict[str, list[float]] = {}
    for r in rows:
        kinds.setdefault(r["kind"], []).append(r["ratio"])
    kinds["all"] = [r["ratio"] for r in rows]
    summary = [
        [kind, str(len(v)), f"{geometric_mean(v):.2f}", f"{max(v):.2f}", str(sum(x > 1.1 for x in v))]
        for kind, v in kinds.items()
    ]
    return f"{text}\n\n" + markdown(["kind", "cases", "geometric mean", "largest", "above 1.1"], summary)
