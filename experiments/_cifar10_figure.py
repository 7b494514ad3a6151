"""The figure of all convolutional networks on CIFAR-10 together: what each optimiser makes of the same network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["overview"]

# What it is called, and the variant.
ROWS = (
    ("Adam 1e-4", "adam-right"),
    ("Adam 1e-3", "lr1e-3-right"),
    ("Adam 0.05", "lr5e-2-right"),
    ("RMSprop 1e-4", "rmsprop-right"),
    ("SGD 1e-4", "sgd-once"),
    ("SGD 0.05, momentum, BN", "sgd-right"),
    ("Adam 1e-4, BN", "batchnorm-right"),
    ("Adam 1e-4, BN, augmented", "augmented"),
)


def overview(rows: Mapping[str, Any]) -> Any:
    """Left the test loss by epoch; right where each ends, and after how many epochs.

    Markers and colours of the right panel are the legend of the left one.
    """
    from npnn import plot
    from npnn.plot import style

    shown = [row for row in ROWS if row[1] in rows]
    if not shown:
        return None
    page: Any = plot.figure(plot.PAGE, 3.3)
    losses, ends = page.subplots(1, 2)
    looks = style.line_styles(label for label, _ in ROWS)
    for place, (label, variant) in enumerate(shown):
        row, look = rows[variant], {**looks[label], "zorder": 3 - place / len(ROWS)}
        epochs = np.array(row.history["step"]) * row.history["epoch"][-1] / row.history["step"][-1]
        losses.plot(epochs, row.history["validation_loss"], **look, linewidth=1.4, markersize=4)
        accuracy, length = 100 * np.mean(row.accuracies), row.config.epochs
        ends.plot(accuracy, place, **{**look, "linestyle": ""}, markersize=5.5)
        ends.annotate(f"{length}", (accuracy, place), (6, 0), ha="left", va="center", textcoords="offset points",
                      fontsize=style.SMALL)  # fmt: skip
    for ax in (losses, ends):
        style.lines(ax)
    style.describe(losses, "epoch", "test loss (nats)")
    style.describe(ends, "test accuracy (%)", title="after so many epochs")
    ends.set_yticks(range(len(shown)), [label for label, _ in shown])
    ends.set_ylim(len(shown) - 0.5, -0.5)
    ends.set_xlim(0, 100)
    return page
