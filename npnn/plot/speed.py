"""Figures of speed: how close each layer comes to what the machine can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import FigureBase

from npnn.plot.style import PAGE, canvas, describe, legend, line_styles, lines, plain_log

__all__ = ["growth", "roofline"]


def growth(
    series: Mapping[str, Mapping[str, Mapping[str, Iterable[tuple[float, float]]]]],
    figure: FigureBase | None = None,
    width: float = PAGE,
) -> Any:
    """How time grows with size, one panel a kind of size, both on log scales.

    series  kind of size (the axis' label) -> what was timed -> who ran it -> pairs (size, milliseconds); npnn's lines
            are full with filled points, anyone else's broken with hollow ones
    """
    columns = 2 if width >= 5 else 1
    rows = -(-len(series) // columns)
    target = canvas(figure, width, 2.4 * rows + 0.4)
    panels = np.atleast_1d(target.subplots(rows, columns)).ravel()
    looks = line_styles(dict.fromkeys(name for timed in series.values() for name in timed))
    peers = dict.fromkeys(peer for timed in series.values() for runs in timed.values() for peer in runs)
    for ax, (size, timed) in zip(panels, series.items(), strict=False):
        seen: set[float] = set()
        for name, runs in timed.items():
            color, marker = looks[name]["color"], looks[name]["marker"]
            for peer, pairs in runs.items():
                x, y = np.array(sorted(pairs), float).T
                ours = peer == "npnn"
                seen.update(x)
                ax.plot(
                    x, y, color=color, marker=marker, markersize=4, linewidth=1.2, linestyle="-" if ours else "--",
                    markerfacecolor=color if ours else "none", label=name if peer == next(iter(runs)) else "",
                )  # fmt: skip
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ticks = sorted(seen)[:: 1 if len(seen) < 8 else 2]
        ax.set_xticks(ticks, [f"{n:g}" for n in ticks])
        ax.minorticks_off()
        plain_log(ax.yaxis)
        lines(ax)
        describe(ax, size, "ms a step")
    for ax in panels[len(series) :]:
        ax.set_axis_off()
    for peer in peers:
        ours = peer == "npnn"
        fill = "black" if ours else "none"
        panels[0].plot(
            [], [], color="black", marker="o", markerfacecolor=fill, linestyle="-" if ours else "--", label=peer
        )
    legend(target, list(panels[: len(series)]), columns=4 if width >= 5 else 2)
    return target


def roofline(
    points: Mapping[str, Mapping[str, Iterable[tuple[float, float]]]],
    peak_gflops: float,
    bandwidth_gb: float,
    figure: FigureBase | None = None,
    width: float = PAGE,
) -> Any:
    """Speed against arithmetic intensity, both on log scales, under the machine's two limits.

    points        family of layers -> who ran them -> pairs (flops per byte, GFLOP/s); npnn's are
                  filled, anyone else's hollow
    peak_gflops   the flat part of the roof: what the arithmetic units can do
    bandwidth_gb  the slope of the rest, in GB/s: what the memory can bring

    Source: Williams, Waterman & Patterson, Roofline, 2009.
    """
    target = canvas(figure, width, 3.6)
    ax = target.subplots()
    looks = line_styles(points)
    intensities = [peak_gflops / bandwidth_gb]  # where the roof bends
    for family, peers in points.items():
        color, marker = looks[family]["color"], looks[family]["marker"]
        for i, (peer, pairs) in enumerate(peers.items()):
            x, y = np.array(list(pairs), float).T
            intensities.extend(x)
            fill, label = color if peer == "npnn" else "none", "" if i else family
            ax.scatter(x, y, s=16, marker=marker, facecolors=fill, edgecolors=color, label=label, zorder=3)
    for peer in dict.fromkeys(peer for peers in points.values() for peer in peers):
        fill = "black" if peer == "npnn" else "none"
        ax.scatter([], [], s=16, marker="o", facecolors=fill, edgecolors="black", label=peer)
    reach = np.geomspace(min(intensities) / 2, max(intensities) * 2, 200)
    roof = np.minimum(peak_gflops, bandwidth_gb * reach)
    ax.plot(reach, roof, color="black", linewidth=1.2, label=f"{peak_gflops:.0f} GFLOP/s, {bandwidth_gb:.0f} GB/s")
    ax.set_xscale("log")
    ax.set_yscale("log")
    plain_log(ax.xaxis)
    plain_log(ax.yaxis)
    lines(ax)
    describe(ax, "arithmetic intensity (flops per byte)", "speed (GFLOP/s)")
    legend(target, ax, columns=4 if width >= 5 else 2)
    return target
