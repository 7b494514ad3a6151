"""The figure of all toy experiments together: a rate that is too small, two frameworks that agree, and their speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.harness.numbers import history_of

__all__ = ["overview", "step_times"]

RATES = {"": "rate 0.01", "-lr1": "rate 1"}
ATTAINABLE = {"circles": 84.0}  # per cent of the test set, by the densities that it was drawn from: the rings overlap


def overview(rows: Mapping[str, Any]) -> Any:
    """Four panels, from those of the variants that ran: npnn solid, torch dashed and over it."""
    from npnn import plot
    from npnn.plot import style

    sheet: Any = plot.figure(plot.PAGE, 5.2)
    starts, circles, quantiles, times = panels = list(sheet.subplots(2, 2).flat)
    for ax in panels:
        style.lines(ax)
    looks = style.line_styles(["npnn", "torch"])
    looks["torch"] = {**looks["torch"], "linewidth": 2.0}  # seen on both sides of npnn's line where the two agree

    if "moons" in rows:
        for backend, look in reversed(looks.items()):
            for k, run in enumerate(getattr(rows["moons"], backend)):
                history = history_of(run)
                label = backend if k == 0 else None
                starts.plot(
                    history["step"], history["train_loss"], label=label, **{"linewidth": 1, **look, "marker": ""}
                )
    for ax, name in ((circles, "circles"), (quantiles, "quantiles")):
        for suffix, said in RATES.items():
            if name + suffix not in rows:
                continue
            for backend, look in reversed(looks.items()):
                for k, run in enumerate(getattr(rows[name + suffix], backend)):
                    history = history_of(run)
                    label = backend if k == 0 and not suffix else None
                    right = 100 * np.array(history["validation_accuracy"])
                    ax.plot(history["step"], right, label=label, **{"linewidth": 1, **look, "marker": ""})
            last = [100 * run["history"]["validation_accuracy"][-1] for run in rows[name + suffix].npnn]
            place, side, gap = (max(last), "bottom", 3) if suffix else (min(last), "top", -9)
            ax.annotate(said, (rows[name + suffix].config.steps, place), (0, gap), textcoords="offset points",
                        ha="right", va=side, fontsize=style.SMALL)  # fmt: skip
        if name in ATTAINABLE:
            ax.axhline(ATTAINABLE[name], color="0.3", linestyle=":", linewidth=1.0, label="attainable")
        style.describe(ax, "step", "test accuracy (%)", f"{name}, both rates")
        ax.set_ylim(30, 106)
    count = len(rows["moons"].npnn) if "moons" in rows else 0
    style.describe(starts, "step", "training loss (nats)", f"moons, rate 0.01, {count} initial weights")
    starts.set_ylim(bottom=0)

    found = step_times(rows)
    for k, per in enumerate(found.values()):
        for (backend, us), shift in zip(per.items(), (-0.2, 0.2), strict=False):
            hatch = "" if backend == "npnn" else "////"
            bar = times.bar(
                k + shift, us, 0.4, color=looks[backend]["color"], hatch=hatch, edgecolor="white", linewidth=0,
                label=backend if k == 0 else None,
            )  # fmt: skip
            times.bar_label(bar, fmt="%.0f", fontsize=style.SMALL)
    times.set_xticks(range(len(found)), [str(batch) for batch in found])
    times.grid(False, axis="x")
    style.describe(times, "points in a step", "time of a step (µs)", "2-20-2, one thread")
    for ax in panels:
        if ax.get_legend_handles_labels()[0]:
            ax.legend(fontsize=style.SMALL - 1, frameon=False)
    return sheet


def step_times(rows: Mapping[str, Any]) -> dict[int, dict[str, float]]:
    """Microseconds of a step by batch size and framework, the median over the runs of 2-20-2 networks.

    Of each run counts the quickest stretch from one record to the next: what else the computer does
    can only make it slower.
    """
    found: dict[int, dict[str, list[float]]] = {}
    for row in rows.values():
        if not row.config.softmax and row.config.dataset not in ("hastie", "multiclass"):
            per = found.setdefault(row.config.batch_size, {"npnn": [], "torch": []})
            for backend in per:
                for run in getattr(row, backend):
                    steps = np.diff([0, *run["history"]["step"]])
                    per[backend].append(1e6 * float(np.min(run["history"]["seconds"] / steps)))
    return {
        batch: {backend: float(np.median(times)) for backend, times in per.items() if times}
        for batch, per in sorted(found.items())
    }
