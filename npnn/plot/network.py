"""Figures of what is inside a network: kernels, what excites its units, and one picture on its way through it.

They draw what ``npnn.look`` found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from npnn.plot.style import PAGE, SMALL, canvas, describe, image, lines

__all__ = ["exciting", "frame", "gallery", "kernel_change", "kernel_sheet", "mosaic", "rgb", "stages"]

OUTSIDE = 0.88  # grey: where there is no picture


def rgb(pictures: ArrayLike, low: ArrayLike | None = None, high: ArrayLike | None = None) -> NDArray[Any]:
    """Pictures (..., C, H, W) of one or three channels as matplotlib shows them, (..., H, W, 3), in 0..1.

    low, high   by channel, the values of black and white; by default the smallest and largest there are.  nan is grey
    """
    x = np.asarray(pictures, float)
    if x.ndim < 3 or x.shape[-3] not in (1, 3):
        raise ValueError(f"expected pictures (..., 1 or 3, H, W), got {x.shape}")
    others = tuple(a for a in range(x.ndim) if a != x.ndim - 3)
    low = np.nanmin(x, axis=others) if low is None else np.asarray(low, float)
    high = np.nanmax(x, axis=others) if high is None else np.asarray(high, float)
    spread = np.where(high > low, high - low, 1.0)
    shown = np.clip((x - low[:, None, None]) / spread[:, None, None], 0, 1)
    shown = np.moveaxis(np.where(np.isnan(shown), OUTSIDE, shown), -3, -1)
    return np.repeat(shown, 3, axis=-1) if shown.shape[-1] == 1 else shown


def mosaic(tiles: NDArray[Any], columns: int, gap: int = 1) -> NDArray[Any]:
    """Tiles (n, H, W, channels) of values in 0..1 as one picture, with white lines between them."""
    n, H, W, channels = tiles.shape
    rows = -(-n // columns)
    picture = np.ones((rows * (H + gap) - gap, columns * (W + gap) - gap, channels))
    for i, tile in enumerate(tiles):
        top, left = i // columns * (H + gap), i % columns * (W + gap)
        picture[top : top + H, left : left + W] = tile
    return picture


# ---- kernels


def kernel_sheet(
    kernels: Any, count: int = 64, columns: int = 16, figure: FigureBase | None = None, width: float = PAGE
) -> Any:
    """Kernels sorted so that neighbours are alike, on one scale; below them what each lets through; and their norms.

    kernels  of npnn.look.kernels.  Grey is a weight of zero.  Dead ones are crossed out
    count    how many are drawn; of more, every second, third, ... of the sorted ones
    """
    order = kernels.order[:: -(-len(kernels.order) // count)]
    columns = min(columns, len(order))
    rows = -(-len(order) // columns)
    tile = (width - 0.2) / columns
    # a kernel and its response are as wide as each other
    H = kernels.pictures.shape[1] / kernels.pictures.shape[2]
    heights = [0.28 + rows * tile * H, 0.28 + rows * tile, 1.0]
    target = canvas(figure, width, sum(heights))
    parts = target.subfigures(3, 1, height_ratios=heights)
    limit = _limit(kernels.pictures)
    shown = _weights(kernels.pictures[order], limit)
    total, C, KH, KW = kernels.weight.shape
    share = f"; three main directions of {C} channels, {100 * kernels.explained:.0f} % of them"
    few = f"{len(order)} of " if len(order) < total else ""
    title = f"{few}{total} kernels of {KH}×{KW}, sorted by likeness; full colour from {limit:.2g} on"
    title += share if kernels.explained < 1 else ""
    _tiles(parts[0], shown, columns, title, crossed=kernels.dead[order])
    response = kernels.response[order]
    response = response / np.maximum(response.max(axis=(1, 2), keepdims=True), 1e-30)
    title = "what each lets through: fine stripes at the rim, even areas in the middle (white: most)"
    _tiles(parts[1], np.repeat(response[..., None], 3, axis=-1), columns, title)
    ax = parts[2].subplots()
    ax.bar(range(total), np.sort(kernels.norms)[::-1], width=1.0, color="#0072B2")
    lines(ax)
    describe(ax, "kernels, the largest first", "norm")
    ax.set_xlim(-0.6, total - 0.4)
    return target


def _limit(weights: NDArray[Any]) -> float:
    """The size of a weight from which on colour is full: 2 % of them are larger, so that the others are seen."""
    return float(np.quantile(np.abs(weights), 0.98)) or float(np.abs(weights).max()) or 1.0


def _weights(pictures: NDArray[Any], limit: float) -> NDArray[Any]:
    """Weights (..., 1 or 3) as colours, 0.5 for zero."""
    shown = np.clip(pictures / (2 * limit) + 0.5, 0, 1)
    return np.repeat(shown, 3, axis=-1) if shown.shape[-1] == 1 else shown


def _tiles(
    target: FigureBase, tiles: NDArray[Any], columns: int, title: str, crossed: NDArray[Any] | None = None
) -> None:
    scale = max(
        1, round(12 / tiles.shape[2])
    )  # lines between kernels of 3 pixels would else be as wide as a third of them
    tiles = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    H, W = tiles.shape[1:3]
    ax = target.subplots()
    ax.imshow(mosaic(tiles, columns), interpolation="nearest")
    for i in np.flatnonzero(crossed) if crossed is not None else ():
        top, left = i // columns * (H + 1), i % columns * (W + 1)
        ax.plot([left, left + W - 1], [top, top + H - 1], color="#D55E00", linewidth=1)
        ax.plot([left, left + W - 1], [top + H - 1, top], color="#D55E00", linewidth=1)
    _frameless(ax, title)


def _frameless(ax: Axes, title: str = "") -> None:
    image(ax)
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize=SMALL, loc="left")


def kernel_change(
    before: Any, after: Any, count: int = 16, figure: FigureBase | None = None, width: float = PAGE
) -> Any:
    """The same kernels before and after training, one above the other, on one scale.

    before, after  of npnn.look.kernels; those that have changed most come first
    """
    if before.weight.shape != after.weight.shape:
        raise ValueError(f"kernels of shape {before.weight.shape} and {after.weight.shape} are not of one layer")
    change = np.sqrt(((after.weight - before.weight) ** 2).sum(axis=(1, 2, 3)))
    order = np.argsort(-change, kind="stable")[:count]
    limit = max(_limit(k.pictures) for k in (before, after))
    target = canvas(figure, width, 0.5 + 2 * (0.25 + (width - 0.2) / len(order)))
    for part, kernels, title in zip(target.subfigures(2, 1), (before, after), ("before", "after"), strict=True):
        words = f"{title} training: norm {np.median(kernels.norms):.2g} in the median"
        _tiles(part, _weights(kernels.pictures[order], limit), len(order), words)
    return target


# ---- units


def exciting(
    patches: Any,
    names: Sequence[str] | None = None,
    dream: Any = None,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    figure: FigureBase | None = None,
    width: float = PAGE,
) -> Any:
    """A row for each unit: the picture made for it, if there is one, and the pieces of the data that excite it most.

    patches    of npnn.look.exciting; below each piece its class and the unit's value
    dream      of npnn.look.visualize, of the same units
    low, high  by channel, the values of black and white
    """
    units, count = patches.scores.shape
    columns = count + (dream is not None)
    side = (width - 0.4) / columns
    height = side * patches.pictures.shape[3] / patches.pictures.shape[4]
    target = canvas(figure, width, 0.3 + units * (height + 0.36))
    panels = target.subplots(units, columns, squeeze=False)
    shown = rgb(patches.pictures, low, high)
    for u in range(units):
        row = list(panels[u])
        row[0].set_ylabel(f"unit {patches.units[u]}", fontsize=SMALL)
        if dream is not None:
            ax = row.pop(0)
            ax.imshow(rgb(dream.pictures[u], low, high))
            ax.set_xlabel(f"{dream.scores[u]:.3g}", fontsize=SMALL - 1, labelpad=2)
        for k, ax in enumerate(row):
            ax.imshow(shown[u, k])
            kind = "" if patches.classes is None else _name(names, patches.classes[u, k])
            ax.set_xlabel(f"{kind}\n{patches.scores[u, k]:.3g}".strip(), fontsize=SMALL - 1.5, labelpad=2)
    for ax in panels.flat:
        image(ax)
    made = "left: a picture made for the unit; then " if dream is not None else ""
    target.suptitle(f"{patches.layer}, {made}what excites it most in the data; below the unit's value", fontsize=SMALL)
    return target


def _name(names: Sequence[str] | None, kind: Any) -> str:
    return str(kind) if names is None else names[int(kind)]


def gallery(
    pictures: ArrayLike,
    titles: Sequence[str],
    columns: int = 5,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    figure: FigureBase | None = None,
    width: float = PAGE,
) -> Any:
    """Pictures (N, C, H, W), each with its title above.

    low, high  by channel, the values of black and white; by default those of each picture, but for 1 % of its pixels
    """
    x = np.asarray(pictures, float)
    if low is None:
        ends = np.quantile(x, (0.01, 0.99), axis=(1, 2, 3)).T  # (N, 2)
        shown = np.stack([rgb(p, [a] * len(p), [b] * len(p)) for p, (a, b) in zip(x, ends, strict=True)])
    else:
        shown = rgb(x, low, high)
    rows = -(-len(shown) // columns)
    target = canvas(figure, width, rows * ((width - 0.2) / columns * shown.shape[1] / shown.shape[2] + 0.4))
    panels = target.subplots(rows, columns, squeeze=False).ravel()
    for ax in panels[len(shown) :]:
        ax.set_axis_off()
    for ax, picture, title in zip(panels, shown, titles, strict=False):
        ax.imshow(picture)
        image(ax)
        ax.set_title(title, fontsize=SMALL)
    return target


# ---- one picture


def stages(
    found: Sequence[Any],
    picture: ArrayLike,
    count: int = 10,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    figure: FigureBase | None = None,
    width: float = PAGE,
) -> Any:
    """What each layer makes of one picture, a row for each: its name and shape, and the maps that vary most.

    found   of npnn.look.stages.  Maps are drawn from the layer's smallest to its largest value; values without a
            place are a strip.  Beside a pooling stands what it leaves out
    """
    side = (width - 1.5) / count
    maps = [stage.values.ndim == 3 and stage.values.shape[1] * stage.values.shape[2] > 1 for stage in found]
    heights = [side * 1.4, *(side + 0.06 if has else 0.26 for has in maps)]
    target = canvas(figure, width, sum(heights) + 0.2)
    first, *panels = target.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    first.imshow(rgb(np.asarray(picture).reshape(np.shape(picture)[-3:]), low, high))
    first.set_anchor("W")
    image(first)
    _label(first, "the picture")
    for ax, stage, has in zip(panels, found, maps, strict=True):
        shape = "×".join(map(str, stage.values.shape))
        text = f"{stage.name} {stage.kind}\n{shape}"
        if stage.lost is not None:
            text += f", loses {100 * stage.lost:.0f} %"
        elif stage.silent >= 0.05:
            text += f", {100 * stage.silent:.0f} % zero"
        if has:
            varied = np.argsort(-stage.values.std(axis=(1, 2)), kind="stable")[:count]
            gap = max(1, round(0.06 * stage.values.shape[2]))
            fine = max(1, round(32 / stage.values.shape[2]))  # so that gaps are thin beside maps of few pixels
            drawn = stage.values[varied].repeat(fine, axis=1).repeat(fine, axis=2)
            ax.imshow(_row(drawn, count, gap * 2), cmap="viridis", interpolation="nearest")
            ax.set_anchor("W")
        else:
            ax.imshow(stage.values.reshape(1, -1), cmap="viridis", aspect="auto", interpolation="nearest")
        image(ax)
        ax.spines[:].set_visible(False)
        _label(ax, text)
    return target


def _row(maps: NDArray[Any], count: int, gap: int) -> NDArray[Any]:
    """Maps (n, H, W) side by side, with nothing (nan) between them and in the places of those that are missing."""
    _, H, W = maps.shape
    row = np.full((H, count * (W + gap) - gap), np.nan)
    for i, one in enumerate(maps):
        row[:, i * (W + gap) : i * (W + gap) + W] = one
    return row


def _label(ax: Axes, text: str) -> None:
    ax.set_ylabel(text, fontsize=SMALL - 1, rotation=0, ha="right", va="center", labelpad=4)


def frame(ax: Axes, color: str, width: float = 1.5) -> None:
    """A coloured frame around a picture."""
    ax.add_patch(Rectangle((0, 0), 1, 1, transform=ax.transAxes, fill=False, edgecolor=color, linewidth=width,
                           clip_on=False))  # fmt: skip
