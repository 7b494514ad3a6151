"""The answers at the top of RESULTS.md: sentences whose numbers come from the recorded runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from npnn.experiment.registry import Experiment
from npnn.experiment.rows import Row, mean_and_spread

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
    pairs = [(row, ours, theirs) for row in every for ours, theirs in _pairs(row)]
    if not pairs:
        return {}
    apart = np.array([100 * abs(_accuracy(ours) - _accuracy(theirs)) for _, ours, theirs in pairs])
    ratios = np.array([ours["step_ms"] / theirs["step_ms"] for _, ours, theirs in pairs])
    worst = sorted({row.variant for (row, _, _), d in zip(pairs, apart, strict=True) if d > NEAR})
    matches = (
        f"Of {len(pairs)} pairs of runs from one seed, with nothing copied, {np.mean(apart <= SAME):.0%} end with the same "
        f"accuracy on the test set to {SAME} points, {np.mean(apart <= NEAR):.0%} to {NEAR:g} point."
    )
    if worst:
        matches += f" The others are trainings that jump, where rounding decides: {', '.join(f'`{v}`' for v in worst)}."
    faster = (
        f"A step of npnn takes {np.median(ratios):.2f} of the time of PyTorch's, in the median of these pairs (from "
        f"{ratios.min():.2f} to {ratios.max():.2f}), both on the same number of threads."
    )
    return {"Does it match PyTorch?": matches, "Is it faster?": faster}


def _pairs(row: Row) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Runs of npnn and torch with the same configuration."""
    for ours in row.npnn:
        for theirs in row.torch:
            if ours["config"] == theirs["config"] and ours["threads"] == theirs["threads"]:
                yield ours, theirs


def _accuracy(run: Mapping[str, Any]) -> float:
    return float(run["metrics"]["test_accuracy"])
