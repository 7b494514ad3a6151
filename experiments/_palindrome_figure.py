"""The figure of all palindrome experiments together: who remembers the first digit, and why the others do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import npnn
from npnn.experiment.numbers import history_of
from npnn.train import History

__all__ = ["gradient_by_digit", "overview", "share_seen", "steps_to_all"]

CELLS = {"RNN": "", "LSTM": "lstm-", "GRU": "gru-"}  # label: prefix of the variants
REPORTED = "as reported"
T20 = {
    "raw-T20-steplr": "StepLR",
    "raw-T20-adam": "Adam",
    "normal-T20": "N(0, .1) weights",
    "T20": "one-hot, orthogonal",
}
FALLS = {"raw-T20-fall": "A fall, step by step: uniform weights", "normal-T20-fall": "A fall, step by step: N(0, .1)"}
THIN = {"marker": "", "linewidth": 1.0}


def overview(rows: Mapping[str, Any], build: Callable[[Any, str], Any]) -> Any:
    """Ten panels, from those of the variants that ran; ``build(nn, init)`` makes an untrained network."""
    from matplotlib.ticker import MaxNLocator

    from npnn import plot
    from npnn.plot import style

    sheet: Any = plot.figure(plot.PAGE, 10.2)
    panels = sheet.subplots(5, 2)
    for ax in panels.flat:
        style.lines(ax)
    _by_length(panels[0, 0], panels[0, 1], rows)
    _during_training(panels[1, 0], panels[1, 1], rows)
    for variant, (accuracy, norm) in zip(FALLS, panels[2:4].T, strict=True):
        if variant in rows:
            _fall(accuracy, norm, rows[variant])
        style.describe(accuracy, "", "accuracy (%)", FALLS[variant])
        style.describe(norm, "step", "norm")
    _gradient(panels[4, 0], build)
    _leakage(panels[4, 1])
    # Where no curve is: between T = 50 and 100, and above what the other panels need for their curves.
    above: dict[str, Any] = {"loc": "upper center", "ncols": 2}
    over = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": 3, "columnspacing": 1, "handlelength": 1.5}
    places = {panels[0, 0]: {"loc": (0.5, 0.2)}, **dict.fromkeys(panels[1], above), **dict.fromkeys(panels[3], over)}
    for ax in panels.flat:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        if ax.get_legend_handles_labels()[0]:
            ax.legend(fontsize=style.SMALL - 1, frameon=False, **places.get(ax, {}))
    return sheet


def _by_length(lengths: Any, steps: Any, rows: Mapping[str, Any]) -> None:
    from npnn.plot import style

    looks = style.line_styles([*CELLS, REPORTED])
    for label, prefix in {**CELLS, REPORTED: "raw-"}.items():
        found = {row.config.T: row for v, row in rows.items() if v.rstrip("0123456789") == f"{prefix}T"}
        T = sorted(found)
        look = {**looks[label], "markersize": 3, "linewidth": 1.2}
        # All three cells are at 100 %: open marks of another size around those of the RNN, so that all can be seen.
        around = {"linestyle": "", "markersize": 7, "markerfacecolor": "none"} if label in ("LSTM", "GRU") else {}
        _band(lengths, T, [[100 * a for a in found[t].accuracies] for t in T], label, {**look, **around})
        if label in CELLS:
            _band(steps, T, [[steps_to_all(history_of(run)) for run in found[t].npnn] for t in T], label, look)
    lengths.axhline(10, color="0.4", linestyle=":", linewidth=1.0, label="chance")
    style.describe(lengths, "digits T", "accuracy (%)", "Test accuracy after training")
    style.describe(steps, "digits T", "step", "Step from which on all of the test is right")
    lengths.set_ylim(0, 105)
    steps.set_ylim(bottom=0)


def _band(ax: Any, T: Sequence[int], values: Sequence[Sequence[float]], label: str, look: Mapping[str, Any]) -> None:
    """The mean over the seeds, and a band from the least to the most.  A T with a seed that is nan is not drawn."""
    if T:
        ax.plot(T, [np.mean(v) for v in values], label=label, **look)
        ax.fill_between(T, [min(v) for v in values], [max(v) for v in values], color=look["color"], alpha=0.2, lw=0)


def _during_training(reported: Any, others: Any, rows: Mapping[str, Any]) -> None:
    """The reported settings, which end differently with each seed; and what changes that."""
    from npnn.plot import style

    row = rows.get("raw-T20")
    runs = [] if row is None else [(f"seed {run['config']['seed']}", run) for run in row.npnn]
    runs += [] if row is None else [("seed 0, torch", run) for run in row.torch[:1]]
    for (label, run), look in zip(runs, style.line_styles(map(str, range(len(runs)))).values(), strict=True):
        _accuracy(reported, history_of(run), label, look)
    for (variant, label), look in zip(T20.items(), style.line_styles(T20).values(), strict=True):
        if variant in rows:
            _accuracy(others, rows[variant].history, label, look)
    for ax, title in ((reported, "T = 20, as reported"), (others, "T = 20, other settings")):
        style.describe(ax, "step", "test accuracy (%)", title)
        ax.set_ylim(0, 145)
        ax.set_yticks(range(0, 101, 20))


def _accuracy(ax: Any, history: History, label: str, look: Mapping[str, Any]) -> None:
    ax.plot(history["step"], 100 * np.array(history["validation_accuracy"]), label=label, **{**look, **THIN})


def _fall(accuracy: Any, norm: Any, row: Any) -> None:
    """The steps around the largest gradient: the accuracy, and how large gradient and change of the weights are."""
    from npnn.plot import style

    looks = style.line_styles(["npnn", "torch"])
    _accuracy(accuracy, row.history, "", looks["npnn"])
    for (name, label), look in zip(
        {"grad_norm": "gradient", "update_norm": "change of weights"}.items(), looks.values(), strict=True
    ):
        norm.semilogy(row.history["step"], row.history[name], label=label, **{**look, **THIN})
    clip = row.config.clip_grad_norm
    top = row.history["step"][np.argmax(row.history["grad_norm"])]
    norm.axhline(clip, color="0.4", linestyle=":", linewidth=1.0, label=f"clip at {clip:g}")
    accuracy.set_ylim(bottom=0)
    for ax in (accuracy, norm):
        ax.set_xlim(top - 40, top + 25)


def _gradient(ax: Any, build: Callable[[Any, str], Any]) -> None:
    """How much of the gradient reaches each digit before training, beside the last digit's."""
    from npnn.plot import style

    begin = {"default": "uniform: h × .58 a step", "normal": "N(0, .1): h × 1.13", "memory": "orthogonal: h × 1"}
    for (init, label), look in zip(begin.items(), style.line_styles(begin).values(), strict=True):
        npnn.manual_seed(0)
        sizes = gradient_by_digit(build(npnn.nn, init), 20)
        look = {**look, "label": label, "markersize": 3, "linewidth": 1.2}
        ax.semilogy(range(1, len(sizes) + 1), sizes / sizes[-1], **look)
    style.describe(ax, "digit read, T = 20", "gradient (last digit: 1)", "Gradient by each digit before training")


def _leakage(ax: Any) -> None:
    from npnn.plot import style

    T = range(3, 15)
    for n, look in zip((10_000, 100_000, 1_000_000), style.line_styles("abc").values(), strict=True):
        shares = [100 * share_seen(t, n) for t in T]
        ax.plot(T, shares, **{**look, "label": f"{n:,} drawn", "markersize": 3, "linewidth": 1.2})
    style.describe(ax, "digits T", "of the test (%)", "Seen in training, if drawn with replacement")


def steps_to_all(history: History) -> float:
    """The step from which on every record has all of the test right; nan if the last has not."""
    wrong = np.flatnonzero(np.array(history["validation_accuracy"]) < 1)
    first = wrong[-1] + 1 if len(wrong) else 0
    return float(history["step"][first]) if first < len(history) else np.nan


def gradient_by_digit(model: Any, T: int, n: int = 64) -> NDArray[Any]:
    """The norm of the loss's gradient by each digit that is read, the mean over n random sequences: (T - 1,)."""
    rng = np.random.default_rng(0)
    digits = rng.integers(0, 10, (n, T - 1))
    x = npnn.tensor(np.eye(10, dtype=np.float32)[digits], requires_grad=True)  # (N, T - 1, 10)
    npnn.nn.CrossEntropyLoss()(model(x), npnn.tensor(digits[:, 0])).backward()
    return np.linalg.norm(x.grad.numpy(), axis=2).mean(axis=0)


def share_seen(T: int, n: int) -> float:
    """Of n palindromes drawn with replacement, a fifth of them for the test: how much of it training has, too."""
    return 1 - (1 - 10.0 ** -((T + 1) // 2)) ** (0.8 * n)
