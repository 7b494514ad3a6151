"""Rules for what is added up: over the batch, over steps, over uses; and what does not belong to it."""

from __future__ import annotations

import numpy as np

from npnn.testing.case import Case, close
from npnn.testing.probe import Probe

__all__ = []


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


def each_use(case: Case) -> str | None:
    """A parameter that is used several times: right where it is used once."""
    if case.is_input or not case.probe.subject.plain or case.inputs_wrong():
        return None
    x = case.probe.inputs
    for axis, what in ((1, "step"), (0, "item")):
        if any(a.ndim <= axis or a.shape[axis] < 2 for a in x):
            continue
        short = [a[(slice(None),) * axis + (slice(0, 1),)].copy() for a in x]
        try:
            probe = Probe(case.probe.subject, short)
            right = probe.measure(case.value, 8)
            probe.subject.clear()
            probe.forward()
            g = probe.backward()[1].get(case.where)
        except Exception:
            continue
        finally:
            case.probe.forward()
        fits = g is not None and g.shape == right.shape and np.abs(right.numeric).max(initial=0) > 0
        if fits and close(g.reshape(-1)[right.index], right.numeric, case.tolerance):  # type: ignore[union-attr]
            return (
                f"right for one {what} (axis {axis}), wrong for several: it is used in each, and all of these gradients are "
                "to be added, += in place of =, np.add.at for indices that occur twice"
            )
    return None
