"""Samplers: in which order the samples come, and how they are put into batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

import npnn.random
from npnn.generator import Generator

__all__ = [
    "BatchSampler", "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler", "WeightedRandomSampler",
]  # fmt: skip

PIECE = 1 << 16


class Sampler:
    """Base class: write ``__iter__``, which yields sample numbers, and ``__len__`` if it is known."""

    def __init__(self, data_source: Any = None):
        pass

    def __class_getitem__(cls, item: Any) -> Any:
        return cls

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")


class SequentialSampler(Sampler):
    """0, 1, 2, ... in order."""

    def __init__(self, data_source: Sized):
        self.data_source = data_source

    def pieces(self) -> Iterator[NDArray[np.int64]]:
        """The same, many at a time."""
        n = len(self.data_source)
        for i in range(0, n, PIECE):
            yield np.arange(i, min(i + PIECE, n))

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """All samples in random order; or ``num_samples`` draws, with repetitions if ``replacement``.

    The order comes from a generator of its own, seeded by one draw of the common one, or from ``generator``.
    Errors: ValueError for no samples.
    """

    def __init__(
        self, data_source: Sized, replacement: bool = False, num_samples: int | None = None, generator: Any = None
    ):
        self.data_source, self.replacement, self._num_samples = data_source, replacement, num_samples
        self.generator = generator
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={self.num_samples}")

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def _source(self) -> Generator:
        if self.generator is not None:
            return self.generator
        return Generator().manual_seed(npnn.random.generator().random64())

    def pieces(self) -> Iterator[NDArray[np.int64]]:
        """The numbers of one epoch, each piece drawn when it is asked for: others may share the generator."""
        n, source = len(self.data_source), self._source()
        if self.replacement:
            for _ in range(self.num_samples // 32):
                yield source.randint(0, n, (32,))
            yield source.randint(0, n, (self.num_samples % 32,))
            return
        for _ in range(self.num_samples // n):
            yield source.randperm(n)
        rest = self.num_samples % n
        if rest or self.generator is not None:  # PyTorch draws it where nothing is taken, too
            yield source.randperm(n)[:rest]

    def __iter__(self) -> Iterator[int]:
        for piece in self.pieces():
            yield from piece.tolist()

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given sample numbers in random order."""

    def __init__(self, indices: Sequence[int], generator: Any = None):
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[Any]:
        for i in (self.generator or npnn.random.generator()).randperm(len(self.indices)).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Sample numbers drawn in proportion to weights.  Errors: ValueError for no samples."""

    def __init__(self, weights: Any, num_samples: int, replacement: bool = True, generator: Any = None):
        from npnn.tensor import of_array

        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        self.weights = of_array(np.asarray(weights, np.float64))
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        from npnn.ops.drawing import multinomial

        yield from multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator).tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of ``batch_size`` numbers of another sampler; the last may be shorter, or is left out by ``drop_last``."""

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool):
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[Any]]:
        batch = []
        for i in self.sampler:
            batch.append(i)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
