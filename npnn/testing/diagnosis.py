"""From a wrong gradient and the right one to the mistake: each rule knows one kind, and says what it saw.

A rule is given the gradient ``g`` of backward, what was measured, and the layer.  It answers None, or one line
with evidence and cure.  The rules are tried in the order of ``RULES``: the first that explains every number has it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from npnn.testing.case import Case
from npnn.testing.factors import factor_by_axis, scale, sign, zero
from npnn.testing.masks import another_point, another_saved, border, mask
from npnn.testing.paths import columns_right, label_only, normaliser, one_step_right, residual_path
from npnn.testing.places import another_shape, layout, parameter_transposed, summed, transposed, transposed_shape
from npnn.testing.uses import averaged, decay, each_use, mixed_items, one_part, overlapping

__all__ = ["diagnose"]


def diagnose(case: Case) -> tuple[str, str]:
    """The kind of mistake, and one line about it."""
    for kind, rule in RULES:
        with np.errstate(all="ignore"):
            found = rule(case)
        if found:
            return kind, found
    worst = np.abs(case.at(case.g) - case.n).max() / max(np.abs(case.n).max(), 1e-300)
    return "missing term", (
        f"backward is wrong by up to {100 * worst:.3g} % of the largest element, and no single slip explains it: "
        "look for a path from this array to the output that backward does not follow back"
    )


RULES: list[tuple[str, Callable[[Case], str | None]]] = [
    ("not summed", summed),
    ("transposed", transposed_shape),
    ("shape", another_shape),
    ("missing term", zero),
    ("sign", sign),
    ("scale", scale),
    ("transposed", transposed),
    ("l2", decay),
    ("not summed", one_part),
    ("layout", mixed_items),
    ("not summed", each_use),
    ("layout", layout),
    ("transposed", parameter_transposed),
    ("not summed", averaged),
    ("not summed", overlapping),
    ("border", border),
    ("wrong value saved", another_saved),
    ("wrong value saved", another_point),
    ("missing term", label_only),
    ("missing term", one_step_right),
    ("missing term", columns_right),
    ("mask", mask),
    ("missing term", residual_path),
    ("missing term", normaliser),
    ("missing term", factor_by_axis),
]
