"""Questions to a batch: are the inputs of a size that a network can take, and do labels belong to them?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.testing.finding import Finding

__all__ = ["examine_inputs", "examine_labels"]

LARGE = 20.0  # an input that is larger than any of a normalised batch
ENOUGH = 128  # labelled items, from which on chance can be told from a relation
FEATURES = 2000  # of each item, at most: others are left out
SURPRISING = 1.0, 3.0  # standard deviations above chance, of the four rules' mean and of the best: some relation


def examine_inputs(x: NDArray[Any]) -> Iterator[Finding]:
    if x.dtype.kind == "u":
        yield Finding(
            "inputs", "batch", f"they are {x.dtype}, 0 to {x.max(initial=0)}: convert, and bring them to about -1 to 1"
        )
        return
    if x.dtype.kind != "f" or not x.size:
        return
    if not np.isfinite(x).all():
        yield Finding("inputs", "batch", f"{int((~np.isfinite(x)).sum())} of the {x.size} numbers are nan or infinite")
        return
    mean, std, largest = float(x.mean()), float(x.std()), float(np.abs(x).max())
    if len(x) > 1 and std < 1e-6 * max(1.0, abs(mean)):
        yield Finding("inputs", "batch", f"they are all alike ({mean:.3g}): nothing can be learnt from them")
    elif std > LARGE or (largest > LARGE and abs(mean) > 3 * std) or abs(mean) > LARGE:
        yield Finding(
            "inputs", "batch",
            f"they are not normalised (mean {mean:.3g}, standard deviation {std:.3g}): subtract the mean of the training "
            "set and divide by its standard deviation",
        )  # fmt: skip


def examine_labels(x: NDArray[Any], y: NDArray[Any]) -> Iterator[Finding]:
    """Do four simple classifiers know more than chance?  None does if inputs or labels were shuffled alone."""
    if y.ndim != 1 or y.dtype.kind not in "iu" or len(y) != len(x) or len(y) < ENOUGH or x.dtype.kind != "f":
        return
    classes, labels = np.unique(y, return_inverse=True)
    if not 2 <= len(classes) <= len(y) // 8:
        return
    flat = x.reshape(len(x), -1).astype(np.float64)
    if flat.shape[1] > FEATURES:
        flat = flat[:, np.linspace(0, flat.shape[1] - 1, FEATURES).astype(int)]
    spread = flat.std(axis=0)
    flat = (flat - flat.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    if not flat.size:
        return
    surprise = [_surprise(predicted, labels) for predicted in _predictions(flat, labels, len(classes))]
    if np.mean(surprise) < SURPRISING[0] and max(surprise) < SURPRISING[1]:
        yield Finding(
            "labels", "batch",
            f"neighbours, class means and a linear rule guess the labels of {len(y)} items no better than chance: were "
            "inputs and labels shuffled in the same order?",
        )  # fmt: skip


def _surprise(predicted: NDArray[Any], labels: NDArray[Any]) -> float:
    """By how many standard deviations more are right than if the labels were dealt out anew."""
    n = len(labels)
    share = np.bincount(labels) / n
    chance = float(sum((predicted == k).mean() * share[k] for k in range(len(share))))
    return float(((predicted == labels).mean() - chance) / np.sqrt(max(chance * (1 - chance), 1e-9) / n))


def _predictions(x: NDArray[Any], labels: NDArray[Any], classes: int) -> Iterator[NDArray[Any]]:
    """Each item's class by the others: the nearest, five nearest, the nearest mean, and ridge regression."""
    n = len(x)
    onehot = np.eye(classes)[labels]
    G = x @ x.T
    squared = np.diag(G)[:, None] + np.diag(G)[None] - 2 * G
    np.fill_diagonal(squared, np.inf)
    order = squared.argsort(axis=1)
    yield labels[order[:, 0]]
    yield onehot[order[:, :5]].sum(axis=1).argmax(axis=1)
    counts = onehot.sum(axis=0)
    means = (onehot.T @ x) / counts[:, None]
    distances = (means**2).sum(1)[None] - 2 * x @ means.T
    own = x - (means[labels] * counts[labels, None] - x) / np.maximum(counts[labels, None] - 1, 1)
    distances[np.arange(n), labels] = (own**2).sum(1) - (x**2).sum(1)
    yield distances.argmin(axis=1)
    H = G @ np.linalg.inv(G + 0.1 * np.trace(G) / n * np.eye(n))
    left_out = (H @ onehot - np.diag(H)[:, None] * onehot) / np.maximum(1 - np.diag(H)[:, None], 1e-6)
    yield left_out.argmax(axis=1)
