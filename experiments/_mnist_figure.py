"""The figure of all experiments on MNIST together: what was reported, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["reported_and_found"]


def reported_and_found(rows: Mapping[str, Any], reported: Mapping[str, tuple[str, float]]) -> Any:
    """Each row of the report three times: as it was reported, with its faults, and at the same settings without.

    rows      by variant; "NAME-faulted" is NAME with its faults
    reported  the row and the accuracy in %, by variant.  It was measured on examples held out of the
              training set, and so is what stands beside it
    """
    from npnn import plot
    from npnn.plot import style

    names = [name for name in reversed(reported) if name in rows and f"{name}-faulted" in rows]
    page: Any = plot.figure(plot.PAGE, 0.9 + 0.25 * len(names))
    ax = page.subplots()
    ax.plot([reported[name][1] for name in names], range(len(names)), "x", color="0.2", label="reported")
    for backend, shift in (("npnn", 0.16), ("torch", -0.16)):
        for suffix, label in (("-faulted", f"{backend}, with the faults"), ("", f"{backend}, without")):
            places = [
                (100 * float(np.mean([run["validation_accuracy"] for run in runs])), i + shift)
                for i, name in enumerate(names)
                if (runs := getattr(rows[name + suffix], backend))
            ]
            if places:
                look = {**style.FRAMEWORKS[backend], "linestyle": "", "markersize": 4.5}
                fill = "none" if suffix else look["color"]
                ax.plot(*zip(*places, strict=True), label=label, markerfacecolor=fill, **look)
    style.lines(ax)
    style.describe(ax, "accuracy (%) on 10,000 examples held out of the training set")
    ax.set_yticks(range(len(names)), [f"{reported[name][0]}  {name}" for name in names])
    ax.set_xlim(0, 100)
    style.legend(page, ax, columns=5)
    return page
