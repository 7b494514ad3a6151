"""How good is a model?  Plain functions of two arrays: what it put out, and what was right.

``outputs`` are the network's raw scores (logits), one row per example and one column per class,
(N, C) or, for a label per time step or pixel, (N, C, d1, ...) as in CrossEntropyLoss.  ``targets``
are class indices, (N,) or (N, d1, ...).  Scores of the same shape as the targets are one logit per
yes-or-no question when there is no class axis to choose from ((N,) or (N, 1), BCEWithLogitsLoss),
and are compared with a row of probabilities when there is.

The trainer calls a metric once per record, on all outputs of the epoch together, so a metric need
not be an average over batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["accuracy", "class_accuracy", "confusion_matrix", "named_metrics", "top_k_accuracy"]


def _decide(outputs: ArrayLike, targets: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """The predicted and the right classes, two integer arrays of one shape."""
    scores, right = np.asarray(outputs), np.asarray(targets)
    if scores.shape == right.shape:
        if scores.ndim < 2 or scores.shape[1] == 1:  # a logit above 0 is a probability above 1/2
            return (scores > 0).astype(np.int64), (right > 0.5).astype(np.int64)
        return scores.argmax(1), right.argmax(1)
    _check(scores, right)
    return scores.argmax(1), right


def _check(scores: NDArray[Any], right: NDArray[Any]) -> None:
    if scores.ndim < 2 or scores.shape[1] < 2 or scores.shape[:1] + scores.shape[2:] != right.shape:
        raise ValueError(
            "expected outputs of shape (N, classes, ...) with two classes or more and targets (N, ...), "
            f"got {scores.shape} and {right.shape}"
        )


def accuracy(outputs: ArrayLike, targets: ArrayLike) -> float:
    """The share of right decisions, between 0 and 1; nan for no examples.

    Errors: ValueError if the shapes do not belong together.
    """
    predicted, right = _decide(outputs, targets)
    return float(np.count_nonzero(predicted == right) / right.size) if right.size else float("nan")


def top_k_accuracy(outputs: ArrayLike, targets: ArrayLike, k: int = 5) -> float:
    """The share of examples whose class is among the ``k`` best scored, nan for no examples.

    A class that ties with the k-th best counts as outside, so that equal scores are not taken for a
    right answer.  Errors: ValueError if the shapes do not belong together or k is not in 1..classes.
    """
    scores, right = np.asarray(outputs), np.asarray(targets)
    _check(scores, right)
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k must be between 1 and the number of classes ({scores.shape[1]}), got {k}")
    own = np.take_along_axis(scores, np.expand_dims(right, 1), axis=1)  # (N, 1, ...)
    as_good = np.count_nonzero(scores >= own, axis=1)  # the class itself is one of them
    found = (as_good <= k) & ~np.isnan(own[:, 0])
    return float(np.count_nonzero(found) / right.size) if right.size else float("nan")


def confusion_matrix(outputs: ArrayLike, targets: ArrayLike) -> NDArray[np.int64]:
    """How often each class was taken for each: counts (C, C), row = right class, column = predicted.

    C is the number of columns of ``outputs`` (2 for single logits).
    Errors: ValueError if the shapes do not belong together; IndexError for a target outside 0..C-1.
    """
    predicted, right = _decide(outputs, targets)
    shape = np.shape(outputs)
    classes = shape[1] if len(shape) > 1 and shape[1] > 1 else 2
    if right.size and not (right.min() >= 0 and right.max() < classes):
        raise IndexError(f"targets must lie in 0..{classes - 1}, got {right.min()} to {right.max()}")
    pairs = right.ravel().astype(np.int64) * classes + predicted.ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def class_accuracy(outputs: ArrayLike, targets: ArrayLike) -> NDArray[np.float64]:
    """The accuracy on the examples of each class (recall), shape (C,); nan for a class without examples."""
    matrix = confusion_matrix(outputs, targets)
    totals = matrix.sum(axis=1)  # (C,)
    return np.divide(matrix.diagonal(), totals, out=np.full(len(totals), np.nan), where=totals > 0)


def named_metrics(metrics: Any) -> dict[str, Any]:
    """Functions by name, from a dict, or a sequence of functions and of names of those in this file.

    Errors: ValueError for a name that is none of them; TypeError for what is neither a name nor a function.
    """
    if isinstance(metrics, Mapping):
        return dict(metrics)
    known: dict[str, Any] = {f.__name__: f for f in (accuracy, class_accuracy, top_k_accuracy)}
    found: dict[str, Any] = {}
    for metric in [metrics] if isinstance(metrics, str) or callable(metrics) else metrics:
        if isinstance(metric, str):
            if metric not in known:
                raise ValueError(
                    f"no metric is called {metric!r}: the names are {', '.join(known)}; others are given as functions"
                )
            metric = known[metric]
        if not callable(metric):
            raise TypeError(f"a metric is a function of (outputs, targets) or a name, got {type(metric).__name__}")
        found[getattr(metric, "__name__", type(metric).__name__)] = metric
    return found
