"""How all figures look: sizes for print, two frameworks and two data sets told apart even in grey.

Figures are made with matplotlib's objects, not with pyplot: nothing is shown, no global list of
figures grows, and no display is needed.  Every drawing function takes ``figure``, a Figure or a
SubFigure to draw into, so that several can share a sheet:

    sheet = figure(7, 5)
    top, bottom = sheet.subfigures(2, 1)
    curves(history, figure=top)
    decision_boundary(model, X, y, figure=bottom)
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import FormatStrFormatter, LogFormatterMathtext, LogLocator, MaxNLocator, NullFormatter

from npnn.io.atomic import atomic_write

__all__ = [
    "COLORS", "COLUMN", "MARKERS", "PAGE", "canvas", "color_bar", "describe", "encoded", "figure", "image", "legend",
    "line_styles", "lines", "plain_log", "save",
]  # fmt: skip

COLUMN = 3.4  # inches: one column of a two-column paper
PAGE = 7.0  # both columns

SMALL, NORMAL = 8, 9  # points, at the printed size

# Blue and vermilion: apart in every kind of colour blindness, and 20 % apart in grey.
# Source: Okabe & Ito, Color Universal Design, 2008.
FRAMEWORKS: dict[str, dict[str, Any]] = {
    "npnn": {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    "torch": {"color": "#D55E00", "linestyle": (0, (4, 2)), "marker": "^"},
}
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000", "#8C510A", "#F0E442"]
LINESTYLES = ["-", (0, (4, 2)), (0, (1, 1)), (0, (5, 1, 1, 1))]
MARKERS = ["o", "^", "s", "D", "v", "P", "X", "<", ">", "*"]


class Shown(Figure):
    """A figure that a notebook shows by itself, as the value of a cell."""

    def _repr_png_(self) -> bytes:
        return encoded(self, 150)


def figure(width: float = PAGE, height: float = 2.6) -> Figure:
    """An empty figure of this size in inches, laid out so that nothing overlaps.  A notebook shows it by itself."""
    return Shown(figsize=(width, height), layout="constrained")


def canvas(given: FigureBase | None, width: float, height: float) -> Any:
    """The figure to draw into: the caller's, or a new one."""
    return figure(width, height) if given is None else given


def line_styles(labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour, dashes and marker for each label: npnn and torch have their own, the others take what is left."""
    labels = list(labels)
    taken = {FRAMEWORKS[label]["color"] for label in labels if label in FRAMEWORKS}
    looks = zip(itertools.cycle(COLORS), itertools.cycle(LINESTYLES), itertools.cycle(MARKERS))
    free = (
        {"color": color, "linestyle": dashes, "marker": marker} for color, dashes, marker in looks if color not in taken
    )
    return {label: FRAMEWORKS[label] if label in FRAMEWORKS else next(free) for label in labels}


def describe(ax: Axes, x: str = "", y: str = "", title: str = "") -> None:
    """Axis labels, title and tick labels in the sizes that all figures share."""
    ax.set_xlabel(x, fontsize=NORMAL)
    ax.set_ylabel(y, fontsize=NORMAL)
    ax.set_title(title, fontsize=NORMAL)
    ax.tick_params(labelsize=SMALL, which="both")


def lines(ax: Axes) -> None:
    """The frame of a plot of lines: two spines, a faint grid behind."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)


def plain_log(axis: Axis) -> None:
    """The numbers of a logarithmic axis: 0.1, 0.2, 0.4 over few decades, 0.1, 1, 10 over more; far from 1 powers."""
    low, high = axis.get_view_interval()
    subs = (1, 2, 4, 6) if high < 20 * low else (1, 2, 5) if high < 200 * low else (1,)
    axis.set_major_locator(MaxNLocator(4) if high < 4 * low else LogLocator(subs=subs))
    axis.set_major_formatter(FormatStrFormatter("%g") if low > 1e-4 and high < 1e5 else LogFormatterMathtext())
    axis.set_minor_formatter(NullFormatter())


def legend(target: FigureBase, axes: Axes | Sequence[Axes], columns: int) -> None:
    """The labelled artists of the axes, each label once, above all of the figure; nothing if none has a label."""
    panels = [axes] if isinstance(axes, Axes) else axes
    named: dict[str, Any] = {}
    for ax in panels:
        for artist, label in zip(*ax.get_legend_handles_labels(), strict=True):
            named.setdefault(label, artist)
    if named:
        target.legend(
            named.values(), named.keys(), loc="outside upper center", ncols=min(columns, len(named)),
            fontsize=SMALL, frameon=False, columnspacing=1.2, handletextpad=0.5,
        )  # fmt: skip


def color_bar(ax: Axes, shown: Any, label: str, ticks: Sequence[float] | None = None) -> Any:
    """A scale beside a picture, exactly as high as it is."""
    bar = ax.figure.colorbar(shown, cax=ax.inset_axes((1.03, 0.0, 0.04, 1.0)), ticks=ticks)
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label(label, fontsize=NORMAL)
    return bar


def image(ax: Axes) -> None:
    """The frame of a picture: no ticks."""
    ax.set_xticks([])
    ax.set_yticks([])


def encoded(fig: Figure, dpi: int = 150) -> bytes:
    """``fig`` as a small PNG, of 256 colours at most."""
    from PIL import Image

    whole = io.BytesIO()
    fig.savefig(whole, format="png", dpi=dpi, metadata={"Software": None})
    small = io.BytesIO()
    Image.open(whole).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


def save(fig: Figure, path: str | os.PathLike[str]) -> None:
    """Write ``fig`` as a PNG of 200 dpi.  The same figure gives the same bytes; a failure leaves the old file whole."""
    with atomic_write(path) as file:  # without this metadata the version of matplotlib would be in the file
        fig.savefig(file, format="png", dpi=200, metadata={"Software": None})
