"""Losses for classification: how surprised the model is at the right class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn.errors import warn
from npnn.function import Function
from npnn.kernels import softmax as kernels
from npnn.nn.activation.softmax import log_softmax, softmax
from npnn.nn.loss.base import Loss, checked_reduction
from npnn.nn.loss.labels import (
    as_rows,
    class_indices,
    class_weight,
    from_rows,
    out_of_range,
    rows_of,
    tensor_of,
)
from npnn.ops.indexing import Put
from npnn.tensor import Tensor

__all__ = ["CrossEntropyLoss", "NLLLoss", "cross_entropy", "nll_loss"]


# ---- cross-entropy


class CrossEntropy(Function):
    """loss = -Σ_c q_c log softmax(x)_c, where q is the label, smoothed and weighted.   x (N, C, *), target (N, *)

    dx = (Σ q) softmax(x) - q, divided by the summed weights if the mean is taken: one pass makes the
    loss and this gradient, which backward only scales.
    """

    scale: float | None  # of the gradient; None: one for each row

    def forward(self, x, target, weight, *, ignore_index, reduction, label_smoothing):
        labels, w = class_indices(x, target), class_weight(weight, x)
        losses, gradient, total, total_weight, invalid = kernels.cross_entropy(
            as_rows(x), labels, w, ignore_index, label_smoothing
        )
        if invalid >= 0:
            out_of_range(target, invalid, x.shape[x.ndim > 1], ignore_index)
        self.gradient, self.shape, self.scale = gradient, x.shape, 1.0
        self.how = labels, w, ignore_index, label_smoothing
        if reduction == "none":
            self.scale = None
            return losses.reshape(target.shape)
        if reduction == "mean":  # of nothing: nan, with gradient 0
            self.scale = 1 / total_weight if total_weight else 0.0
            total = total / total_weight if total_weight else math.nan
        return np.array(total, x.dtype)

    def backward(self, dy):
        scale = dy.reshape(-1, 1) if self.scale is None else float(dy) * self.scale
        return from_rows(self.gradient * scale, self.shape), None, None

    def derivative(self: Any, dy: Any) -> Any:
        labels, w, ignore_index, smoothing = self.how
        C = self.shape[len(self.shape) > 1]
        counts = labels != ignore_index
        q = np.full((len(labels), C), smoothing / C, dy.array.dtype)
        q[counts, labels[counts]] += 1 - smoothing
        if w.size:
            q *= w
        q *= counts[:, None]
        total = q.sum(1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_p = np.log(np.maximum(self.gradient + q, 0) / np.where(total == 0, 1, total))
        log_p[total[:, 0] == 0] = 0  # rows that do not count
        # the scores up to a number for each row, which changes no probability and no gradient
        p = softmax(rows_of(self.input(0, from_rows(log_p, self.shape))), 1)
        scale = dy.reshape(-1, 1) if self.scale is None else dy * self.scale
        return tensor_of((p * total - q) * scale, self.shape), None, None


class SoftCrossEntropy(Function):
    """loss = -Σ_c w_c t'_c log softmax(x)_c with t' = (1 - ε) t + ε/C.   x and t (N, C, *) -> (N, *)

    With q = w t':   dx = (Σ q) softmax(x) - q,   dt = -(1 - ε) w log softmax(x)
    """

    scale: float | None  # of the gradient; None: one for each row

    def forward(self, x, target, weight, *, reduction, label_smoothing):
        log_p = kernels.log_softmax(as_rows(x))
        keep = 1 - label_smoothing
        q = keep * as_rows(target.astype(x.dtype, copy=False)) + label_smoothing / x.shape[x.ndim > 1]
        w = class_weight(weight, x)
        if w.size:
            q *= w
        self.target = target.astype(x.dtype, copy=False)
        self.shape, self.log_p, self.q, self.dt_factor = x.shape, log_p, q, -keep * w if w.size else -keep
        self.scale = 1.0
        losses = -(q * log_p).sum(axis=1)
        if reduction == "none":
            self.scale = None
            return losses.reshape(x.shape[:1] + x.shape[2:] if x.ndim > 1 else ())
        if reduction == "mean":
            self.scale = 1 / len(losses) if len(losses) else 0.0
            return np.array(losses.mean() if len(losses) else math.nan, x.dtype)
        return losses.sum()

    def backward(self, dy):
        scale = dy.reshape(-1, 1) if self.scale is None else float(dy) * self.scale
        dx = dt = None
        if self.needs_grad[0]:
            dx = from_rows((self.q.sum(axis=1, keepdims=True) * np.exp(self.log_p) - self.q) * scale, self.shape)
        if self.needs_grad[1]:
            dt = from_rows(self.dt_factor * self.log_p * scale, self.shape)
        return dx, dt, None

    def derivative(self: Any, dy: Any) -> Any:
        scores = self.input(0, from_rows(self.log_p, self.shape))  # up to a number for each row
        log_p = log_softmax(rows_of(scores), 1)
        q, t = self.q, rows_of(self.target)
        if self.needs_grad[1]:
            q = t * (-self.dt_factor) + (self.q - np.asarray(t) * -self.dt_factor)
        scale = dy.reshape(-1, 1) if self.scale is None else dy * self.scale
        dx = (log_p.exp() * q.sum(1).reshape(-1, 1) - q) * scale
        return tensor_of(dx, self.shape), tensor_of(log_p * self.dt_factor * scale, self.shape), None


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(input)[target]: scores (logits) against classes, or against rows of probabilities.

    input (C,), (N, C) or (N, C, d1, ...); target: class indices of any integer type, of shape (),
    (N,) or (N, d1, ...), or probabilities of the input's shape and a floating-point type.  With
    ``weight`` (C,), a mean over indices is divided by the sum of their weights.  Targets equal to
    ``ignore_index`` count for nothing.  ``label_smoothing`` ε takes ε of the right class's
    probability and shares it out among all.  The mean over no target is nan.

    Errors: ShapeError if the shapes do not fit; DtypeError for class indices that are not integers;
    RuntimeError for an option out of range, or an ignore_index with probabilities; IndexError naming
    the first index that is no class.
    Source: Goodfellow, Bengio & Courville, Deep Learning, 2016, section 6.2.2.3; Szegedy et al.,
    Rethinking the Inception Architecture, 2016, section 7 (smoothing).
    """
    checked_reduction(reduction)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0 and 1, got {label_smoothing}")
    if _probability_checks_left:
        _warn_of_probabilities(input)
    if target.array.dtype.kind == "f" and target.array.shape == input.array.shape:
        if ignore_index >= 0:
            raise RuntimeError(
                f"ignore_index={ignore_index} names a class: probabilities as targets have none to ignore"
            )
        return SoftCrossEntropy.apply(input, target, weight, reduction=reduction, label_smoothing=label_smoothing)
    return CrossEntropy.apply(
        input, target, weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
    )


#: The commonest mistake with this loss is a softmax before it.  The first calls look for it, and
#: each new CrossEntropyLoss starts the count again; after that the check costs nothing.
_CHECKED_CALLS = 3
_probability_checks_left = _CHECKED_CALLS


def _warn_of_probabilities(input: Tensor) -> None:
    global _probability_checks_left
    _probability_checks_left -= 1
    x = input.array
    axis = 0 if x.ndim == 1 else 1
    if (
        not x.size
        or x.ndim == 0
        or x.shape[axis] < 2
        or not x.min() >= 0
        or not abs(x.sum(axis=axis) - 1).max() <= 1e-4
    ):
        return
    _probability_checks_left = 0
    classes = x.shape[axis]
    warn(
        "cross-entropy was given rows that sum to 1, so they look like probabilities. It applies softmax itself: "
        "pass the scores from before the softmax. With probabilities the loss of "
        f"{classes} classes cannot fall below log(e + {classes - 1}) - 1 = {math.log(math.e + classes - 1) - 1:.4f}"
    )


class CrossEntropyLoss(Loss):
    """-log softmax(input)[target]: see cross_entropy.   (N, C, *), (N, *) -> (), or (N, *) without reduction"""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ):
        global _probability_checks_left
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing
        _probability_checks_left = _CHECKED_CALLS

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


# ---- negative log-likelihood


class NLL(Function):
    """loss = -w_t x_t for log-probabilities x (N, C, *) and classes t (N, *).   dx = -w_t at t, 0 elsewhere"""

    scale: float | None  # of the gradient; None: one for each row

    def forward(self, x, target, weight, *, ignore_index, reduction):
        labels, rows = class_indices(x, target), as_rows(x)
        counts = labels != ignore_index
        invalid = np.flatnonzero(counts & ((labels < 0) | (labels >= rows.shape[1])))
        if invalid.size:
            out_of_range(target, int(invalid[0]), rows.shape[1], ignore_index)
        w = class_weight(weight, x)
        here, labels = np.flatnonzero(counts), labels[counts]
        w = w[labels] if w.size else np.ones(len(labels), x.dtype)
        losses = np.zeros(len(rows), x.dtype)
        losses[here] = -w * rows[here, labels]
        self.shape, self.rows_shape, self.picked, self.weights, self.scale = x.shape, rows.shape, (here, labels), w, 1.0
        if reduction == "none":
            self.scale = None
            return losses.reshape(target.shape)
        if reduction == "sum":
            return losses.sum()
        total_weight = float(w.sum())
        self.scale = 1 / total_weight if total_weight else 0.0
        return np.array(losses.sum() / total_weight if total_weight else math.nan, x.dtype)

    def backward(self, dy):
        here, labels = self.picked
        scale = dy.reshape(-1)[here] if self.scale is None else float(dy) * self.scale
        dx = np.zeros(self.rows_shape, dy.dtype)
        dx[here, labels] = -self.weights * scale
        return from_rows(dx, self.shape), None, None

    def derivative(self: Any, dy: Any) -> Any:
        here, labels = self.picked
        scale = dy.reshape(-1)[here] if self.scale is None else dy * self.scale
        nothing = np.zeros(self.rows_shape, dy.array.dtype)
        return tensor_of(Put.apply(nothing, scale * -self.weights, (here, labels), True), self.shape), None, None


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """-input[target] for log-probabilities.  Shapes, weight, ignore_index and errors as in cross_entropy."""
    checked_reduction(reduction)
    return NLL.apply(input, target, weight, ignore_index=ignore_index, reduction=reduction)


class NLLLoss(Loss):
    """-input[target] for log-probabilities: see nll_loss.   (N, C, *), (N, *) -> (), or (N, *) without reduction"""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)
