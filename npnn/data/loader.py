"""DataLoader: batches of a data set, in order or shuffled, augmented if asked, prepared ahead if asked.

Arguments, order and random draws are torch's: an epoch draws one seed when it begins (the workers' and
the augmentation's), and shuffling one more with its first batch.  Data sets that lie in arrays are
gathered a batch at once; others sample by sample, here or in worker processes.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import npnn.random
from npnn.data.collate import default_collate, default_convert
from npnn.data.dataset import IterableDataset, gather
from npnn.data.fetching import Batch, Fetch, in_turn, prepared_ahead, share
from npnn.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from npnn.data.workers import Pool
from npnn.generator import Generator
from npnn.tensor import _from_array

__all__ = ["DataLoader"]


class DataLoader:
    """Iterate over ``dataset`` in batches: a list of Tensors, one per field of a sample, as ``collate_fn`` puts it.

    Each ``for`` loop is one epoch: every sample once, in a new random order if ``shuffle``, or as ``sampler``
    or ``batch_sampler`` says.  The last batch may be smaller; with ``drop_last`` it is left out.
    ``num_workers`` processes load ahead, each seeded with the epoch's seed plus its number; ``worker_init_fn``
    is called in each with its number, ``persistent_workers`` keeps them between epochs.
    Random numbers come from ``generator`` (default: npnn's own).  ``pin_memory`` is accepted.

    npnn's own: ``transform(x, generator)`` changes the first array of each batch as a whole (augmentation), and
    ``prefetch`` batches are prepared ahead in one background thread; this changes no result.

    Errors: ValueError for an empty data set, a batch size below 1, nothing left by ``drop_last``, or options
    that exclude each other.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        transform: Callable[[NDArray[Any], Generator], NDArray[Any]] | None = None,
        prefetch: int = 0,
    ):
        if batch_size is not None and (not isinstance(batch_size, (int, np.integer)) or batch_size < 1):
            raise ValueError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
        if prefetch < 0:
            raise ValueError(f"prefetch is a number of batches, 0 or more, got {prefetch!r}")
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError("prefetch_factor option could only be specified in multiprocessing.")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.iterable = isinstance(dataset, IterableDataset)
        if self.iterable and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("DataLoader with IterableDataset: expected no shuffle, sampler or batch_sampler option")
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if not self.iterable and sampler is None and batch_sampler is None:
            n = len(dataset)
            if n == 0:
                raise ValueError("the data set is empty: there is nothing to load")
            if batch_size is not None and drop_last and n < batch_size:
                raise ValueError(
                    f"drop_last leaves nothing: the data set has {n} samples, the batch size is {batch_size}"
                )
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None and sampler is not None:
            batch_sampler = BatchSampler(sampler, int(batch_size), drop_last)
        self.dataset, self.batch_size, self.shuffle, self.drop_last = dataset, batch_size, bool(shuffle), drop_last
        self.sampler, self.batch_sampler, self.num_workers = sampler, batch_sampler, num_workers
        self._batched = batch_size is not None or batch_sampler is not None
        self.collate_fn = collate_fn or (default_collate if self._batched else default_convert)
        self.pin_memory, self.timeout, self.worker_init_fn = pin_memory, timeout, worker_init_fn
        self.multiprocessing_context, self.generator = multiprocessing_context, generator
        self.prefetch_factor, self.persistent_workers = (
            prefetch_factor or (2 if num_workers else None),
            persistent_workers,
        )
        self.pin_memory_device, self.in_order = pin_memory_device, in_order
        self.transform, self.prefetch = transform, prefetch
        self.rank, self.ranks = 0, 1  # which share of each batch is loaded, of how many
        self._progress: dict[str, Any] = {"began": None, "position": 0}  # of the epoch begun last
        self._resuming = False
        self._pool: Pool | None = None

    def __len__(self) -> int:
        """The number of batches in an epoch.  Errors: TypeError if the data set does not know its length."""
        if self.iterable:
            n = len(self.dataset)
            if self.batch_size is None:
                return n
            return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
        return len(self.batch_sampler if self.batch_sampler is not None else self.sampler)

    # ---- one epoch

    def __iter__(self) -> Iterator[Batch]:
        # A dict per epoch: a second loop over the same loader does not disturb the first.
        progress: dict[str, Any] = dict(self._progress) if self._resuming else {"began": None, "position": 0}
        self._progress, self._resuming = progress, False
        source = self.generator or npnn.random.generator()
        if progress["began"] is None:
            progress["began"] = source.state_bytes().tobytes().hex()
            return self._hand_out(self._epoch(source.random64()), progress)
        now, began = source.state_bytes(), np.frombuffer(bytes.fromhex(progress["began"]), np.uint8)
        source.set_state_bytes(began)
        batches = self._epoch(source.random64())
        if progress["position"]:
            for _ in itertools.islice(batches, progress["position"]):
                pass
            source.set_state_bytes(now)
        return self._hand_out(batches, progress)

    def _hand_out(self, batches: Iterator[Batch], progress: dict[str, Any]) -> Iterator[Batch]:
        for batch in batches:
            progress["position"] += 1
            yield batch
        progress.update(began=None, position=0)

    def _epoch(self, base_seed: int) -> Iterator[Batch]:
        if self.num_workers:
            return self._from_workers(base_seed)
        make: Callable[[Any], Any]
        if self._in_arrays():
            # where the epoch's augmentation draws from, as a worker of that number would
            draws = Generator().manual_seed((base_seed + self.rank) % (1 << 64)) if self.transform else None

            def make(indices: Any) -> Any:
                arrays = gather(self.dataset, np.asarray(indices)[share(len(indices), self.rank, self.ranks)])
                if draws is not None:
                    arrays = (self.transform(arrays[0], draws), *arrays[1:])  # type: ignore[misc]
                return [_from_array(a) for a in arrays]
        else:
            make = Fetch(self.collate_fn, self._batched, self.drop_last)(self.dataset)
        batches = self._index_batches()
        return prepared_ahead(make, batches, self.prefetch) if self.prefetch else in_turn(make, batches)

    def _in_arrays(self) -> bool:
        """True if batches can be cut out of arrays at once, or must be, as a transform takes whole batches."""
        if self.iterable or not self._batched or self.collate_fn is not default_collate:
            return False
        return self.transform is not None or self.ranks > 1 or getattr(self.dataset, "in_arrays", False)

    def _index_batches(self) -> Iterator[Any]:
        """The sample numbers of each batch; for a stream, how many to take."""
        if self.iterable:
            return itertools.repeat(self.batch_size)
        if type(self.sampler) in (RandomSampler, SequentialSampler) and type(self.batch_sampler) is BatchSampler:
            return self._slices()
        return iter(self.batch_sampler if self._batched else self.sampler)

    def _slices(self) -> Iterator[Any]:
        size, rest = int(self.batch_size), np.empty(0, np.int64)  # type: ignore[arg-type]
        for piece in self.sampler.pieces():
            piece = np.concatenate([rest, piece]) if len(rest) else piece
            whole = len(piece) - len(piece) % size
            for i in range(0, whole, size):
                yield piece[i : i + size]
            rest = piece[whole:]
        if len(rest) and not self.drop_last:
            yield rest

    def _from_workers(self, base_seed: int) -> Iterator[Batch]:
        pool = self._pool
        if pool is None:
            fetch = Fetch(self.collate_fn, self._batched, self.drop_last)
            pool = Pool(self.dataset, fetch, self.num_workers, self.worker_init_fn, self.multiprocessing_context)
        if self.persistent_workers:
            self._pool = pool
        try:
            yield from pool.batches(self._index_batches(), base_seed, self.prefetch_factor or 2, self.timeout)
        finally:
            if not self.persistent_workers:
                pool.close()

    def shard(self, rank: int, ranks: int) -> DataLoader:
        """A loader of one of ``ranks`` equal shares (to a row) of each batch, for training in as many processes.

        Where this loader's generator is in the same state, all shares together are its batches, in its
        order.  Each is augmented by itself.  Errors: ValueError if a batch has not a row for each share.
        """
        n, size = len(self.dataset), self.batch_size or 1
        smallest = size if self.drop_last else min(size, n % size or n)
        share(smallest, rank, ranks)
        part = copy.copy(self)
        part.rank, part.ranks = rank, ranks
        return part

    # ---- resuming

    def state_dict(self) -> dict[str, Any]:
        """Where the latest epoch stands: the generator's state when it began, as text, and the batches handed out.

        Between epochs there is nothing to remember: the generator's own state says how to go on.
        """
        return dict(self._progress)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Make the next ``for`` loop the rest of the epoch that ``state_dict()`` described.

        The batches already handed out are drawn once more.  Errors: ValueError for a position that this
        loader does not have.
        """
        began, position = state_dict.get("began"), state_dict.get("position", -1)
        if not 0 <= position <= len(self) or (position and began is None):
            raise ValueError(f"this state_dict does not describe an epoch of {len(self)} batches of this loader")
        self._progress, self._resuming = {"began": began, "position": position}, True
