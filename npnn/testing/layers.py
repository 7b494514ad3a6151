"""A layer or a loss that anybody wrote, checked: each mistake by its name, with evidence and cure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.testing.base import Subject
from npnn.testing.behaviour import ROUNDING, behaviour, dtypes_of, input_name, randomness, stale
from npnn.testing.case import Case, apart, close
from npnn.testing.diagnosis import diagnose
from npnn.testing.finding import Finding, report
from npnn.testing.losses import loss_subject
from npnn.testing.probe import Probe
from npnn.testing.reference import compare_forward
from npnn.testing.subject import subject_of

__all__ = ["assert_right", "check_layer", "check_loss"]

COARSE, COARSE_EPS = 2e-2, 1e-2  # rounding and step where the layer itself computes in float32
AWAY = 0.01  # how far inputs are moved off a point without a derivative


def check_layer(layer: Any, x: Any, *, reference: Any = None) -> list[Finding]:
    """Compare what ``layer`` gives backward with finite differences, in float64; [] when all is right.

    layer      an object in plain NumPy with forward(x) (or a call) and backward(dy), whose parameters and gradients
               are in dictionaries, lists or attributes (W with dW, grad_W, ...); an npnn.Function, a function of
               npnn tensors, an npnn or a torch module, a torch.autograd.Function; or a pair of functions
               (forward, backward), where forward may return (y, cache)
    x          an input (array), or a tuple of inputs; whole numbers are indices, and get no gradient
    reference  a torch or npnn module, or its name ("Linear"), whose output is compared, too, with the same parameters

    For y = f(x) and a random cotangent w, each element of the gradient of <w, y> is measured:

        n_k = Σ w (f(x + ε e_k) - f(x - ε e_k)) / 2ε

    of large arrays a random choice of elements, and one random direction for the others.  ``layer`` itself is not
    changed: a copy is checked.  Kinds of findings:

    scale, sign, transposed, layout, not summed, missing term, wrong value saved, mask, border, l2, shape    gradients
    accumulates, overwrites, changes its input, random, dtype, forward    how forward and backward behave
    kink    the input has no derivative there; the check moves away from such points and goes on

    Errors: TypeError for what has no forward or backward.  What the layer itself raises, comes out.
    """
    inputs = _inputs(x)
    return _check(subject_of(layer, inputs), inputs, layer, reference)


def check_loss(loss: Any, scores: Any, labels: Any, *, reference: Any = None) -> list[Finding]:
    """As check_layer, for a loss: its value for scores (N, ...) and labels, and the gradient of the scores.

    ``loss`` is an object with forward(scores, labels), and backward() or backward(scores, labels); a module; a function
    of tensors; a pair of functions; or a function that returns the loss and its gradient.
    """
    inputs = [*_inputs(scores), np.asarray(_array(labels))]
    if inputs[-1].dtype.kind == "f":
        inputs[-1] = inputs[-1].astype(np.float64)
    return _check(loss_subject(loss, inputs), inputs, loss, reference, scalar=True)


def assert_right(layer: Any, x: Any = None, *, reference: Any = None) -> None:
    """For tests: AssertionError with the report of check_layer, if it finds anything.

    Without ``x`` the input is random, of the shape that the layer's parameters ask for (8 items).
    """
    if x is None:
        from npnn.testing.reference import example_input

        x = example_input(layer, reference)
    found = check_layer(layer, x, reference=reference)
    if found:
        raise AssertionError(report(found))


def _array(x: Any) -> NDArray[Any]:
    return np.asarray(x.detach().numpy() if hasattr(x, "detach") else x)


def _inputs(x: Any) -> list[NDArray[Any]]:
    arrays = [_array(part) for part in (x if isinstance(x, (tuple, list)) and not np.isscalar(x[0]) else [x])]
    return [np.array(a, np.float64 if a.dtype.kind == "f" else None) for a in arrays]


def _check(
    subject: Subject, inputs: list[NDArray[Any]], layer: Any, reference: Any, scalar: bool = False
) -> list[Finding]:
    probe = Probe(subject, inputs, scalar)
    found = [*randomness(probe), *dtypes_of(probe)]
    if any(f.kind == "random" and "cannot be repeated" in f.message for f in found) or not probe.y:
        return found
    coarse = any(f.kind == "dtype" and f.where == "output" for f in found)
    if coarse:
        probe.eps = COARSE_EPS
    found += behaviour(probe)
    if not any(f.kind == "changes its input" and f.where in subject.parameters for f in found):
        found += _gradients(
            probe, COARSE if coarse else ROUNDING, scalar, {f.where for f in found if f.kind == "accumulates"}
        )
    if reference is not None:
        found += compare_forward(layer, subject, probe, reference)
    return found


def _gradients(probe: Probe, tolerance: float, scalar: bool, passed: set[str]) -> list[Finding]:
    """Each gradient beside the measured one; ``passed`` over are those that grow from call to call."""
    subject = probe.subject
    floats = [i for i, x in enumerate(probe.inputs) if x.dtype.kind == "f" and not (scalar and i)]
    found = list(_kinks(probe, floats)) if tolerance == ROUNDING else []
    dx, dp = probe.gradients()
    targets: list[tuple[str, NDArray[Any], Any, Any]] = []
    for i in floats:
        gradient = dx[i] if i < len(dx) else None
        targets.append((input_name(i, probe), probe.inputs[i], gradient, lambda i=i: probe.backward()[0][i]))
    for name, p in subject.parameters.items():
        targets.append((name, p, dp.get(name), lambda name=name: probe.backward()[1].get(name)))
    agreed: set[str] = set()

    def inputs_wrong() -> bool:
        return any(f.where.startswith("input") and f.kind != "kink" for f in found)

    for where, value, gradient, again in targets:
        if where in passed:
            continue
        right = probe.measure(value, len(targets))
        largest = np.abs(right.numeric).max(initial=0.0)
        if gradient is None:
            if largest > 0:
                told = "backward returns no gradient for it" if where.startswith("input") else "it has no gradient"
                found.append(Finding("missing term", where, f"{told}, and the output depends on it"))
            continue
        gradient = np.asarray(gradient)
        if gradient.dtype.kind not in "fiub":
            found.append(Finding("dtype", where, f"its gradient is of dtype {gradient.dtype}"))
            continue
        g = gradient.astype(np.float64)
        same_shape = g.shape == value.shape
        if same_shape and not np.isfinite(g).all() and np.isfinite(right.numeric).all():
            found.append(Finding("missing term", where, "backward gives nan or infinity where there is a gradient"))
            continue
        smooth = ~right.kinks
        at = g.reshape(-1)[right.index] if same_shape else None
        if at is not None and not apart(at, right.numeric, tolerance)[smooth].any():
            if right.complete or _direction_agrees(probe, value, g, tolerance):
                agreed.add(where)
                continue
            found.append(
                Finding("mask", where, "right for the elements that were measured, wrong for others", g, right.full())
            )
            continue
        case = Case(g, right, probe, where, value, again, tolerance, where.startswith("input"), inputs_wrong)
        kind, message = diagnose(case)
        subject.clear()
        found.append(Finding(kind, where, message, g, right.full()))
    if not inputs_wrong():
        found += _ties(probe, floats)
    found += stale(probe, agreed, tolerance, scalar)
    return found


def _direction_agrees(probe: Probe, value: NDArray[Any], g: NDArray[Any], tolerance: float) -> bool:
    u = probe.rng.standard_normal(value.shape)
    measured, given = probe.along(value, u), float((g * u).sum())
    return abs(measured - given) <= tolerance * 10 * max(float(np.linalg.norm(g)), abs(measured), 1e-3)


def _kinks(probe: Probe, floats: list[int]) -> Iterator[Finding]:
    """Move the inputs off points where they have no derivative, and say so."""
    for i in floats:
        right = probe.measure(probe.inputs[i], 2 * len(floats))
        if right.kinks.any():
            x = probe.inputs[i]
            x += AWAY * np.random.default_rng(1).standard_normal(x.shape)
            if probe.measure(x, 2 * len(floats)).kinks.sum() < right.kinks.sum():
                yield Finding(
                    "kink", input_name(i, probe),
                    f"not differentiable at {int(right.kinks.sum())} of the {len(right.kinks)} elements that were measured "
                    f"(0 under a ReLU, equal values under a maximum): checked {AWAY} away from them",
                )  # fmt: skip
            probe.y = probe.forward()


def _ties(probe: Probe, floats: list[int]) -> Iterator[Finding]:
    """Where each output is one of the inputs: among equal ones, only one may have the gradient."""
    if floats != [0] or len(probe.y) != 1 or not probe.subject.plain or probe.subject.parameters:
        return
    x, y, w = probe.inputs[0], probe.y[0], probe.w[0]
    if y.size >= x.size or not np.isin(y, x).all():
        return
    tied = [np.round(x), *probe.inputs[1:]]
    try:
        probe.subject.clear()
        probe.forward(tied)
        dx = probe.backward()[0][0]
    except Exception:
        return
    if dx is not None and not close(np.array([dx.sum()]), np.array([w.sum()]), 1e-6, w):
        yield Finding(
            "mask", "input",
            "where several elements are the largest, each gets the whole gradient: only the first of them may",
        )  # fmt: skip
