"""The figure of all palindrome experiments together: who remembers the first digit, and why the others do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import npnn
from experiments.harness.numbers import history_of
from npnn.train import History

__all__ = ["gradient_by_digit", "overview", "share_seen", "steps_to_all"]

CELLS = {"RNN": "", "LSTM": "lstm-", "GRU": "gru-"}  # label: prefix of the variants
COLLAPSE = {
    "raw-T20": "as reported",
    "normal-T20": "N(0, .1) weights",
    "raw-T20-steplr": "StepLR",
    "T20": "remembering",
}


def overview(rows: Mapping[str, Any], build: Callable[[Any, str], Any]) -> Any:
    """Six panels, from those of the variants that ran; ``build(nn, init)`` makes an untrained network."""
    from matplotlib.ticker import MaxNLocator

    from npnn import plot
    from npnn.plot import style

    sheet: Any = plot.figure(plot.PAGE, 7.4)
    panels = sheet.subplots(3, 2)
    for ax in panels.flat:
        style.lines(ax)
    lengths, steps, accuracy, norm, digit, leak = panels.flat

    looks = style.line_styles([*CELLS, "as reported"])
    for label, prefix in {**CELLS, "as reported": "raw-"}.items():
        found = {row.config.T: row for v, row in rows.items() if v.rstrip("0123456789") == f"{prefix}T"}
        look = {**looks[label], "markersize": 3, "linewidth": 1.2}
        T = sorted(found)
        _band(lengths, T, [[100 * a for a in found[t].accuracies] for t in T], label, look)
        if label in CELLS:
            _band(steps, T, [[steps_to_all(history_of(run)) for run in found[t].npnn] for t in T], label, look)
    style.describe(lengths, "digits T", "test accuracy (%)")
    style.describe(steps, "digits T", "steps to 100 %")
    lengths.axhline(10, color="0.4", linestyle=":", linewidth=1.0)
    lengths.set_ylim(0, 103)
    steps.set_ylim(bottom=0)

    looks = style.line_styles(COLLAPSE.values())
    for variant, label in COLLAPSE.items():
        if variant in rows:
            history, look = rows[variant].history, {**looks[label], "marker": "", "linewidth": 1.0, "label": label}
            accuracy.plot(history["step"], 100 * np.array(history["validation_accuracy"]), **look)
            norm.semilogy(history["step"], history["grad_norm"], **look)
    norm.axhline(10, color="0.2", linestyle=":", linewidth=1.2)
    style.describe(accuracy, "step", "T = 20: accuracy (%)")
    style.describe(norm, "step", "T = 20: largest gradient norm")
    accuracy.set_ylim(0, 103)

    begin = {"default": "uniform (.58)", "normal": "N(0, .1) (1.13)", "memory": "orthogonal (1)"}
    for (init, label), look in zip(begin.items(), style.line_styles(begin.values()).values(), strict=True):
        npnn.manual_seed(0)
        sizes = gradient_by_digit(build(npnn.nn, init), 20)
        look = {**look, "label": label, "markersize": 3, "linewidth": 1.2}
        digit.semilogy(range(1, len(sizes) + 1), sizes / sizes[-1], **look)
    style.describe(digit, "digit read, T = 20", "gradient before training")

    T = range(3, 15)
    for n, look in zip((10_000, 100_000, 1_000_000), style.line_styles("abc").values(), strict=True):
        leak.plot(
            T,
            [100 * share_seen(t, n) for t in T],
            **{**look, "label": f"{n:,} drawn", "markersize": 3, "linewidth": 1.2},
        )
    style.describe(leak, "digits T", "test items seen in training (%)")
    for letter, ax in zip("abcdef", panels.flat, strict=True):
        ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        ax.set_title(f"({letter})", fontsize=style.NORMAL, loc="left")
        if ax.get_legend_handles_labels()[0]:
            ax.legend(fontsize=style.SMALL - 1, frameon=False)
    return sheet


def _band(ax: Any, T: Sequence[int], values: Sequence[Sequence[float]], label: str, look: Mapping[str, Any]) -> None:
    """The mean over the seeds, and a band from the least to the most.  A seed that is nan is not drawn."""
    if T:
        ax.plot(T, [np.mean(v) for v in values], label=label, **look)
        ax.fill_between(T, [min(v) for v in values], [max(v) for v in values], color=look["color"], alpha=0.2, lw=0)


def steps_to_all(history: History) -> float:
    """The step from which on every record has all of the test right; nan if the last has not."""
    wrong = np.flatnonzero(np.array(history["validation_accuracy"]) < 1)
    first = wrong[-1] + 1 if len(wrong) else 0
    return float(history["step"][first]) if first < len(history) else np.nan


def gradient_by_digit(model: Any, T: int, n: int = 64) -> NDArray[Any]:
    """The norm of the loss's gradient by each digit that is read, the mean over n random sequences: (T - 1,)."""
    rng = np.random.default_rng(0)
    digits = rng.integers(0, 10, (n, T - 1))
    x = npnn.Tensor(np.eye(10, dtype=np.float32)[digits], requires_grad=True)  # (N, T - 1, 10)
    npnn.nn.CrossEntropyLoss()(model(x), npnn.Tensor(digits[:, 0])).backward()
    return np.linalg.norm(x.grad.numpy(), axis=2).mean(axis=0)


def share_seen(T: int, n: int) -> float:
    """Of n palindromes drawn with replacement, a fifth of them for the test: how much of it training has, too."""
    return 1 - (1 - 10.0 ** -((T + 1) // 2)) ** (0.8 * n)
