"""Rules for what is added up: over the batch, over steps, over uses; and what does not belong to it."""

from __future__ import annotations

import numpy as np

from npnn.testing.case import Case, apart, close
from npnn.testing.probe import Probe

__all__ = ["averaged", "decay", "each_use", "mixed_items", "one_part", "overlapping"]


def decay(case: Case) -> str | None:
    if case.is_input:
        return None
    difference, W = case.at(case.g) - case.n, case.at(case.value)
    norm = float(W @ W)
    rate = float(difference @ W) / norm if norm else 0.0
    if not rate or not close(rate * W, difference, 10 * case.tolerance, case.n):
        return None
    return (
        f"backward adds {rate:.3g} times the parameter itself: weight decay belongs to the optimiser "
        "(or to the loss), and not here, or it acts twice"
    )


def one_part(case: Case) -> str | None:
    """g has only what one item, position or step contributes."""
    y, w = case.probe.y, case.probe.w
    if len(y) != 1 or not y[0].ndim:
        return None
    for axis in range(y[0].ndim):
        size = y[0].shape[axis]
        if size < 2:
            continue
        for k in (size - 1, 0):
            part = np.zeros_like(w[0])
            at = (slice(None),) * axis + (k,)
            part[at] = w[0][at]
            contribution = case.right.J @ part.ravel()
            if np.abs(contribution).max(initial=0) > 0 and close(case.at(case.g), contribution, case.tolerance, case.n):
                which = "last" if k else "first"
                what = {0: "item of the batch", 1: "step or channel"}.get(axis, "position")
                if case.is_input and axis == 0:
                    break
                return (
                    f"backward has only what the {which} {what} (axis {axis}) contributes: add up, += in place of =, "
                    "or .sum over that axis"
                )
    return None


def averaged(case: Case) -> str | None:
    """Right but for parts that should be added, or were averaged with others, along an axis."""
    g = case.g
    for axis in range(g.ndim):
        if g.shape[axis] > 1 and case.fits(np.broadcast_to(g.sum(axis=axis, keepdims=True), g.shape).copy()):
            return f"each element along axis {axis} has a part of the sum that all of them should have: sum over axis {axis}"
    return None


def overlapping(case: Case) -> str | None:
    """Where an input goes to several outputs, the gradient of one of them only."""
    if not case.is_input or len(case.probe.w) != 1:
        return None
    wrong = apart(case.at(case.g), case.n, case.tolerance)
    parts = case.right.J[wrong] * case.probe.w[0].ravel()
    apart_from_each = np.where(parts == 0, np.inf, np.abs(parts - case.at(case.g)[wrong][:, None]))
    one = apart_from_each.min(axis=1, initial=np.inf)
    several = (np.abs(parts) > 0).sum(axis=1) > 1
    if not wrong.any() or wrong.all() or not several.all() or (one > 1e-4 * np.abs(case.n).max()).any():
        return None
    return "right where an input goes to one output; where it goes to several, as in windows that overlap, += in place of ="


def mixed_items(case: Case) -> str | None:
    """The gradient of a parameter, right for one item: of several the numbers of one are taken for another's."""
    if case.is_input or case.inputs_wrong() or any(x.dtype.kind != "f" or x.ndim < 3 for x in case.probe.inputs):
        return None
    said = _right_for_one(case, 0)
    if not said:
        return None
    return (
        "right for one item, wrong for several: items and positions are in another order than in forward, a reshape "
        "where a transpose was needed"
    )


def each_use(case: Case) -> str | None:
    """A parameter that is used several times: right where it is used once."""
    if case.is_input or case.inputs_wrong():
        return None
    for axis, what in ((1, "step"), (0, "item")):
        if _right_for_one(case, axis):
            return (
                f"right for one {what} (axis {axis}), wrong for several: it is used in each, and all of these gradients are "
                "to be added, += in place of =, np.add.at for indices that occur twice"
            )
    return None


def _right_for_one(case: Case, axis: int) -> bool:
    """Is the gradient of a parameter right, if the inputs are cut to one index of an axis?"""
    x = case.probe.inputs
    if not case.probe.subject.plain or any(a.ndim <= axis or a.shape[axis] < 2 for a in x):
        return False
    try:
        probe = Probe(case.probe.subject, [a[(slice(None),) * axis + (slice(0, 1),)].copy() for a in x])
        right = probe.measure(case.value, 8)
        probe.subject.clear()
        probe.forward()
        g = probe.backward()[1].get(case.where)
    except Exception:  # a layer that does not take so short an input
        return False
    finally:
        case.probe.forward()
    if g is None or g.shape != right.shape or not np.abs(right.numeric).max(initial=0) > 0:
        return False
    return close(g.reshape(-1)[right.index], right.numeric, case.tolerance)
