"""Data sets: something with a length that hands out samples, one by number or a batch at once.

A batch is gathered with one indexing operation per array, never sample by sample: for the array
data sets here that is the difference between microseconds and milliseconds.
"""

from __future__ import annotations

import bisect
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import npnn.random
from npnn import dtypes
from npnn.generator import Generator
from npnn.tensor import Tensor, of_array

__all__ = [
    "ChainDataset", "ConcatDataset", "Dataset", "IterableDataset", "StackDataset", "Subset", "TensorDataset", "TrainTest",
    "gather", "random_split", "unit_images",
]  # fmt: skip


class Dataset:
    """Base class: write ``__len__`` and ``__getitem__``, which returns the sample of one number.

    A sample is a tuple of arrays, tensors or numbers (or a single one).  Data that lie in arrays
    should also override ``gather``, which the loader calls.
    """

    in_arrays = False  # True if gather cuts a batch out of arrays, so that the loader need not take sample by sample

    def __class_getitem__(cls, item: Any) -> Any:
        return cls  # Dataset[tuple[Tensor, Tensor]] is an annotation

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__")

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])

    def gather(self, indices: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """The samples of these numbers as one array per field, stacked along a new first axis."""
        samples = [self[int(i)] for i in indices]
        rows = [s if isinstance(s, (tuple, list)) else (s,) for s in samples]
        return tuple(np.stack([dtypes.as_array(v) for v in field]) for field in zip(*rows, strict=True))


class IterableDataset(Dataset):
    """Base class of a stream of samples: write ``__iter__``."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")

    def __add__(self, other: Any) -> Any:
        return ChainDataset([self, other])


class ChainDataset(IterableDataset):
    """Streams, one after the other."""

    def __init__(self, datasets: Iterable[Any]):
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


class ConcatDataset(Dataset):
    """Data sets, one behind the other.  Errors: ValueError for none."""

    def __init__(self, datasets: Iterable[Any]):
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("datasets should not be an empty iterable")
        self.cumulative_sizes = np.cumsum([len(d) for d in self.datasets]).tolist()

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: Any) -> Any:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"sample {index} of {n}")
        index %= n
        which = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]


class StackDataset(Dataset):
    """Data sets side by side: sample i is the tuple (or, of names, the dict) of their samples i."""

    def __init__(self, *args: Any, **kwargs: Any):
        self.datasets: Any = kwargs or args
        sizes = {len(d) for d in (kwargs.values() if kwargs else args)}
        if len(sizes) != 1 or (args and kwargs):
            raise ValueError(f"StackDataset needs data sets of one length, by position or by name; got {sizes}")
        (self._length,) = sizes

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)


class TensorDataset(Dataset):
    """Arrays or tensors whose first axes run together: sample i is ``(tensors[0][i], tensors[1][i], ...)``.

    The data are not copied.  Errors: ValueError naming the lengths if they differ.
    """

    in_arrays = True

    def __init__(self, *tensors: ArrayLike | Tensor):
        self.tensors = tuple(t if isinstance(t, Tensor) else of_array(t) for t in tensors)
        shapes = [t.shape for t in self.tensors]
        if not shapes or not all(shapes):
            raise ValueError(f"TensorDataset needs arrays whose first axis counts the samples, got shapes {shapes}")
        if len({shape[0] for shape in shapes}) > 1:
            raise ValueError(
                f"the arrays differ in the number of samples, the first axis: {', '.join(str(tuple(s)) for s in shapes)}"
            )

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([t[index] for t in self.tensors])

    def gather(self, indices: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        return tuple([_rows(t.array, indices) for t in self.tensors])


def _rows(array: NDArray[Any], indices: NDArray[Any]) -> NDArray[Any]:
    """array[indices].  take is several times faster on small batches, but first copies what is not contiguous."""
    return array.take(indices, axis=0) if array.flags.c_contiguous else array[indices]


class Subset(Dataset):
    """The samples of ``dataset`` at ``indices``.  Errors: TypeError unless these are whole numbers."""

    def __init__(self, dataset: Any, indices: Sequence[int] | NDArray[Any]):
        self.dataset, self.indices = dataset, indices
        self._numbers = np.asarray(indices)
        if self._numbers.ndim != 1 or (self._numbers.size and self._numbers.dtype.kind not in "iu"):
            raise TypeError("a Subset takes a list of sample numbers (for a mask m, pass np.flatnonzero(m))")
        self._numbers = self._numbers.astype(np.intp)

    @property
    def in_arrays(self) -> bool:  # type: ignore[override]
        return getattr(self.dataset, "in_arrays", False)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        found = self._numbers[index]
        return self.dataset[int(found) if found.ndim == 0 else found]

    def gather(self, indices: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        return gather(self.dataset, self._numbers[indices])


def gather(dataset: Any, indices: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """``dataset.gather(indices)``, also for what only has a length and numbered samples (a list of pairs)."""
    own = getattr(dataset, "gather", None)
    return own(indices) if own is not None else Dataset.gather(dataset, indices)


def random_split(
    dataset: Any,
    lengths: Sequence[float],
    generator: Generator | None = None,
    stratify: ArrayLike | Tensor | None = None,
) -> list[Subset]:
    """Cut a data set at random into parts that share no sample.

    ``lengths`` are numbers of samples with sum ``len(dataset)``, or fractions with sum 1 (rounded
    down, the remainder dealt out one by one from the first part on).  With ``stratify``, one label
    per sample, each part has the classes in the proportions of the whole, as nearly as whole numbers
    allow.  Random numbers come from ``generator`` (default: npnn's own).

    Errors: ValueError if lengths or labels do not fit the data set.
    """
    n = len(dataset)
    counts = _whole_lengths(n, lengths)
    order = (generator or npnn.random.generator()).randperm(n)
    if stratify is not None:
        labels = np.asarray(stratify)
        if labels.shape != (n,):
            raise ValueError(f"stratify needs one label for each of the {n} samples, got shape {labels.shape}")
        order = _spread_classes(order, labels)
    return [Subset(dataset, part.tolist()) for part in np.split(order, np.cumsum(counts)[:-1])]


def _whole_lengths(n: int, lengths: Sequence[float]) -> list[int]:
    total = sum(lengths)
    if any(length < 0 for length in lengths):
        raise ValueError(f"lengths must not be negative, got {list(lengths)}")
    if math.isclose(total, 1) and total <= 1 + 1e-9:
        counts = [math.floor(n * fraction) for fraction in lengths]
        for i in range(n - sum(counts)):
            counts[i % len(counts)] += 1
    else:
        counts = [int(length) for length in lengths]
        if sum(counts) != n or counts != list(lengths):
            raise ValueError(
                f"lengths must be whole numbers with sum {n}, the size of the data set, or fractions with sum 1; "
                f"got {list(lengths)}"
            )
    for i, count in enumerate(counts):
        if count == 0:
            warnings.warn(f"part {i} of the split is empty", stacklevel=3)
    return counts


def _spread_classes(order: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """Reorder so that every stretch of the result holds the classes in their overall proportions.

    The r-th of a class's c members goes to the point (r + 1/2) / c of the way: each class is spread
    evenly from beginning to end, so that wherever the sequence is cut, each side gets its share.
    """
    _, which, count = np.unique(labels[order], return_inverse=True, return_counts=True)
    by_class = np.argsort(which, kind="stable")
    rank = np.empty(len(order))
    rank[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    return order[np.argsort((rank + 0.5) / count[which], kind="stable")]


@dataclass(frozen=True, eq=False, repr=False)
class TrainTest:
    """What every source returns: the two parts of a data set as arrays, and the names of the classes."""

    train_x: NDArray[Any]
    train_y: NDArray[Any]
    test_x: NDArray[Any]
    test_y: NDArray[Any]
    classes: tuple[str, ...]

    @property
    def train(self) -> TensorDataset:
        return TensorDataset(self.train_x, self.train_y)

    @property
    def test(self) -> TensorDataset:
        return TensorDataset(self.test_x, self.test_y)

    def __repr__(self) -> str:
        x, n_test, n_classes = self.train_x, len(self.test_x), len(self.classes)
        return f"TrainTest(train={len(x)}, test={n_test}, x={x.dtype}{x.shape[1:]}, classes={n_classes})"


def unit_images(pixels: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Bytes 0..255 as floats in [0, 1], without a temporary copy; as they are for dtype uint8."""
    dtype = dtypes.resolve(dtype)
    if dtype == dtypes.uint8:
        return pixels
    if dtype.kind != "f":
        raise TypeError(f"images are float32, float64 or uint8, not {dtype}")
    return np.divide(pixels, dtype.type(255), dtype=dtype)
