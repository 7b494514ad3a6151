"""The figure of one run on text: loss and accuracy, and what the network writes."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

import npnn
from npnn.experiment.results import Result

__all__ = ["sheet", "written"]

LINES, WIDTH = 20, 52  # of each text that is shown
TEMPERATURES = {1.0: "drawn as it expects", 0.5: "what is likely drawn more often"}


def sheet(result: Result) -> Any:
    """Curves above, two texts below."""
    from npnn import plot
    from npnn.plot import style

    page: Any = plot.figure(plot.PAGE, 5.4)
    above, below = page.subfigures(2, 1, height_ratios=[2.4, 3])
    plot.curves(result.histories, "step", test=result.watched, figure=above)
    bits = result.metrics["loss"] / np.log(2)
    below.suptitle(f"after “ROMEO:”   ({bits:.2f} bits a character on the test set)", fontsize=style.NORMAL)
    for ax, (temperature, said) in zip(below.subplots(1, 2), TEMPERATURES.items(), strict=True):
        text = written(result, "ROMEO:\n", LINES * WIDTH, temperature)
        lines = [part for line in text.split("\n") for part in textwrap.wrap(line, WIDTH) or [""]]
        ax.text(
            0, 1, "\n".join(lines[:LINES]), va="top", family="monospace", fontsize=style.SMALL - 1, parse_math=False,
            transform=ax.transAxes,
        )  # fmt: skip
        ax.axis("off")
        style.describe(ax, title=said)
    return page


def written(result: Result, start: str, count: int, temperature: float, seed: int = 0) -> str:
    """``start`` and ``count`` more characters, each drawn from what the network expects after those before it.

    The scores are divided by ``temperature``: below 1 the likely characters become likelier.
    """
    classes, T = result.data.classes, result.config.length
    known = [classes.index(letter) for letter in start if letter in classes]
    draws = npnn.Generator().manual_seed(seed)
    for _ in range(count):
        scores = result.predict(np.array([known[-T:]]))[0, :, -1]  # (C,)
        share = npnn.softmax(npnn.tensor(scores / temperature), 0)
        known.append(int(npnn.multinomial(share, 1, generator=draws)))
    return "".join(classes[code] for code in known)
