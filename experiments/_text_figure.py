"""The figure of one run on text: loss and accuracy, and what the network writes."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

import npnn
from experiments.harness.results import Result

__all__ = ["sheet", "written"]

LINES, WIDTH = 16, 58  # of the text that is shown


def sheet(result: Result) -> Any:
    """Curves above, a text below."""
    from npnn import plot
    from npnn.plot import style

    page: Any = plot.figure(plot.PAGE, 5.4)
    above, below = page.subfigures(2, 1, height_ratios=[2.4, 3])
    plot.curves(result.histories, "step", test=result.watched, figure=above)
    ax = below.subplots()
    text = written(result, "ROMEO:\n", LINES * WIDTH)
    lines = [part for line in text.split("\n") for part in textwrap.wrap(line, WIDTH) or [""]]
    ax.text(
        0,
        1,
        "\n".join(lines[:LINES]),
        va="top",
        family="monospace",
        fontsize=style.SMALL,
        parse_math=False,
        transform=ax.transAxes,
    )
    ax.axis("off")
    bits = result.metrics["loss"] / np.log(2)
    style.describe(ax, title=f"what it writes after “ROMEO:”   ({bits:.2f} bits a character on the test set)")
    return page


def written(result: Result, start: str, count: int, seed: int = 0) -> str:
    """``start`` and ``count`` more characters, each drawn from what the network expects after those before it."""
    classes, T = result.data.classes, result.config.length
    known = [classes.index(letter) for letter in start if letter in classes]
    draws = npnn.Generator().manual_seed(seed)
    for _ in range(count):
        scores = result.predict(np.array([known[-T:]]))[0, :, -1]  # (C,)
        share = npnn.softmax(npnn.tensor(scores), 0)
        known.append(int(npnn.multinomial(share, 1, generator=draws)))
    return "".join(classes[code] for code in known)
