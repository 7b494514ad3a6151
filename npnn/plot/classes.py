"""Figures by class: what was taken for what, how often each was right, and where the border runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import FigureBase
from numpy.typing import ArrayLike, NDArray

from npnn.plot.style import COLORS, COLUMN, MARKERS, SMALL, canvas, describe, legend, line_styles, lines

__all__ = ["confusion_matrix", "decision_boundary", "per_class"]


def confusion_matrix(
    matrix: ArrayLike, names: Sequence[str] | None = None, figure: FigureBase | None = None, width: float = COLUMN
) -> Any:
    """Of each true class (a row) the share that was taken for each class (a column), in per cent.

    matrix  counts (C, C); what never happened is left empty
    """
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"a confusion matrix is square, got shape {counts.shape}")
    classes = _names(names, len(counts))
    percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    target = canvas(figure, width, width)
    ax = target.subplots()
    ax.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    for (i, j), share in np.ndenumerate(percent):
        if share:
            digits = 1 if 0 < min(share, 100 - share) < 0.95 else 0  # a few mistakes are not none
            shade = "white" if share > 50 else "black"
            size = SMALL - 1 - (len(counts) > 12)
            ax.text(j, i, f"{share:.{digits}f}", ha="center", va="center", fontsize=size, color=shade)
    describe(ax, "predicted class", "true class", "share of the true class (%)")
    slant: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(range(len(classes)), classes, **slant if max(map(len, classes)) > 2 else {})
    ax.set_yticks(range(len(classes)), classes)
    return target


def per_class(
    accuracies: Any, names: Sequence[str] | None = None, figure: FigureBase | None = None, width: float = COLUMN
) -> Any:
    """The accuracy of each class, (C,), or a dict of such by label.

    They are points and not bars, so that the scale need not begin at zero: 98 and 99 % can be told apart.
    """
    series = accuracies if isinstance(accuracies, Mapping) else {"": accuracies}
    target = canvas(figure, width, 2.4)
    ax = target.subplots()
    styles = line_styles(label or "npnn" for label in series)
    classes: list[str] = []
    for k, (label, given) in enumerate(series.items()):
        values = 100.0 * np.asarray(given, float)  # (C,)
        classes = classes or _names(names, len(values))
        fill = styles[label or "npnn"]["color"] if k == 0 else "none"  # where two lie on each other, both are seen
        look = {**styles[label or "npnn"], "linestyle": "", "markersize": 5 + 3 * k, "markerfacecolor": fill}
        ax.plot(values, range(len(values)), label=label, clip_on=False, **look)
    lines(ax)
    describe(ax, "accuracy (%)", "class")
    ax.set_yticks(range(len(classes)), classes)
    ax.set_ylim(len(classes) - 0.3, -0.7)  # the first class on top, as in the confusion matrix
    ax.set_xlim(right=min(100.0, ax.get_xlim()[1]))
    if len(series) > 1:
        legend(target, ax, columns=3)
    return target


def decision_boundary(
    predict: Callable[[NDArray[Any]], ArrayLike],
    X: ArrayLike,
    y: ArrayLike,
    title: str = "",
    resolution: int = 250,
    figure: FigureBase | None = None,
    width: float = COLUMN,
) -> Any:
    """The regions of the plane that a classifier assigns to each class, under the points (X, y).

    predict  called with points (M, 2) in X's dtype; returns scores (M, C), or one logit (M,) or (M, 1)
    X, y     points (N, 2) and their classes (N,)
    """
    points, labels = np.asarray(X), np.asarray(y)
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise ValueError(f"expected points (N, 2) and classes (N,), got {points.shape} and {labels.shape}")
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.08 * (high - low)
    axes = [np.linspace(a, b, resolution) for a, b in zip(low - margin, high + margin, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1)  # (resolution, resolution, 2)
    scores = np.asarray(predict(grid.reshape(-1, 2).astype(points.dtype)), float)
    if scores.ndim == 1 or scores.shape[1] == 1:  # one logit: class 1 where it is positive
        scores = np.stack([np.zeros(scores.size), scores.ravel()], axis=1)
    scores = scores.reshape(resolution, resolution, -1)
    C = scores.shape[2]

    target = canvas(figure, width, 0.85 * width)
    ax = target.subplots()
    colors = [COLORS[c % len(COLORS)] for c in range(C)]
    tints = ListedColormap([tuple(0.75 + 0.25 * v for v in to_rgb(color)) for color in colors])
    ax.pcolormesh(*axes, scores.argmax(axis=2), cmap=tints, vmin=-0.5, vmax=C - 0.5, rasterized=True)
    for c in range(C if C > 2 else 1):
        lead = scores[..., c] - np.delete(scores, c, axis=2).max(axis=2)  # positive where class c wins
        if lead.min() < 0 < lead.max():
            ax.contour(*axes, lead, levels=[0.0], colors="black", linewidths=1.0)
    for c in range(C):
        own = points[labels == c]
        marker = MARKERS[c % len(MARKERS)]
        ax.scatter(*own.T, s=12, marker=marker, color=colors[c], edgecolors="white", linewidths=0.3, label=f"class {c}")
    describe(ax, "$x_1$", "$x_2$", title)
    ax.set_xlim(axes[0][0], axes[0][-1])
    ax.set_ylim(axes[1][0], axes[1][-1])
    ax.locator_params(nbins=6)
    legend(target, ax, columns=3)
    return target


def _names(names: Sequence[str] | None, count: int) -> list[str]:
    if names is None:
        return [str(c) for c in range(count)]
    if len(names) != count:
        raise ValueError(f"expected {count} class names, got {len(names)}")
    return [str(name) for name in names]
