"""A model in evaluation mode: its outputs, its loss, and what metrics make of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.train.backend import Backend, mode
from npnn.train.batches import as_batches, pairs
from npnn.train.run import Rows

__all__ = ["Metric", "NotFinite", "evaluate", "figures", "predict"]

Metric = Callable[[NDArray[Any], NDArray[Any]], Any]


class NotFinite(ValueError):
    """Outputs that are nan or infinite."""


def evaluate(
    model: Any, loss: Any, metrics: Mapping[str, Metric], backend: Backend, data: Any, batch_size: int
) -> dict[str, Any]:
    """The loss, a mean over all examples, and the metrics.  Errors: ValueError if there are no examples."""
    losses, sizes, outputs, targets = [], [], Rows(), Rows()
    with mode(model, False), backend.no_grad():
        for x, y in pairs(as_batches(data, batch_size), backend):
            output = model(x)
            losses.append(loss(output, y).item())
            sizes.append(len(y))
            if metrics:
                outputs.append(backend.array(output))
                targets.append(backend.array(y))
    if not sizes:
        raise ValueError("there is nothing to evaluate: the data have no batches")
    return figures(losses, sizes, outputs.array, targets.array, metrics)


def figures(
    losses: Sequence[float],
    sizes: Sequence[int],
    outputs: NDArray[Any],
    targets: NDArray[Any],
    metrics: Mapping[str, Metric],
) -> dict[str, Any]:
    """What batches of these losses and sizes, and all of their outputs and targets, amount to.

    Errors: NotFinite for outputs that no metric can be taken of.
    """
    if metrics and outputs.dtype.kind == "f" and not np.isfinite(outputs).all():
        raise NotFinite("the model's outputs are nan or infinite")
    loss = float(np.average(losses, weights=sizes))
    return {"loss": loss, **{name: metric(outputs, targets) for name, metric in metrics.items()}}


def predict(model: Any, backend: Backend, data: Any, batch_size: int) -> NDArray[Any]:
    """The outputs for an array of inputs, or for a loader's.  Errors: ValueError if there are none."""
    outputs = []
    with mode(model, False), backend.no_grad():
        for batch in as_batches(data, batch_size):
            x = batch[0] if isinstance(batch, (tuple, list)) else batch
            outputs.append(backend.array(model(backend.tensor(x))))
    if not outputs:
        raise ValueError("there is nothing to predict: the data have no batches")
    return np.concatenate(outputs)
