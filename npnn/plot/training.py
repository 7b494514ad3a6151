"""Figures of a network that learns: its kernels and values as a film, its gradients over time, the loss around it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import FigureBase
from numpy.typing import NDArray

from npnn.io.atomic import atomic_write
from npnn.plot.network import mosaic
from npnn.plot.style import COLORS, PAGE, SMALL, canvas, color_bar, describe, image, legend, line_styles, lines

__all__ = ["film", "film_gif", "recurrence", "ridgelines", "surface"]


def film(
    frames: Sequence[Any], kernels: int = 12, count: int = 8, figure: FigureBase | None = None, width: float = PAGE
) -> Any:
    """Kernels from the beginning of training (left) to its end, a row for each, on one scale.

    frames   of npnn.look.Film; ``count`` of them, evenly spread
    """
    seen = [frame for frame in frames if frame.kernels is not None]
    if not seen:
        raise ValueError("there are no kernels in this film: the network has no convolution")
    chosen = [seen[i] for i in np.unique(np.linspace(0, len(seen) - 1, count).round().astype(int))]
    tiles = [_colored(frame.kernels, seen)[:kernels] for frame in chosen]
    rows, columns = len(tiles[0]), len(tiles)
    side = (width - 0.3) / max(columns, rows)
    target = canvas(figure, width, 0.3 + rows * min(side, 0.5))
    panels = target.subplots(1, columns, squeeze=False)[0]
    for ax, frame, tile in zip(panels, chosen, tiles, strict=True):
        ax.imshow(mosaic(tile.repeat(4, axis=1).repeat(4, axis=2), 1), interpolation="nearest")
        image(ax)
        ax.spines[:].set_visible(False)
        ax.set_title(f"step {frame.step:,}", fontsize=SMALL)
    return target


def _colored(weights: NDArray[Any], frames: Sequence[Any]) -> NDArray[Any]:
    """Kernels (O, C, KH, KW) as (O, KH, KW, 3), 0.5 for a weight of zero; of other than 3 channels their mean in grey."""
    limit = max(float(np.abs(frame.kernels).max()) for frame in frames) or 1.0
    w = np.asarray(weights).transpose(0, 2, 3, 1)
    w = w if w.shape[-1] == 3 else np.repeat(w.mean(axis=-1, keepdims=True), 3, axis=-1)
    return np.clip(w / (2 * limit) + 0.5, 0, 1)


def film_gif(frames: Sequence[Any], path: str | os.PathLike[str], kernels: int = 64, seconds: float = 0.1) -> None:
    """Write a moving picture (GIF) of the kernels.  Errors: ValueError where there are none."""
    from PIL import Image

    seen = [frame for frame in frames if frame.kernels is not None]
    if not seen:
        raise ValueError("there are no kernels in this film: the network has no convolution")
    pages = []
    for frame in seen:
        tiles = _colored(frame.kernels, seen)[:kernels]
        scale = max(1, round(48 / tiles.shape[2]))
        picture = mosaic(tiles.repeat(scale, axis=1).repeat(scale, axis=2), columns=8, gap=2)
        pages.append(Image.fromarray((255 * picture).round().astype(np.uint8)))
    with atomic_write(path) as file:
        pages[0].save(file, "GIF", save_all=True, append_images=pages[1:], duration=int(1000 * seconds), loop=0)


def ridgelines(frames: Sequence[Any], figure: FigureBase | None = None, width: float = PAGE) -> Any:
    """By layer, from the first on top to the last: the values that it gives, and the size of its gradient, over time.

    The band holds 90 % of a layer's values, the darker one half of them, the line is the median; each
    row has its own scale, told on the left.  On the right the norm of the gradient of each weight, on one scale.
    """
    steps = [frame.step for frame in frames]
    layers = list(frames[0].quantiles)
    weights = [name for name in frames[0].gradients if name.endswith("weight")]
    rows = max(len(layers), 1)
    target = canvas(figure, width, 0.7 + 0.34 * rows)
    left, right = target.subfigures(1, 2, width_ratios=[1.25, 1])
    panels = left.subplots(rows, 1, squeeze=False, sharex=True)[:, 0]
    for ax, name in zip(panels, layers, strict=True):
        values = np.array([frame.quantiles[name] for frame in frames])  # (frames, 5)
        ax.fill_between(steps, values[:, 0], values[:, 4], color="#0072B2", alpha=0.25, linewidth=0)
        ax.fill_between(steps, values[:, 1], values[:, 3], color="#0072B2", alpha=0.45, linewidth=0)
        ax.plot(steps, values[:, 2], color="#0072B2", linewidth=1)
        ax.spines[["top", "right", "bottom"]].set_visible(False)
        low, high = float(values[:, 0].min()), float(values[:, 4].max())
        ax.set_yticks([low, high], [f"{low:.2g}", f"{high:.2g}"])
        ax.tick_params(labelsize=SMALL - 2, length=2, bottom=False)
        ax.set_ylabel(name or "output", fontsize=SMALL - 1, rotation=0, ha="right", va="center")
    panels[-1].set_xlabel("step", fontsize=SMALL)
    panels[-1].tick_params(labelsize=SMALL - 1, bottom=True)
    panels[0].set_title("values of each layer", fontsize=SMALL)
    ax = right.subplots()
    shades = [COLORS[i % len(COLORS)] for i in range(len(weights))]
    for name, color, look in zip(
        weights, shades, line_styles(f"w{i}" for i in range(len(weights))).values(), strict=True
    ):
        norms = [frame.gradients.get(name, np.nan) for frame in frames]
        ax.semilogy(steps, norms, color=color, linestyle=look["linestyle"], label=name, linewidth=1)
    lines(ax)
    describe(ax, "step", "norm of the gradient")
    legend(right, ax, columns=2)
    return target


def recurrence(found: Mapping[str, Any], figure: FigureBase | None = None, width: float = PAGE) -> Any:
    """A row for each network: what it holds at each step, how far its gradient reaches back, its matrix's eigenvalues.

    found   by name, of npnn.look.recurrence
    """
    target = canvas(figure, width, 0.2 + 2.0 * len(found))
    panels = target.subplots(len(found), 3, squeeze=False, width_ratios=[1.3, 1, 0.9])
    for row, (name, one) in zip(panels, found.items(), strict=True):
        order = np.argsort(-one.hidden.std(axis=0), kind="stable")[:32]
        limit = float(np.abs(one.hidden).max()) or 1.0
        shown = row[0].imshow(one.hidden[:, order].T, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto",
                              interpolation="nearest")  # fmt: skip
        describe(row[0], "step", "unit", f"{name}: hidden values")
        color_bar(row[0], shown, "")
        steps = np.arange(1, len(one.gradients) + 1)
        row[1].semilogy(steps, np.maximum(one.gradients, 1e-30), "o-", color="#0072B2", markersize=3, linewidth=1)
        lines(row[1])
        describe(row[1], "step", "", "gradient of the loss by input")
        turn = np.linspace(0, 2 * np.pi, 200)
        row[2].plot(np.cos(turn), np.sin(turn), color="0.6", linewidth=0.8)
        looks = line_styles(one.eigenvalues)
        for gate, values in one.eigenvalues.items():
            label = gate if len(one.eigenvalues) > 1 else None
            row[2].plot(values.real, values.imag, ".", color=looks[gate]["color"], markersize=3, label=label)
        row[2].set_aspect("equal")
        lines(row[2])
        describe(row[2], "real part", "imaginary", f"eigenvalues,\nlargest {max(one.radius.values()):.2f}")
        if len(one.eigenvalues) > 1:
            row[2].legend(fontsize=SMALL - 2, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return target


def surface(found: Mapping[str, Any], figure: FigureBase | None = None, width: float = PAGE) -> Any:
    """The loss around solutions, side by side, in steps that grow by the same factor; with the way that led there.

    found   by name, of npnn.look.surface
    """
    side = (width - 0.6) / len(found)
    target = canvas(figure, width, min(side, 3.4) + 0.75)
    panels = target.subplots(1, len(found), squeeze=False)[0]
    low = min(float(one.loss.min()) for one in found.values())
    high = max(float(np.quantile(one.loss[np.isfinite(one.loss)], 0.98)) for one in found.values())
    levels = np.geomspace(max(low, 1e-8), max(high, 2 * max(low, 1e-8)), 16)
    for ax, (name, one) in zip(panels, found.items(), strict=True):
        values = np.clip(one.loss, levels[0], levels[-1])
        shown = ax.contourf(one.a, one.b, np.log10(values), np.log10(levels), cmap="viridis")
        ax.contour(one.a, one.b, np.log10(values), np.log10(levels), colors="white", linewidths=0.3)
        if one.path is not None:
            ax.plot(*one.path.T, color="#D55E00", linewidth=1.2)
            ax.plot(*one.path[0], "o", color="white", markeredgecolor="#D55E00", markersize=5)
        ax.plot(0, 0, "*", color="#D55E00", markeredgecolor="white", markersize=9)
        kept = f"\nplane with {100 * one.explained:.0f} % of the way" if one.explained is not None else ""
        describe(ax, title=f"{name}{kept}")
    bar = target.colorbar(shown, ax=panels, fraction=0.03, pad=0.01)
    ticks = np.linspace(np.log10(levels[0]), np.log10(levels[-1]), 5)
    bar.set_ticks(ticks, labels=[f"{10**t:.2g}" for t in ticks])
    bar.set_label("loss", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL - 1)
    return target
