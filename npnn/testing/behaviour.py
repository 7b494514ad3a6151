"""How forward and backward behave: random or not, what they change, what is left from call to call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from npnn.testing.finding import Finding
from npnn.testing.probe import Probe

__all__ = ["ROUNDING", "behaviour", "dtypes_of", "input_name", "randomness", "stale"]

ROUNDING = 1e-5  # of finite differences in float64, as a share of the largest element


def randomness(probe: Probe) -> Iterator[Finding]:
    """Do two calls give the same, and if not, is there a switch that turns this off?"""
    once, same, other = (probe.forward(seed=seed) for seed in (0, 0, 1))
    cure = "give it a switch for evaluation, and draw from a generator that can be seeded"
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(once, same, strict=True)):
        yield Finding("random", "output", f"two calls differ, and cannot be repeated from a seed: {cure}")
        return
    if probe.streams:  # a generator of its own, which has gone on since the last call
        other = [np.array(y) for y in probe.subject.forward([x.copy() for x in probe.inputs])]
    if all(np.array_equal(a, b, equal_nan=True) for a, b in zip(once, other, strict=True)):
        return
    if not probe.subject.can_be_turned_off:
        yield Finding("random", "output", f"two calls differ, and nothing turns this off: {cure}")
        return
    with probe.subject.evaluation():
        off = [probe.forward(seed=seed) for seed in (0, 1)]
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*off, strict=True)):
        yield Finding("random", "output", "two calls differ in evaluation mode, too: look at training before drawing")


def dtypes_of(probe: Probe) -> Iterator[Finding]:
    """Is all float64 where the input is?"""
    if not probe.y:
        yield Finding("dtype", "output", "forward returns no array of floats: whole numbers have no gradient")
        return
    for y in probe.y:
        if y.dtype != np.float64:
            yield Finding(
                "dtype", "output", f"{y.dtype} comes out where float64 goes in: compute in the dtype of the input"
            )
            return
    probe.subject.clear()
    probe.forward()
    dx, dp = probe.backward()
    for where, gradient in [*((input_name(i, probe), g) for i, g in enumerate(dx)), *dp.items()]:
        if gradient is not None and gradient.dtype != np.float64 and gradient.dtype.kind in "fiub":
            yield Finding("dtype", where, f"its gradient is {gradient.dtype} where all else is float64")


def input_name(i: int, probe: Probe) -> str:
    """What an input is called: by its number, if there are several of floats."""
    return "input" if sum(x.dtype.kind == "f" for x in probe.inputs) == 1 else f"input {i}"


def behaviour(probe: Probe) -> Iterator[Finding]:
    """What forward and backward do to arrays that are not theirs, and from call to call."""
    subject = probe.subject
    given = [x.copy() for x in probe.inputs]
    parameters = {n: p.copy() for n, p in subject.parameters.items()}
    dys = [w.copy() for w in probe.w]
    subject.clear()
    with np.errstate(all="ignore"):
        subject.forward(given)
        for i, (x, before) in enumerate(zip(given, probe.inputs, strict=True)):
            if subject.plain and not np.array_equal(x, before, equal_nan=True):
                yield Finding("changes its input", input_name(i, probe), "forward changes it in place: work on a copy")
        changed = [x.copy() for x in given]
        subject.backward(dys)
    for x, before in zip(given, changed, strict=True):
        if subject.plain and not np.array_equal(x, before, equal_nan=True):
            yield Finding(
                "changes its input", "input", "backward changes the input of forward in place: work on a copy"
            )
    if subject.plain and any(not np.array_equal(a, b) for a, b in zip(dys, probe.w, strict=True)):
        yield Finding("changes its input", "gradient", "backward changes the gradient that it is given: work on a copy")
    for name, before in parameters.items():
        if not np.array_equal(subject.parameters[name], before, equal_nan=True):
            yield Finding(
                "changes its input", name, "forward or backward changes the parameter: the optimiser does that"
            )
            subject.parameters[name][...] = before
            return  # what it gives after that is another layer's
    yield from _from_call_to_call(probe)


def _from_call_to_call(probe: Probe) -> Iterator[Finding]:
    """Three passes one after the other: do gradients grow, and should they?"""
    subject = probe.subject
    calls = [probe.gradients()]
    for _ in range(2):
        probe.forward()
        calls.append(probe.backward())
    for i, dxs in enumerate(zip(*[dx for dx, _ in calls], strict=True)):
        if subject.plain and _grows(*dxs):
            yield Finding("accumulates", input_name(i, probe), "its gradient grows from call to call: = in place of +=")
    for name, gradient in calls[0][1].items():
        of_calls = [dp.get(name) for _, dp in calls]
        if not subject.adds_up and _grows(*of_calls):
            yield Finding(
                "accumulates", name,
                "its gradient grows from call to call, and there is no zero_grad: = in place of +=, or clear it",
            )  # fmt: skip
        elif subject.adds_up and not _grows(*of_calls) and np.abs(gradient).max(initial=0) > 0:
            yield Finding(
                "overwrites", name,
                "a second backward replaces its gradient, where it should be added until zero_grad: += in place of =",
            )  # fmt: skip


def _grows(a: Any, b: Any, c: Any) -> bool:
    """By the same amount from call to call."""
    if a is None or b is None or c is None or not a.shape == b.shape == c.shape:
        return False
    steps = b - a, c - b
    return np.abs(steps[0]).max(initial=0) > 1e-9 and bool(np.allclose(*steps, rtol=1e-6, atol=1e-12))


def stale(probe: Probe, wheres: set[str], tolerance: float, scalar: bool) -> Iterator[Finding]:
    """At other numbers, what was right must be right again: nothing may be left of an earlier forward."""
    subject = probe.subject
    if not subject.plain or tolerance != ROUNDING:
        return
    rng = np.random.default_rng(2)
    other = [
        (x + 0.3 * rng.standard_normal(x.shape) if x.dtype.kind == "f" else x[::-1].copy()) if not (scalar and i) else x
        for i, x in enumerate(probe.inputs)  # of a loss the labels stay as they are
    ]
    try:
        moved = Probe(subject, other, scalar)
        dx, dp = moved.gradients()
    except Exception:
        return
    for where, value, gradient in [
        *((input_name(i, probe), moved.inputs[i], g) for i, g in enumerate(dx) if moved.inputs[i].dtype.kind == "f"),
        *((n, p, dp.get(n)) for n, p in subject.parameters.items()),
    ]:
        if where in wheres and gradient is not None and gradient.shape == value.shape:
            u = rng.standard_normal(value.shape)
            measured, given = moved.along(value, u), float((gradient * u).sum())
            if abs(measured - given) > 1e-3 * max(float(np.linalg.norm(gradient)), abs(measured), 1e-6):
                yield Finding(
                    "wrong value saved", where,
                    "right for the first input, wrong for the next: backward uses what an earlier forward has left; save "
                    "anew in each forward",
                )  # fmt: skip
