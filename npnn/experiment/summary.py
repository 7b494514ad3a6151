"""The first table of RESULTS.md: each row of the course reports in one line, with what became of it here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from npnn.experiment.registry import Reported
from npnn.experiment.rows import Row, mean_and_spread

__all__ = ["COLUMNS", "LEGEND", "ROWS", "lines", "verdict"]

#: S0-1, the first row of the first report, to S4-10.
ROWS = [f"S{report}-{k}" for report, count in enumerate((9, 7, 7, 4, 10)) for k in range(1, count + 1)]
COLUMNS = ("row", "reported", "found", "verdict")
WITHIN = 3.0  # points of accuracy

LEGEND = f"""## What became of each row

- **found**: npnn's accuracy on the test set in %; where the reported figure is of the set that the model was also
  chosen by, the validation accuracy before it. Each variant leads to its figure.
- **reproduced**: within {WITHIN:g} points of the accuracy reported; **better**: above that; **missed**: below it, or
  above it where the faults of the report were made again. **shown**: there is no such number to compare with.
"""


class Claim(NamedTuple):
    """A variant, and what a row reports of its settings."""

    row: Row
    reported: Reported


def lines(table: Sequence[Row], link: Callable[[Row], str]) -> list[tuple[str, str, str, str]]:
    """The cells of each row, in order; ``link(row)`` names a variant and leads to its figure."""
    claims: dict[str, list[Claim]] = {name: [] for name in ROWS}
    for row in table:
        for reported in row.reported:
            for name in reported.row.split(", "):
                claims.setdefault(name, []).append(Claim(row, reported))
    return [(name, _reported(found), _found(found, link), _verdicts(found)) for name, found in claims.items()]


def _reported(claims: Sequence[Claim]) -> str:
    return "; ".join(dict.fromkeys(claim.reported.figure for claim in claims if claim.reported.figure))


def _found(claims: Sequence[Claim], link: Callable[[Row], str]) -> str:
    by_experiment: dict[str, list[str]] = {}
    for row, reported in claims:
        found = mean_and_spread(row.accuracies) or "not run"
        if row.npnn and reported.on == "validation":
            found = f"validation {mean_and_spread(_accuracies(row, reported))}, test {found}"
        by_experiment.setdefault(row.experiment.name, []).append(f"{link(row)} {found}")
    return "; ".join(f"{name}: {', '.join(variants)}" for name, variants in by_experiment.items())


def _accuracies(row: Row, reported: Reported) -> list[float]:
    """On the set that the reported figure is of."""
    return row.accuracies if reported.on == "test" else [run["validation_accuracy"] for run in row.npnn]


def verdict(row: Row, reported: Reported) -> str:
    """What became of one reported figure in the runs of one variant."""
    if not row.npnn:
        return "not run"
    note = f": {reported.note}" if reported.note else ""
    if reported.target is None:
        return f"shown{note}"
    gap = 100 * float(np.mean(_accuracies(row, reported))) - reported.target
    if abs(gap) <= WITHIN:
        return "reproduced"
    if gap > 0 and not reported.exact:
        return "better"
    return f"**missed** by {gap:+.1f}{note}"


def _verdicts(claims: Sequence[Claim]) -> str:
    """The verdict; where the variants have several, each with the variants that it is of."""
    of: dict[str, list[str]] = {}
    for row, reported in claims:
        of.setdefault(verdict(row, reported), []).append(f"`{row.variant}`")
    if len(of) == 1:
        return next(iter(of))
    return "; ".join(f"{', '.join(variants)} {found}" for found, variants in of.items()) or "no variant"
