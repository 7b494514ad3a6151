"""The answers at the top of RESULTS.md: sentences whose numbers come from the recorded runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from npnn.experiment.registry import Experiment
from npnn.experiment.rows import Row, mean_and_spread, pairs

__all__ = ["accuracy", "render"]

SAME, NEAR = 0.1, 1.0  # points of accuracy


def accuracy(rows: Mapping[str, Row], variant: str) -> str | None:
    """For a sentence: the mean accuracy of a variant on the test set and its spread, in %; None if it has not run."""
    found = mean_and_spread(rows[variant].accuracies) if variant in rows else ""
    return f"{found.split(' (')[0]} %" if found else None


def render(tables: Sequence[tuple[Experiment, Mapping[str, Row]]]) -> str:
    """A question and its answer, one below the other; those of the experiments after the two that concern all."""
    every = [row for _, table in tables for row in table.values()]
    found = {**_of_all(every)}
    for experiment, table in tables:
        found.update(experiment.answers(table))
    return "\n".join(["## Answers", "", *(f"**{question}** {text}\n" for question, text in found.items())])


def _of_all(every: Sequence[Row]) -> dict[str, str]:
    found = [(row, pair) for row in every for pair in pairs(row) if not np.isnan(pair.apart)]
    if not found:
        return {}
    apart = np.array([pair.apart for _, pair in found])
    ratios = np.array([pair.ratio for _, pair in found])
    worst = sorted({row.variant for (row, _), d in zip(found, apart, strict=True) if d > NEAR})
    matches = (
        f"Of {len(found)} pairs of runs from one seed, with nothing copied, {np.mean(apart <= SAME):.0%} end with the same "
        f"accuracy on the test set to {SAME} points, {np.mean(apart <= NEAR):.0%} to {NEAR:g} point."
    )
    short = sum("stop_after" in pair.torch for _, pair in found)
    if short:
        matches += f" In {short} of them PyTorch's ended after its first epochs, and the accuracies there are compared."
    if worst:
        matches += f" The others are trainings that jump, where rounding decides: {', '.join(f'`{v}`' for v in worst)}."
    faster = (
        f"A step of npnn takes {np.median(ratios):.2f} of the time of PyTorch's, in the median of these pairs (from "
        f"{ratios.min():.2f} to {ratios.max():.2f}), both on the same number of threads."
    )
    return {"Does it match PyTorch?": matches, "Is it faster?": faster}
