"""How much a part of a batch weighs in the loss of the whole, where the batch is divided among processes."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.train.backend import Backend

__all__ = ["weight_of"]

WEIGHTED = ("CrossEntropyLoss", "NLLLoss")  # of npnn and torch: means over the rows' weights, not over the rows


def weight_of(loss: Any, targets: Any, backend: Backend) -> float:
    """What the mean of the loss over these rows was divided by.

    The number of rows; of a loss over classes the sum of the targets' weights, Σ w[yᵢ] over yᵢ ≠ ignore_index, where a
    row may have several targets.  It is 0 if all are ignored.
    """
    weight, ignored = getattr(loss, "weight", None), getattr(loss, "ignore_index", -100)
    y = backend.array(targets)
    of_classes = any(kind.__name__ in WEIGHTED for kind in type(loss).__mro__) and loss.reduction == "mean"
    if not of_classes or y.dtype.kind not in "iu":
        return float(len(y))
    counted = y[y != ignored]
    return float(counted.size if weight is None else np.asarray(backend.array(weight), np.float64)[counted].sum())
