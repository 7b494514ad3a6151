"""Questions that take a forward pass, a backward pass or a few steps: does the signal come through, both ways?"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.testing.finding import Finding
from npnn.train.patient import Patient, looking_at_outputs

__all__ = ["examine_batch", "examine_loss", "examine_overfitting", "examine_step"]

MOST_UNITS = 0.5  # of a layer that may be dead or saturated
SATURATED = {"Sigmoid": (0.5, 0.49), "Tanh": (0.0, 0.98)}  # the middle, and how far from it there is no slope
DEPTH = 1e4  # between the gradients of the first weights and the last
LARGE_STEP, SMALL_STEP = 1.0, 1e-7  # share of a weight that the first step changes
ITEMS, STEPS, SECONDS = 10, 100, 2.0
LEARNT = 0.5  # of the first loss


def examine_batch(patient: Patient) -> Iterator[Finding]:
    """In evaluation mode: one output for one input, whatever else is in the batch."""
    patient.model.eval()
    first, again = patient.outputs(), patient.outputs()
    if not hasattr(first, "shape") or patient.axis is None:
        return
    a, b = patient.array(first), patient.array(again)
    if not np.array_equal(a, b, equal_nan=True):
        yield Finding(
            "mode", "model",
            "in evaluation mode two outputs for one input differ: F.dropout wants training=self.training",
        )  # fmt: skip
        return
    items = tuple(patient.x.shape)[patient.axis]
    if items < 3 or len(a) != items:
        return
    index = np.arange(items)
    index[1:] = np.roll(index[1:][::-1], 1)
    other = np.array(patient.array(patient.take(patient.x, index, patient.axis)))
    if other.dtype.kind == "f":
        rest = (slice(None),) * patient.axis + (slice(1, None),)
        other[rest] = 1.5 * other[rest] + 0.1
    c = patient.array(patient.outputs(patient.backend.tensor(other)))
    apart = float(np.abs(a[0] - c[0]).max(initial=0.0))
    if apart > 1e-3 * max(float(np.abs(a[0]).max(initial=0.0)), 1e-3):
        yield Finding(
            "other items", "model",
            f"the output for one item changes by {apart:.2g} when the others of the batch change, in evaluation mode: a "
            "mean, a softmax or a reshape over axis 0",
        )  # fmt: skip


def examine_loss(patient: Patient) -> Iterator[Finding]:
    """What does the loss take the outputs for, and is a network that knows nothing where it should be?"""
    patient.model.train()
    with patient.backend.no_grad():
        output = patient.model(patient.x)
        value = float(patient.loss(output, patient.y))
    if not math.isfinite(value):
        yield Finding("first loss", "loss", f"it is {value} before the first step")
        return
    if not hasattr(output, "shape"):
        return
    scores, y = patient.array(output), patient.array(patient.y)
    if scores.shape == y.shape and y.dtype.kind == "f":
        yield from _binary(scores, y, value)
    if y.dtype.kind not in "iu" or scores.ndim < 2 or scores.shape[:1] + scores.shape[2:] != y.shape:
        return
    classes = scores.shape[1]
    if classes < 2 or not y.size or y.min() < 0 or y.max() >= classes:
        return
    expected = math.log(classes)
    logs = scores - _log_sum(scores)
    entropy = -float(np.take_along_axis(logs, np.expand_dims(y, 1), 1).mean())
    takes_scores = abs(value - entropy) <= 1e-3 * max(1.0, abs(entropy))
    twice = list(_floor(patient, scores, y, classes))
    yield from twice
    if takes_scores and not twice:
        yield from _squashed(patient, scores, classes)
    takes_logs = abs(value + float(np.take_along_axis(scores, np.expand_dims(y, 1), 1).mean())) <= 1e-3 * max(
        1.0, value
    )
    if (takes_scores or takes_logs) and value > 1.5 * expected + 1:
        yield Finding(
            "first loss", "loss",
            f"it is {value:.3g} before the first step, and log({classes}) = {expected:.3g} for a network that knows nothing: "
            "the scores are too large, look at the initial weights and at the size of the inputs",
        )  # fmt: skip


def _log_sum(scores: NDArray[Any]) -> NDArray[Any]:
    top = scores.max(axis=1, keepdims=True)
    return top + np.log(np.exp(scores - top).sum(axis=1, keepdims=True))


def _larger_weights(patient: Patient) -> NDArray[Any]:
    """The outputs if all weights were thirty times as large: scores grow, probabilities cannot."""
    before = [(p, patient.array(p).copy()) for p in patient.model.parameters()]
    try:
        for p, w in before:
            patient.array(p)[...] = 30 * w
        return patient.array(patient.outputs())
    finally:
        for p, w in before:
            patient.array(p)[...] = w


def _squashed(patient: Patient, scores: NDArray[Any], classes: int) -> Iterator[Finding]:
    least = math.log(math.e + classes - 1) - 1
    if scores.min() >= 0 and scores.max() <= 1 and (large := _larger_weights(patient)).min() >= 0 and large.max() <= 1:
        sums = scores.sum(axis=1)
        what = "a softmax" if np.allclose(sums, 1, atol=1e-3) else "a sigmoid" if scores.min() > 0 else None
        if what:
            yield Finding(
                "softmax", "model",
                f"the scores have passed {what} before the cross-entropy, which applies a softmax itself: the loss cannot "
                f"fall below {least:.4f}; leave it out of the model",
            )  # fmt: skip
            return
    if scores.min() == 0 and (scores == 0).mean() > 0.05:
        yield Finding(
            "softmax", "model", "the scores have passed a ReLU before the cross-entropy: none can be negative"
        )


def _floor(patient: Patient, scores: NDArray[Any], y: NDArray[Any], classes: int) -> Iterator[Finding]:
    """The loss of scores that are sure and right: with a softmax before the softmax it is log(e + C - 1) - 1."""
    sure = np.full(scores.shape, -100.0, scores.dtype)
    np.put_along_axis(sure, np.expand_dims(y, 1), 100.0, 1)
    with patient.backend.no_grad():
        value = float(patient.loss(patient.backend.tensor(sure), patient.y))
    least = math.log(math.e + classes - 1) - 1
    if abs(value - least) < 1e-3:
        yield Finding(
            "softmax", "loss",
            f"the loss of scores that are sure and right is {value:.4f} and not 0: a softmax or a sigmoid comes before the "
            "cross-entropy, which applies a softmax itself",
        )  # fmt: skip


def _binary(scores: NDArray[Any], y: NDArray[Any], value: float) -> Iterator[Finding]:
    if not np.isin(y, (0, 1)).all() or scores.min() < 0 or scores.max() > 1:
        return
    with_logits = float((np.logaddexp(0, scores) - scores * y).mean())
    if abs(value - with_logits) <= 1e-4 * max(1.0, with_logits) and scores.std() > 0:
        yield Finding(
            "softmax", "model",
            "the scores have passed a sigmoid before BCEWithLogitsLoss, which applies one itself: leave it out, or use BCELoss",
        )  # fmt: skip


def examine_step(patient: Patient) -> Iterator[Finding]:
    """One step of the optimiser: gradients, units, and by how much the weights move."""
    model, backend = patient.model, patient.backend
    seen: list[Finding] = []
    model.train()
    with looking_at_outputs(model, lambda *what: seen.extend(_units(patient, *what))):
        loss = patient.loss(model(patient.x), patient.y)
    yield from {f.where: f for f in seen}.values()
    patient.optimizer.zero_grad()
    if not loss.requires_grad:
        yield Finding("no gradient", "loss", "the loss does not depend on any parameter: was it detached, or recorded?")
        return
    loss.backward()
    for name, p in model.named_parameters():
        if p.requires_grad and (p.grad is None or not np.any(backend.array(p.grad))):
            what = "no gradient" if p.grad is None else "a gradient of nothing but zeros"
            yield Finding("no gradient", name, f"backward gives it {what}: forward does not use it, or cuts it off")
    yield from _by_depth(patient)
    yield from _moved(patient)


def _units(patient: Patient, name: str, module: Any, output: Any) -> Iterator[Finding]:
    kind = type(module).__name__
    if kind not in ("ReLU", *SATURATED) or not hasattr(output, "shape"):
        return
    y = patient.array(output)
    if y.ndim < 2 or len(y) < 8:
        return
    if kind == "ReLU":
        units = np.moveaxis(y, 1 if y.ndim != 3 else -1, 0)
        share = float((units.reshape(len(units), -1) <= 0).all(axis=1).mean())
        if share > MOST_UNITS:
            yield Finding(
                "dead units", name,
                f"{100 * share:.0f} % of its units are 0 for every item of the batch, and have no gradient: look at the "
                "initial weights and the biases before it",
            )  # fmt: skip
    else:
        middle, far = SATURATED[kind]
        share = float((np.abs(y - middle) > far).mean())
        if share > MOST_UNITS:
            yield Finding(
                "saturated units", name,
                f"{100 * share:.0f} % of its outputs are where {kind.lower()} is flat, and have no gradient: the numbers before "
                "it are too large",
            )  # fmt: skip


def _by_depth(patient: Patient) -> Iterator[Finding]:
    sizes = [
        (name, float(np.sqrt(np.mean(np.square(patient.array(p.grad), dtype=np.float64)))))
        for name, p in patient.weights
        if p.grad is not None
    ]
    sizes = [(name, size) for name, size in sizes if size > 0]
    if len(sizes) < 3:
        return
    (first, a), (last, b) = sizes[0], sizes[-1]
    if a * DEPTH < b:
        yield Finding(
            "vanishing", first, f"its gradient is {a / b:.1e} of that of {last}: nothing of the loss arrives there"
        )
    elif a > DEPTH * b:
        yield Finding(
            "exploding", first, f"its gradient is {a / b:.1e} times that of {last}: it grows from layer to layer"
        )


def _moved(patient: Patient) -> Iterator[Finding]:
    before = {name: patient.array(p).copy() for name, p in patient.weights}
    patient.optimizer.step()
    ratios = {}
    for name, p in patient.weights:
        size = float(np.linalg.norm(before[name]))
        if size > 0 and p.grad is not None:
            ratios[name] = float(np.linalg.norm(patient.array(p) - before[name])) / size
    if not ratios:
        return
    name, most = max(ratios.items(), key=lambda item: item[1])
    if most > LARGE_STEP:
        yield Finding(
            "step size", name, f"the first step changes it by {most:.2g} of its size: a smaller learning rate"
        )
    elif most < SMALL_STEP:
        yield Finding("step size", name, f"the first step changes it by {most:.1e} of its size: a larger learning rate")


def examine_overfitting(patient: Patient) -> Iterator[Finding]:
    """Ten items are learnt by heart, or something is wrong: of what enters the model, or of what comes back."""
    if patient.axis is None or len(patient.y) < 2:
        return
    index = np.arange(min(ITEMS, len(patient.y)))
    x, y = patient.take(patient.x, index, patient.axis), patient.take(patient.y, index)
    states = {name: patient.array(t).copy() for name, t in patient.model.state_dict().items()}
    patient.model.train()
    curves: list[list[float]] = []
    for lr in (3e-3, 3e-2):
        patient.model.load_state_dict(patient.backend.state({n: a.copy() for n, a in states.items()}))
        parameters = [p for p in patient.model.parameters() if p.requires_grad]
        if not parameters:
            return
        adam = _adam(patient)(parameters, lr=lr)
        losses: list[float] = []
        end = time.perf_counter() + SECONDS / 2
        for _ in range(STEPS):
            loss = patient.loss(patient.model(x), y)
            if not loss.requires_grad:
                return
            losses.append(float(loss.detach()))
            adam.zero_grad()
            loss.backward()
            adam.step()
            if not math.isfinite(losses[-1]) or time.perf_counter() > end:
                break
        curves.append(losses)
        if min(losses) <= LEARNT * losses[0] or losses[0] < 0.1:
            return
        if _right(patient, x, y):
            return
    if max(map(len, curves)) < STEPS // 2:
        return  # too slow to tell
    best = min(min(losses) for losses in curves)
    yield Finding(
        "cannot overfit", "model",
        f"{len(index)} items are not learnt by heart: the loss goes from {curves[0][0]:.3g} to {best:.3g} in "
        f"{max(map(len, curves))} steps of Adam; look at what the model sees, and at what comes back",
    )  # fmt: skip


def _adam(patient: Patient) -> Any:
    """Adam of the model's framework."""
    from npnn.io.torch_interop import loaded_torch
    from npnn.nn.module import Module
    from npnn.optim import Adam

    return Adam if isinstance(patient.model, Module) else loaded_torch().optim.Adam


def _right(patient: Patient, x: Any, y: Any) -> bool:
    """Nearly all classes are right."""
    scores, labels = patient.array(patient.outputs(x)), patient.array(y)
    if labels.dtype.kind not in "iu" or scores.ndim < 2 or scores.shape[:1] + scores.shape[2:] != labels.shape:
        return False
    return float((scores.argmax(1) == labels).mean()) >= 0.9
