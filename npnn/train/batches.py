"""What the trainer takes for data: loaders and arrays, cut into checked pairs of tensors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

from npnn.errors import ShapeError
from npnn.train.backend import Backend
from npnn.train.generators import get_generators, set_generators
from npnn.train.run import Run

__all__ = ["as_batches", "pairs", "rest_of_epoch", "total_steps"]


def pairs(batches: Iterable[Any], backend: Backend) -> Iterator[tuple[Any, Any]]:
    """Each batch as (inputs, targets), tensors of the backend with as many rows as each other."""
    for batch in batches:
        try:
            x, y = batch
        except (TypeError, ValueError):
            raise ValueError(
                f"a batch must be a pair (inputs, targets), this one is {_describe(batch)}; "
                "to train on arrays X and y at once, pass [(X, y)]"
            ) from None
        x, y = backend.tensor(x), backend.tensor(y)
        n = len(y)
        if len(x) != n or not n:
            raise ShapeError(
                "expected one target for each input and one input at least, "
                f"got inputs of shape {tuple(x.shape)} and targets of shape {tuple(y.shape)}"
            )
        yield x, y


def _describe(batch: Any) -> str:
    if hasattr(batch, "shape"):
        return f"one array of shape {tuple(batch.shape)}"
    return f"a {type(batch).__name__}" + (f" of length {len(batch)}" if hasattr(batch, "__len__") else "")


def as_batches(data: Any, batch_size: int) -> Iterable[Any]:
    """A loader as it is; a tuple of arrays, or one array, in slices of ``batch_size`` rows."""
    if isinstance(data, tuple):
        starts = range(0, len(data[0]), batch_size)
        return (tuple(part[i : i + batch_size] for part in data) for i in starts)
    if hasattr(data, "shape"):
        return (data[i : i + batch_size] for i in range(0, len(data), batch_size))
    return data


def total_steps(loader: Any, last_epoch: float, last_step: float) -> int | None:
    """How many steps a run will take at most, None if the loader does not know its length."""
    try:
        total = min(len(loader) * last_epoch, last_step)
    except TypeError:
        total = last_step
    return None if math.isinf(total) else int(total)


def rest_of_epoch(loader: Iterable[Any], run: Run) -> Iterator[Any]:
    """The batches of the epoch in progress that were not used yet: all, unless the run was resumed in the middle.

    The order of the batches was drawn when the epoch began.  So the generators go back there, the
    batches already used are drawn once more, and the generators return to where they are now.
    """
    if not run.batch:
        run.epoch_generators = get_generators(loader)
        return iter(loader)
    now = get_generators(loader)
    set_generators(run.epoch_generators, loader)
    batches = iter(loader)
    used = sum(1 for _ in itertools.islice(batches, run.batch))
    if used < run.batch:
        raise ValueError(f"the run to resume had used {run.batch} batches of its epoch, this loader has only {used}")
    set_generators(now, loader)
    return batches
