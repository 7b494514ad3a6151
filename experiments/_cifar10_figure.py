"""The figure of all convolutional networks on CIFAR-10 together: what each optimiser makes of the same network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["overview"]

# What it is called, the variant with the softmax twice, and that with it once.
ROWS = (
    ("Adam 1e-4", "adam", "adam-right"),
    ("Adam 1e-3", "lr1e-3", "lr1e-3-right"),
    ("Adam 0.05", "lr5e-2", "lr5e-2-right"),
    ("RMSprop 1e-4", "rmsprop", ""),
    ("SGD 1e-4", "sgd", "sgd-once"),
    ("SGD 0.03, momentum", "momentum", ""),
    ("Adam 1e-4, BN", "batchnorm", "batchnorm-right"),
    ("SGD 0.05, momentum, BN", "", "sgd-right"),
    ("Adam 1e-4, BN, augmented", "", "augmented"),
)
LEAST = math.log(math.e + 9) - 1  # the loss that remains with the softmax twice, where all is sure and right


def overview(rows: Mapping[str, Any]) -> Any:
    """Left the test loss with the softmax twice; right where each ends with it twice and once, after how many epochs.

    Markers and colours of the right panel are the legend of the left one.
    """
    from npnn import plot
    from npnn.plot import style

    shown = [row for row in ROWS if row[1] in rows or row[2] in rows]
    if not shown:
        return None
    page: Any = plot.figure(plot.PAGE, 3.3)
    losses, ends = page.subplots(1, 2)
    looks = style.line_styles(label for label, _, _ in ROWS)
    for place, (label, twice, once) in enumerate(shown):
        look = {**looks[label], "zorder": 3 - place / len(ROWS)}  # markers on each other: the larger below
        if twice in rows:
            history = rows[twice].history
            epochs = np.array(history["step"]) * history["epoch"][-1] / history["step"][-1]
            losses.plot(epochs, history["validation_loss"], **look, linewidth=1.4, markersize=4 + place / 3)
        for variant, fill, side in ((twice, "none", "right"), (once, look["color"], "left")):
            if variant in rows:
                accuracy, length = 100 * np.mean(rows[variant].accuracies), rows[variant].config.epochs
                ends.plot(accuracy, place, **{**look, "linestyle": ""}, markersize=5.5, markerfacecolor=fill)
                ends.annotate(f"{length}", (accuracy, place), (6 if side == "left" else -6, 0), ha=side, va="center",
                              textcoords="offset points", fontsize=style.SMALL)  # fmt: skip
    for fill, label in (("none", "softmax twice, as reported"), ("0.2", "softmax once")):
        ends.plot([], [], "o", color="0.2", markersize=5.5, markerfacecolor=fill, label=label)
    losses.axhline(LEAST, color="0.3", linestyle=":", linewidth=1.0, label="least loss with the softmax twice")
    for ax in (losses, ends):
        style.lines(ax)
    style.describe(losses, "epoch", "test loss (nats)", "softmax twice")
    style.describe(ends, "test accuracy (%)", title="after so many epochs")
    ends.set_yticks(range(len(shown)), [label for label, _, _ in shown])
    ends.set_ylim(len(shown) - 0.5, -0.5)
    ends.set_xlim(0, 100)
    style.legend(page, [ends, losses], columns=3)
    return page
