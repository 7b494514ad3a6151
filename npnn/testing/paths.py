"""Rules for a path from the input to the output that is not followed back."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.testing.case import Case, apart, close

__all__ = ["columns_right", "label_only", "normaliser", "one_step_right", "residual_path"]


def one_step_right(case: Case) -> str | None:
    """Of a sequence only the last (or first) step is right: nothing is passed on between the steps."""
    if len(case.right.shape) < 3 or not case.is_input:
        return None
    wrong = apart(case.at(case.g), case.n, case.tolerance)
    places = np.array(np.unravel_index(case.right.index, case.right.shape))
    for axis in range(len(case.right.shape) - 1):
        size = case.right.shape[axis]
        for k, said in ((size - 1, "last"), (0, "first")):
            here = places[axis] == k
            if size > 2 and here.any() and not wrong[here].any() and wrong[~here].mean() > 0.9:
                return (
                    f"right for the {said} step of axis {axis} only: what a step gives to the next is not followed back "
                    "(dh of the next step is to be added)"
                )
    return None


def label_only(case: Case) -> str | None:
    """Of a loss: wrong at the right classes, and nowhere else."""
    labels = case.probe.inputs[-1]
    if len(case.probe.inputs) != 2 or labels.dtype.kind not in "iu" or len(case.right.shape) != 2 or labels.ndim != 1:
        return None
    wrong = apart(case.at(case.g), case.n, case.tolerance)
    rows, columns = np.unravel_index(case.right.index, case.right.shape)
    at = labels[rows] == columns
    if at.any() and wrong[at].all() and not wrong[~at].any():
        return "wrong at the labels and right elsewhere: of cross-entropy the gradient is (softmax - 1) / N there"
    return None


def columns_right(case: Case) -> str | None:
    """Whole columns of a parameter are right, and the others wrong: of gates, those that a path leads to."""
    if case.is_input or not 1 <= len(case.right.shape) <= 2 or not case.right.complete:
        return None
    wrong = apart(case.at(case.g), case.n, case.tolerance).reshape(case.right.shape)
    columns: Any = wrong if wrong.ndim == 1 else wrong.any(axis=0)
    if columns.all() or len(columns) < 4 or (wrong.ndim == 2 and wrong[:, columns].mean() < 0.8):
        return None
    right = np.flatnonzero(~columns)
    return f"right for the columns {right[0]} to {right[-1]} only: a path that leads through the others is not followed back"


def residual_path(case: Case) -> str | None:
    probe = case.probe
    if not case.is_input or len(probe.y) != 1 or probe.y[0].shape != case.right.shape:
        return None
    missing, w = case.n - case.at(case.g), case.at(probe.w[0])
    if close(missing, w, 10 * case.tolerance, case.n):
        return "the gradient of the path around the layer is missing: y = f(x) + x has dx = fᵀ(dy) + dy"
    return None


def normaliser(case: Case) -> str | None:
    """What is missing is a mean, or a multiple of the normalised values, in each group: of a norm or a softmax."""
    if not case.is_input or not case.right.complete:
        return None
    shape, missing = case.right.shape, (case.n - case.g.ravel()).reshape(case.right.shape)
    y = [y for y in case.probe.y if y.shape == shape]
    bases = [np.ones(shape), case.value, *y]
    for axes in [(0,), (len(shape) - 1,), (0, *range(2, len(shape))), tuple(range(1, len(shape)))]:
        if not axes or int(np.prod([shape[a] for a in set(axes)])) < 4:
            continue
        order = [a for a in range(len(shape)) if a not in axes] + list(dict.fromkeys(axes))
        size = int(np.prod([shape[a] for a in dict.fromkeys(axes)]))
        parts = [b.transpose(order).reshape(-1, size) for b in bases]
        rest = missing.transpose(order).reshape(-1, size)
        for used, said in (([0], "through the mean"), ([2], "through the sum of all outputs (a softmax has one)"),
                           ([0, 1], "through the mean and the variance")):  # fmt: skip
            if max(used) >= len(parts):
                continue
            residual = 0.0
            for row in range(len(rest)):
                basis = np.stack([parts[b][row] for b in used], axis=1)
                solution = np.linalg.lstsq(basis, rest[row], rcond=None)[0]
                residual = max(residual, float(np.abs(basis @ solution - rest[row]).max()))
            if residual <= 1e-4 * np.abs(case.n).max() and np.abs(missing).max() > 0:
                return f"the path {said} is missing: what normalises all elements depends on each of them"
    return None
