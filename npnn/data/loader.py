"""DataLoader: batches of a data set, in order or shuffled, augmented if asked, prepared ahead if asked.

An epoch is a function of one number, its seed, drawn from the generator when the epoch begins.  The
order of the samples and the augmentation of each batch follow from it: so it makes no difference
whether another thread prepares the batches, or what else draws from the generator meanwhile, and
an epoch can be taken up again in the middle (``state_dict``).
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import npnn.random
from npnn.data.dataset import gather
from npnn.tensor import Tensor, _from_array

__all__ = ["DataLoader", "share"]

Batch = tuple[Tensor, ...]


class DataLoader:
    """Iterate over ``dataset`` in batches: tuples of Tensors, one per field of a sample.

    Each ``for`` loop is one epoch: every sample once, in a new random order if ``shuffle``.  The
    last batch may be smaller; with ``drop_last`` it is left out.  No batch is ever empty.
    ``transform(x, generator)`` changes the first array of each batch as a whole (augmentation).
    ``prefetch`` batches are prepared ahead in one background thread; this changes no result.
    Random numbers come from ``generator`` (default: npnn's own): one draw per epoch, and none if
    nothing is random.

    Errors: ValueError for an empty data set, a batch size below 1, or nothing left by ``drop_last``.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        transform: Callable[[NDArray[Any], np.random.Generator], NDArray[Any]] | None = None,
        generator: np.random.Generator | None = None,
        prefetch: int = 0,
    ):
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
        if prefetch < 0:
            raise ValueError(f"prefetch is a number of batches, 0 or more, got {prefetch!r}")
        if len(dataset) == 0:
            raise ValueError("the data set is empty: there is nothing to load")
        if drop_last and len(dataset) < batch_size:
            raise ValueError(
                f"drop_last leaves nothing: the data set has {len(dataset)} samples, the batch size is {batch_size}"
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.transform = transform
        self.generator = generator
        self.prefetch = prefetch
        self.rank, self.ranks = 0, 1  # which share of each batch is loaded, of how many
        self._progress: dict[str, Any] = {"seed": None, "position": 0}  # of the epoch begun last
        self._resuming = False

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        n = len(self.dataset)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        # A dict per epoch: a second loop over the same loader does not disturb the first.
        progress = dict(self._progress) if self._resuming else {"seed": None, "position": 0}
        self._progress, self._resuming = progress, False
        if progress["seed"] is None and (self.shuffle or self.transform is not None):
            progress["seed"] = int((self.generator or npnn.random.generator()).integers(1 << 63))
        n = len(self.dataset)
        order = np.random.default_rng(progress["seed"]).permutation(n) if self.shuffle else np.arange(n)
        make = partial(self._make, order, progress["seed"])
        return self._hand_out(make, progress)

    def _make(self, order: NDArray[Any], seed: Any, i: int) -> Batch:
        """Batch number i of the epoch."""
        batch = order[i * self.batch_size : (i + 1) * self.batch_size]
        arrays = gather(self.dataset, batch[share(len(batch), self.rank, self.ranks)])
        if self.transform is not None:
            # i + 1, because [seed, 0] and seed alone would start the same sequence; so do [..., i + 1] and [..., 0]
            x = self.transform(arrays[0], np.random.default_rng([seed, i + 1, self.rank]))
            arrays = (x, *arrays[1:])
        return tuple([_from_array(a) for a in arrays])

    def _hand_out(self, make: Callable[[int], Batch], progress: dict[str, Any]) -> Iterator[Batch]:
        numbers = range(progress["position"], len(self))
        batches = _prepared_ahead(make, numbers, self.prefetch) if self.prefetch else map(make, numbers)
        for batch in batches:
            progress["position"] += 1
            yield batch
        progress.update(seed=None, position=0)

    def shard(self, rank: int, ranks: int) -> DataLoader:
        """A loader of one of ``ranks`` equal shares (to a row) of each batch, for training in as many processes.

        Where this loader's generator is in the same state, all shares together are its batches, in its
        order.  Each is augmented by itself.  Errors: ValueError if a batch has not a row for each share.
        """
        n = len(self.dataset)
        smallest = self.batch_size if self.drop_last else min(self.batch_size, n % self.batch_size or n)
        share(smallest, rank, ranks)
        part = copy.copy(self)
        part.rank, part.ranks = rank, ranks
        return part

    # ---- resuming

    def state_dict(self) -> dict[str, Any]:
        """Where the latest epoch stands: its seed and the number of batches handed out; plain numbers.

        Between epochs there is nothing to remember: the generator's own state says how to go on.
        """
        return dict(self._progress)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Make the next ``for`` loop the rest of the epoch that ``state_dict()`` described.

        Errors: ValueError for a position that this loader does not have.
        """
        seed, position = state_dict["seed"], state_dict["position"]
        if not 0 <= position <= len(self) or (position and seed is None and (self.shuffle or self.transform)):
            raise ValueError(f"{state_dict} does not describe an epoch of {len(self)} batches of this loader")
        self._progress, self._resuming = {"seed": seed, "position": position}, True


def share(rows: int, rank: int, ranks: int) -> slice:
    """The rows of a batch that fall to one of ``ranks`` processes.  Errors: ValueError if there is none for some."""
    if rows < ranks:
        raise ValueError(
            f"a batch of {rows} cannot be shared among {ranks} processes: choose another batch size, "
            "or drop_last=True if it is the last of an epoch"
        )
    return slice(rows * rank // ranks, rows * (rank + 1) // ranks)


def _prepared_ahead(make: Callable[[int], Batch], numbers: range, depth: int) -> Iterator[Batch]:
    """make(i) for each number in turn, computed up to ``depth`` batches ahead by one other thread.

    What goes wrong there is raised here, with its traceback.  Leaving the loop ends the thread.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="npnn-prefetch")
    try:
        waiting: deque[Future[Batch]] = deque(pool.submit(make, i) for i in numbers[:depth])
        for i in range(len(numbers)):
            batch = waiting.popleft().result()
            if i + depth < len(numbers):
                waiting.append(pool.submit(make, numbers[i + depth]))
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)
