"""What the trainer takes for data: loaders and arrays, cut into checked pairs of tensors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

from npnn.data.dataset import Dataset, IterableDataset, TensorDataset
from npnn.data.loader import DataLoader
from npnn.errors import ShapeError
from npnn.train.backend import Backend
from npnn.train.generators import get_generators, set_generators
from npnn.train.run import Run

__all__ = ["as_batches", "as_loader", "pairs", "rest_of_epoch", "total_steps"]

BATCH = 32  # rows of a batch, where fit is given no loader


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


def as_loader(data: Any, epochs: Any = None) -> Any:
    """What ``fit`` is given: a loader as it is; a Dataset or a pair of arrays, shuffled, in batches of 32.

    Errors: TypeError that names the cure, for a model, or arrays given one by one.
    """
    if hasattr(data, "named_parameters"):
        raise TypeError("fit takes the data: the model was given to Trainer(model, loss, optimizer)")
    if hasattr(epochs, "shape"):
        raise TypeError("fit takes inputs and targets together: fit((X, y), epochs=10), or a DataLoader")
    if isinstance(data, tuple) and len(data) == 2 and all(hasattr(part, "shape") for part in data):
        rows = [len(part) for part in data]
        if rows[0] != rows[1]:
            raise ShapeError(f"expected one target for each input, got {rows[0]} inputs and {rows[1]} targets")
        return DataLoader(TensorDataset(*data), batch_size=BATCH, shuffle=True)
    if hasattr(data, "shape"):
        raise TypeError("fit takes inputs and targets: fit((X, y), epochs=10), or a DataLoader")
    return DataLoader(data, batch_size=BATCH, shuffle=True) if _is_dataset(data) else data


def _is_dataset(data: Any) -> bool:
    """True for a set of single samples, of npnn's or torch's classes, or of one's own with __getitem__ and __len__."""
    if isinstance(data, Dataset):
        return not isinstance(data, IterableDataset)
    own = hasattr(data, "__getitem__") and hasattr(data, "__len__") and not hasattr(data, "__iter__")
    return own and not hasattr(data, "batch_size")


def as_batches(data: Any, batch_size: int) -> Iterable[Any]:
    """A loader as it is; a Dataset, a tuple of arrays, or one array, in slices of ``batch_size`` rows."""
    if _is_dataset(data):
        return DataLoader(data, batch_size=batch_size)
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
