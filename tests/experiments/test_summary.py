"""One line for each row of the reports, with a verdict that follows from the numbers."""

from __future__ import annotations

import pytest

from npnn.experiment import summary
from npnn.experiment.registry import Reported, experiment, names
from npnn.experiment.rows import Row


def row(variant="a", *accuracies, validation=None, reported=(), name="mlp_toy"):
    """A row as if one variant had reached these accuracies, one for each seed."""

    class Found:
        def reported(self, variant):
            return reported

    Found.name = name
    runs = [{"metrics": {"test_accuracy": a}, "validation_accuracy": validation} for a in accuracies]
    return Row(Found(), variant, npnn=runs)


def test_every_row_of_the_reports_is_claimed_by_a_variant():
    found = [experiment(name) for name in names()]
    claimed = {name for f in found for variant in f.REPORTED for r in f.reported(variant) for name in r.row.split(", ")}
    assert len(summary.ROWS) == 37
    assert claimed == set(summary.ROWS)


@pytest.mark.parametrize(
    ("accuracies", "reported", "expected"),
    [
        ([], Reported("S0-1", "80 %", target=80), "not run"),
        ([0.77], Reported("S0-1", "80 %", "few epochs", target=80), "reproduced"),
        ([0.76, 0.80], Reported("S0-1", "80 %", target=80), "reproduced"),  # the mean counts
        ([0.83], Reported("S0-1", "80 %", target=80), "reproduced"),
        ([0.831], Reported("S0-1", "80 %", "few epochs", target=80), "better"),
        ([0.831], Reported("S0-1", "80 %", "other data", target=80, exact=True), "**missed** by +3.1: other data"),
        ([0.5], Reported("S0-1", "80 %", "few epochs", target=80), "**missed** by -30.0: few epochs"),
        ([0.5], Reported("S0-1", "80 %", target=80), "**missed** by -30.0"),
        ([0.5], Reported("S0-1", "slow", "few epochs"), "shown: few epochs"),
        ([0.5], Reported("S0-1", "slow"), "shown"),
    ],
)
def test_the_verdict(accuracies, reported, expected):
    assert summary.verdict(row("a", *accuracies), reported) == expected


def test_a_figure_of_a_validation_set_is_compared_with_one():
    reported = Reported("S4-1", "dev 80 %", target=80, on="validation")
    ours = row("a", 0.9, validation=0.79, reported=(reported,))
    assert summary.verdict(ours, reported) == "reproduced"
    (line,) = [line for line in summary.lines([ours], lambda row: row.variant) if line[0] == "S4-1"]
    assert line == ("S4-1", "dev 80 %", "mlp_toy: a validation 79.00, test 90.00", "reproduced")


def test_each_row_is_one_line_in_order():
    a = row("a", 0.5, 0.7, reported=(Reported("S0-1, S4-10", "60 %", target=60), Reported("S0-2", "slow", "why")))
    b = row("b", reported=(Reported("S0-1", "60 %", target=60),))
    c = row("c", 0.2, reported=(Reported("S0-1", "", "right"),), name="mnist")
    lines = summary.lines([a, b, c], lambda row: f"[{row.variant}]")
    assert [line[0] for line in lines] == summary.ROWS
    assert lines[0] == (
        "S0-1",
        "60 %",
        "mlp_toy: [a] 60.00 ± 14.14 (2), [b] not run; mnist: [c] 20.00",
        "`a` reproduced; `b` not run; `c` shown: right",
    )
    assert lines[1] == ("S0-2", "slow", "mlp_toy: [a] 60.00 ± 14.14 (2)", "shown: why")
    assert lines[2] == ("S0-3", "", "", "no variant")
    assert lines[-1] == ("S4-10", "60 %", "mlp_toy: [a] 60.00 ± 14.14 (2)", "reproduced")
