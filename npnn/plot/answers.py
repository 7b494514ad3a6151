"""Figures of why a network answers as it does: attributions of pictures, and the space in which it compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import FigureBase
from numpy.typing import ArrayLike, NDArray

from npnn.plot.network import frame, rgb
from npnn.plot.style import COLORS, PAGE, SMALL, canvas, image

__all__ = ["attributions", "space"]

WRONG = "#D55E00"
CLASSES = [color for color in COLORS if color != WRONG] + ["#332288"]  # no class looks like a mistake


def attributions(
    pictures: ArrayLike,
    maps: Mapping[str, ArrayLike],
    titles: Sequence[str] | None = None,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    figure: FigureBase | None = None,
    width: float = PAGE,
) -> Any:
    """Several methods side by side: a row for each picture, a column for each method.

    pictures  (N, C, H, W)
    maps      by the method's name, (N, C', h, w), summed over channels; those without a sign (class activation) from
              black to yellow over the picture, others red where a pixel speaks for the class and blue where against
              it, on a scale that 1 % of the pixels exceed
    titles    what to write beside each picture
    """
    x = np.asarray(pictures)
    N, _, H, W = x.shape
    columns = 1 + len(maps)
    side = (width - 0.8) / columns
    target = canvas(figure, width, 0.35 + N * (side * H / W + 0.05))
    panels = target.subplots(N, columns, squeeze=False)
    shown = rgb(x, low, high)
    grey = shown.mean(axis=-1)
    for n in range(N):
        panels[n, 0].imshow(shown[n])
        if titles is not None:
            panels[n, 0].set_ylabel(titles[n], fontsize=SMALL - 1)
        for ax, given in zip(panels[n, 1:], maps.values(), strict=True):
            one = np.asarray(given, float)[n].sum(axis=0)  # (h, w)
            limit = float(np.quantile(np.abs(one), 0.99)) or float(np.abs(one).max()) or 1.0
            if one.min() < 0:
                ax.imshow(one, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
            else:
                extent = (-0.5, W - 0.5, H - 0.5, -0.5)
                ax.imshow(grey[n], cmap="gray", vmin=0, vmax=1)
                ax.imshow(one, cmap="inferno", vmin=0, alpha=0.6, extent=extent, interpolation="bilinear")
    for ax in panels.flat:
        image(ax)
    for ax, title in zip(panels[0], ["picture", *maps], strict=True):
        ax.set_title(title, fontsize=SMALL)
    return target


def space(
    found: Any,
    pictures: ArrayLike,
    names: Sequence[str] | None = None,
    rows: int = 4,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    figure: FigureBase | None = None,
    width: float = PAGE,
) -> Any:
    """Pictures as thumbnails where the last layer has them, framed in the colour of their class; wrong ones thicker, in
    vermilion.  On the right mistakes, each with the pictures that the network holds for most alike.

    found     of npnn.look.space
    pictures  (N, C, H, W), the same as there
    """
    left_width = width * (0.66 if rows else 1.0)
    target = canvas(figure, width, left_width + 0.45)
    left, right = target.subfigures(1, 2, width_ratios=[0.66, 0.34]) if rows else (target, None)
    shown = rgb(pictures, low, high)
    ax = left.subplots()
    ax.imshow(_scattered(found, shown), interpolation="nearest")
    image(ax)
    ax.spines[:].set_visible(False)
    kept = f"two main directions, {100 * found.explained:.0f} % of the variance" if found.explained else "t-SNE"
    wrong = f", {len(found.mistakes)} wrong" if found.labels is not None else ""
    ax.set_title(f"{len(shown)} pictures before {found.layer}: {kept}{wrong}", fontsize=SMALL)
    classes = np.unique(found.predicted if found.labels is None else found.labels)
    for c in classes[:10]:
        ax.plot([], [], "s", color=CLASSES[int(c) % len(CLASSES)], label=_called(names, c), markersize=5)
    left.legend(
        loc="outside lower center", ncols=5, fontsize=SMALL, frameon=False, columnspacing=1.0, handletextpad=0.2
    )
    if right is not None:
        _alike(right, found, shown, names, rows)
    return target


def _scattered(found: Any, shown: NDArray[Any], size: int = 1400) -> NDArray[Any]:
    """One picture with all thumbnails in their places."""
    N, H, W, _ = shown.shape
    grow = max(1, round(size / 42 / max(H, W)))
    tiles = shown.repeat(grow, axis=1).repeat(grow, axis=2)
    h, w = tiles.shape[1:3]
    sheet = np.ones((size, size, 3))
    low, high = found.points.min(axis=0), found.points.max(axis=0)
    places = (found.points - low) / np.where(high > low, high - low, 1)
    classes = found.predicted if found.labels is None else found.labels
    bad = np.zeros(N, bool) if found.labels is None else found.predicted != found.labels
    for n in np.argsort(bad, kind="stable"):  # mistakes last, on top
        left, top = int(places[n, 0] * (size - w - 8)) + 4, int((1 - places[n, 1]) * (size - h - 8)) + 4
        color, edge = (WRONG, 5) if bad[n] else (CLASSES[int(classes[n]) % len(CLASSES)], 2)
        value = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        sheet[max(top - edge, 0) : top + h + edge, max(left - edge, 0) : left + w + edge] = value
        sheet[top : top + h, left : left + w] = tiles[n]
    return sheet


def _alike(target: FigureBase, found: Any, shown: NDArray[Any], names: Sequence[str] | None, rows: int) -> None:
    """A mistake (without any: a picture) in each row, and its neighbours."""
    asked = found.mistakes[:rows] if len(found.mistakes) else np.arange(min(rows, len(shown)))
    columns = 4
    panels = target.subplots(max(len(asked), 1), columns, squeeze=False)
    for ax in panels.flat:
        image(ax)
    for row, which in zip(panels, asked, strict=False):
        for ax, n in zip(row, [which, *found.neighbours(int(which), columns - 1)], strict=True):
            ax.imshow(shown[n])
            label = found.predicted[n] if found.labels is None else found.labels[n]
            ax.set_xlabel(_called(names, label), fontsize=SMALL - 1, labelpad=1)
        row[0].set_title(f"says {_called(names, found.predicted[which])}", fontsize=SMALL - 1, color=WRONG, pad=2)
        frame(row[0], WRONG)
    panels[0, 1].set_title("held for alike", fontsize=SMALL - 1, loc="left", pad=2)


def _called(names: Sequence[str] | None, kind: Any) -> str:
    return str(kind) if names is None else names[int(kind)]
