"""The figure of all toy experiments together: a rate that is too small, two frameworks that agree, and their speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from npnn.experiment.numbers import history_of

__all__ = ["overview", "step_times"]

RATES = {"": "rate 0.01", "-lr1": "rate 1"}
# Per cent of the test set that who knows the densities it was drawn from gets right: the rings overlap.
# It is the best rule for points to come; of these 200 another may get more.
OPTIMAL = {"circles": 82.0}


def overview(rows: Mapping[str, Any]) -> Any:
    """Four panels, from those of the variants that ran: npnn solid, torch dashed and wider under it."""
    from npnn import plot
    from npnn.plot import style

    sheet: Any = plot.figure(plot.PAGE, 5.2)
    starts, circles, quantiles, times = panels = list(sheet.subplots(2, 2).flat)
    for ax in panels:
        style.lines(ax)
    looks = {backend: {**look, "marker": ""} for backend, look in style.line_styles(["npnn", "torch"]).items()}
    looks["npnn"] |= {"linewidth": 1.0, "zorder": 3}
    looks["torch"] |= {"linewidth": 2.0}  # seen on both sides of npnn's line where the two agree

    if "moons" in rows:
        for backend, look in looks.items():
            for k, run in enumerate(getattr(rows["moons"], backend)):
                history = history_of(run)
                label = backend if k == 0 else None
                starts.plot(history["step"], history["train_loss"], label=label, **look)
    for ax, name in ((circles, "circles"), (quantiles, "quantiles")):
        for suffix, said in RATES.items():
            if name + suffix not in rows:
                continue
            for backend, look in looks.items():
                for k, run in enumerate(getattr(rows[name + suffix], backend)):
                    history = history_of(run)
                    label = backend if k == 0 and not suffix else None
                    right = 100 * np.array(history["validation_accuracy"])
                    ax.plot(history["step"], right, label=label, **look)
            last = [100 * run["history"]["validation_accuracy"][-1] for run in rows[name + suffix].npnn]
            place, side, gap = (max(last), "bottom", 3) if suffix else (min(last), "top", -9)
            ax.annotate(said, (rows[name + suffix].config.steps, place), (0, gap), textcoords="offset points",
                        ha="right", va=side, fontsize=style.SMALL)  # fmt: skip
        if name in OPTIMAL and name in rows:
            ax.axhline(OPTIMAL[name], color="0.3", linestyle=":", linewidth=1.0, label="optimal rule")
        style.describe(ax, "step", "test accuracy (%)", name)
        ax.set_ylim(30, 104)
    count = len(rows["moons"].npnn) if "moons" in rows else 0
    style.describe(starts, "step", "training loss (nats)", f"moons, rate 0.01, {count} initial weights")
    starts.set_ylim(bottom=0)

    found = step_times(rows)
    for backend, shift in (("npnn", -0.2), ("torch", 0.2)):
        timed = {k + shift: per[backend] for k, per in enumerate(found.values()) if backend in per}
        hatch = "" if backend == "npnn" else "////"
        bars = times.bar(
            timed.keys(), timed.values(), 0.4, color=looks[backend]["color"], hatch=hatch, edgecolor="white",
            linewidth=0, label=backend,
        )  # fmt: skip
        times.bar_label(bars, fmt="%.0f", fontsize=style.SMALL)
    times.set_xticks(range(len(found)), [str(batch) for batch in found])
    times.grid(False, axis="x")
    style.describe(times, "points in a step", "median time of a step (µs)", "2-20-2, one thread")
    style.legend(sheet, panels, columns=3)
    return sheet


def step_times(rows: Mapping[str, Any]) -> dict[int, dict[str, float]]:
    """Microseconds of a step by batch size and framework, the median over the runs of 2-20-2 networks."""
    found: dict[int, dict[str, list[float]]] = {}
    for row in rows.values():
        if not row.config.softmax and row.config.dataset not in ("hastie", "multiclass"):
            per = found.setdefault(row.config.batch_size, {"npnn": [], "torch": []})
            for backend in per:
                per[backend] += [1e3 * run["step_ms"] for run in getattr(row, backend)]
    return {
        batch: {backend: float(np.median(times)) for backend, times in per.items() if times}
        for batch, per in sorted(found.items())
    }
