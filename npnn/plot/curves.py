"""Figures with lines: learning curves, accuracy against something, the size of the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from npnn.plot.style import COLUMN, PAGE, canvas, describe, legend, line_styles, lines, plain_log

__all__ = ["accuracy_against", "curves", "gradient_norms"]

# Training is the thin pale line, as it wavers; the test, which counts, is drawn over it with markers.
_SIDES: dict[str, dict[str, Any]] = {
    "train": {"linewidth": 0.9, "alpha": 0.55, "marker": ""},
    "validation": {"linewidth": 1.4, "markersize": 3.5, "clip_on": False},  # markers at 100 % stay whole
}


def curves(
    histories: Any,
    x: str = "epoch",
    loss_label: str = "cross-entropy (nats)",
    log_loss: bool | None = None,
    test: str = "test",
    figure: FigureBase | None = None,
    width: float = PAGE,
) -> Any:
    """Loss and accuracy during training, of the train and the test set.

    histories  a History, or a dict of them by label; "npnn" (solid) and "torch" (dashed) look the
               same in every figure
    x          "epoch" or "step"
    log_loss   by default where the largest loss is ten times the smallest
    test       what to call the validation set

    Where there are two, the title is the largest difference between their losses.
    """
    runs = histories if isinstance(histories, Mapping) else {"": histories}
    narrow = width < 5
    target = canvas(figure, width, 4.2 if narrow else 2.6)
    panels = target.subplots(2, 1, sharex=True) if narrow else target.subplots(1, 2)
    styles = line_styles(label or "npnn" for label in runs)
    for ax, quantity, factor in zip(panels, ("loss", "accuracy"), (1.0, 100.0), strict=True):
        for k, (label, history) in enumerate(runs.items()):
            for side, look in _SIDES.items():
                name = f"{side}_{quantity}"
                if name in history:
                    values = factor * np.array(history[name], float)
                    every = max(1, len(values) // 8)
                    marked = (k * every // len(runs), every)  # side by side where curves lie on each other
                    said = f"{label} {test if side == 'validation' else side}".strip()
                    ax.plot(history[x], values, label=said, markevery=marked, **{**styles[label or "npnn"], **look})
        lines(ax)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    describe(panels[0], "" if narrow else x, loss_label, _largest_difference(list(runs.values()), x))
    describe(panels[1], x, "accuracy (%)")
    _loss_scale(panels[0], log_loss)
    panels[1].set_ylim(top=min(101.0, panels[1].get_ylim()[1]))
    if narrow:
        target.align_ylabels(panels)
    legend(target, panels[0], columns=2 if narrow else len(runs) if len(runs) > 2 else 4)  # a column for each run
    return target


def _largest_difference(runs: list[Any], x: str) -> str:
    """What the loss panel's title says of two runs that were recorded at the same places; else nothing."""
    if len(runs) != 2 or any("train_loss" not in run for run in runs) or list(runs[0][x]) != list(runs[1][x]):
        return ""
    losses = [np.concatenate([np.array(run[f"{side}_loss"], float) for side in _SIDES if f"{side}_loss" in run])
              for run in runs]  # fmt: skip
    apart = np.abs(losses[0] - losses[1]) if losses[0].shape == losses[1].shape else np.array([np.nan])
    return f"largest difference {apart.max():.1g}" if np.isfinite(apart).all() else ""


def _loss_scale(ax: Axes, log: bool | None) -> None:
    """Logarithmic; or from zero, unless that would leave the lower half of the panel empty."""
    losses = np.concatenate([np.array(line.get_ydata(), float) for line in ax.lines] or [np.zeros(0)])
    losses = losses[np.isfinite(losses)]
    low, high = (losses.min(), losses.max()) if len(losses) else (1.0, 1.0)
    if log or (log is None and 0 < 10 * low < high):
        ax.set_yscale("log")
        plain_log(ax.yaxis)
    elif 0 <= low < high / 2:
        ax.set_ylim(bottom=0.0)


def accuracy_against(
    values: ArrayLike,
    accuracies: Any,
    xlabel: str,
    chance: float | None = None,
    figure: FigureBase | None = None,
    width: float = COLUMN,
) -> Any:
    """Accuracy as a function of a setting, such as the length T of the sequences.

    values      (n,) the settings
    accuracies  (n,), or (seeds, n): then the mean, and a band from the worst to the best seed; or a
                dict of either by label
    chance      the accuracy of guessing, drawn as a dotted line
    """
    series = accuracies if isinstance(accuracies, Mapping) else {"": accuracies}
    target = canvas(figure, width, 2.4)
    ax = target.subplots()
    styles = line_styles(label or "npnn" for label in series)
    settings = np.asarray(values)
    ax.xaxis.set_major_locator(MaxNLocator(integer=settings.dtype.kind in "iu"))
    for label, given in series.items():
        runs = 100.0 * np.atleast_2d(np.asarray(given, float))  # (seeds, n)
        style = styles[label or "npnn"]
        ax.plot(settings, runs.mean(0), label=label, markersize=3.5, linewidth=1.4, **style)
        if len(runs) > 1:
            ax.fill_between(settings, runs.min(0), runs.max(0), color=style["color"], alpha=0.2, linewidth=0)
    if chance is not None:
        ax.axhline(100.0 * chance, color="0.4", linestyle=":", linewidth=1.0, label="chance")
    lines(ax)
    describe(ax, xlabel, "accuracy (%)")
    ax.set_ylim(0, 102)
    legend(target, ax, columns=3)
    return target


def gradient_norms(
    norms: Any, clip: float | None = None, x: str = "step", figure: FigureBase | None = None, width: float = COLUMN
) -> Any:
    """The norm of the gradient before clipping, on a log scale.

    norms  (steps,), or a History, whose records hold the largest since the record before; or a dict
           of either by label
    clip   the limit, drawn as a dotted line
    x      what the norms are numbered by; of a History, "step" or "epoch"
    """
    series = norms if isinstance(norms, Mapping) else {"": norms}
    target = canvas(figure, width, 2.4)
    ax = target.subplots()
    styles = line_styles(label or "npnn" for label in series)
    for label, given in series.items():
        recorded = hasattr(given, "records")
        values = np.asarray(given["grad_norm"] if recorded else given, float)
        places = given[x] if recorded else np.arange(1, len(values) + 1)
        ax.plot(places, values, label=label, **{**styles[label or "npnn"], "linewidth": 1.0, "marker": ""})
    if clip is not None and np.isfinite(clip):
        ax.axhline(clip, color="0.2", linestyle=":", linewidth=1.2, label=f"clipped above {clip:g}")
    ax.set_yscale("log")
    plain_log(ax.yaxis)
    lines(ax)
    describe(ax, x, "norm of the gradient")
    legend(target, ax, columns=3)
    return target
