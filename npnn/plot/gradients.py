"""A wrong gradient beside the right one."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import FigureBase
from numpy.typing import NDArray

from npnn.plot import style

__all__ = ["gradients"]


def gradients(backward: Any, numeric: Any = None, title: str = "", figure: FigureBase | None = None) -> Any:
    """What backward gives, what finite differences give, and the difference, three pictures on one scale.

    ``backward`` is an array, or a ``Finding`` of ``npnn.testing.check_layer``, which has both.  Arrays of more than two
    axes are shown as (first axis x the next, last axis).  Elements that were not measured (nan) are grey.
    Errors: ValueError for a finding without gradients, or shapes that differ.
    """
    if numeric is None:
        finding = backward
        title = title or f"{finding.kind}: {finding.where}"
        backward, numeric = finding.backward, finding.numeric
        if backward is None or numeric is None:
            raise ValueError(f"this finding ({finding.kind}) is not about a gradient: it has none to draw")
    g, n = np.asarray(backward, float), np.asarray(numeric, float)
    if g.shape != n.shape:
        raise ValueError(f"the gradients have different shapes: {g.shape} and {n.shape}")
    g, n = _flat(g), _flat(n)
    target = style.canvas(figure, style.PAGE, 2.4)
    largest = float(np.nanmax(np.abs([g, n]), initial=1e-300))
    shown = None
    panels = target.subplots(1, 3)
    for ax, (said, values) in zip(
        panels, {"backward": g, "finite differences": n, "difference": g - n}.items(), strict=True
    ):
        shown = ax.imshow(values, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest", aspect="auto")
        ax.set_facecolor("0.8")
        style.image(ax)
        style.describe(ax, title=said)
    style.color_bar(panels[-1], shown, "gradient")
    if title:
        target.suptitle(title, fontsize=style.NORMAL)
    return target


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array.reshape(1, -1)
