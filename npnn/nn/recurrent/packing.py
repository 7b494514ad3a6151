"""Sequences of different lengths in one batch: padded to one length, or packed step by step without the padding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from npnn.errors import ShapeError
from npnn.ops.joining import cat, stack
from npnn.tensor import Tensor, _from_array

__all__ = [
    "PackedSequence", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence", "pad_sequence",
    "unpack_sequence", "unpad_sequence",
]  # fmt: skip


class _Packed(NamedTuple):
    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(_Packed):
    """Step 0 of all sequences, then step 1 of those that have it, and so on: ``data`` (sum of lengths, ...).

    ``batch_sizes`` says how many sequences have each step; the longest come first, in the order ``sorted_indices``
    of the batch, and ``unsorted_indices`` is the way back.
    """

    def __new__(
        cls, data: Tensor, batch_sizes: Tensor, sorted_indices: Tensor | None = None, unsorted_indices: Tensor | None = None
    ) -> PackedSequence:  # fmt: skip
        if unsorted_indices is None and sorted_indices is not None:
            unsorted_indices = _from_array(np.argsort(sorted_indices.array))
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **options: Any) -> PackedSequence:
        return self._replace(data=self.data.to(*args, **options))

    @property
    def is_cuda(self) -> bool:
        return False


def _places(lengths: Any) -> tuple[Any, Any]:
    """(step, sequence) of each packed element, for lengths from the longest to the shortest."""
    steps = np.arange(int(lengths.max()))
    alive = (lengths[None, :] > steps[:, None]).sum(1)
    step = np.repeat(steps, alive)
    return step, np.concatenate([np.arange(n) for n in alive])


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The steps of padded sequences that are no padding.   input (T, N, *), lengths (N,)

    Errors: RuntimeError for lengths below 1, beyond T, not as many as sequences, or, if ``enforce_sorted``, not
    from the longest to the shortest.
    """
    sizes = np.asarray(lengths.array if isinstance(lengths, Tensor) else lengths, np.int64)
    x = input.transpose(0, 1) if batch_first else input
    if sizes.shape != (x.array.shape[1],):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {sizes.size} and {x.array.shape[1]}"
        )
    if (sizes <= 0).any():
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if sizes.max() > x.array.shape[0]:
        raise RuntimeError(f"a length of {sizes.max()} is beyond the {x.array.shape[0]} steps of the input")
    order = None
    if enforce_sorted:
        if (np.diff(sizes) > 0).any():
            raise RuntimeError(
                "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
                "You can pass `enforce_sorted=False` to pack_padded_sequence to sidestep this requirement."
            )
    else:
        order = np.argsort(-sizes, kind="stable")
        x, sizes = x.index_select(1, _from_array(order)), sizes[order]
    step, sequence = _places(sizes)
    counts = np.bincount(step)
    return PackedSequence(x[step, sequence], _from_array(counts), None if order is None else _from_array(order))


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The way back: (T, N, *), padded with ``padding_value`` to the longest (or ``total_length``), and the lengths."""
    counts = sequence.batch_sizes.array
    lengths = (counts[None, :] > np.arange(counts[0])[:, None]).sum(1)
    T = int(counts.size)
    if total_length is not None:
        if total_length < T:
            raise ValueError(f"Expected total_length to be at least the length of the longest sequence, {T}")
        T = total_length
    step, which = _places(lengths)
    shape = (T, int(counts[0]), *sequence.data.array.shape[1:])
    blank = _from_array(np.full(shape, padding_value, sequence.data.array.dtype))
    padded = blank.index_put((_from_array(step), _from_array(which)), sequence.data)
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices.array]
    return (padded.transpose(0, 1) if batch_first else padded), _from_array(lengths)


def pad_sequence(
    sequences: Iterable[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences (L_i, *) as one tensor (T, N, *), the shorter ones filled up.   Errors: ShapeError for other shapes."""
    parts = list(sequences)
    longest = max(p.array.shape[0] for p in parts)
    rows = []
    for p in parts:
        if p.array.shape[1:] != parts[0].array.shape[1:]:
            raise ShapeError(f"pad_sequence: the sequences differ beyond their length: {p.shape} and {parts[0].shape}")
        missing = (longest - p.array.shape[0], *p.array.shape[1:])
        filling = _from_array(np.full(missing, padding_value, p.array.dtype))
        rows.append(p if not missing[0] else cat([p, filling] if padding_side == "right" else [filling, p]))
    return stack(rows, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences without their padding."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    sizes = lengths.array if isinstance(lengths, Tensor) else lengths
    return [rows[i][: int(n)] for i, n in enumerate(sizes)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (L_i, *) packed."""
    lengths = [s.array.shape[0] for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed batch."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences, True), True)
