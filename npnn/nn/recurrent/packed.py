"""Recurrent layers over packed sequences: stretch by stretch, in each of which the same sequences are still going on.

Forwards, sequences that end leave the batch, and their state is final; backwards, they join it, with the initial one.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from npnn.nn.dropout import dropout
from npnn.nn.recurrent.packing import PackedSequence
from npnn.ops.joining import cat, stack
from npnn.tensor import Tensor, of_array

__all__ = ["run_packed"]

States = tuple[Tensor, ...]


def run_packed(
    rnn: Any, packed: PackedSequence, initial: States | None, **options: Any
) -> tuple[PackedSequence, list[Tensor]]:
    """The packed output of ``rnn``, and its final states (layers x directions, N, H), in the order of the batch."""
    counts = packed.batch_sizes.array
    N = int(counts[0])
    directions = 1 + rnn.bidirectional
    if initial is None:
        widths = [rnn.output_size if name == "h_0" else rnn.hidden_size for name in rnn.states]
        layers, kind = rnn.num_layers * directions, packed.data.array.dtype
        initial = tuple([of_array(np.zeros((layers, N, width), kind)) for width in widths])
    elif packed.sorted_indices is not None:
        initial = tuple([s.index_select(1, packed.sorted_indices) for s in initial])
    x, finals = packed.data, []
    for layer in range(rnn.num_layers):
        if layer and rnn.dropout:
            x = dropout(x, rnn.dropout, rnn.training)
        outputs = []
        for reverse in range(directions):
            i = layer * directions + reverse
            start = tuple([s[i] for s in initial])
            y, last = _one(rnn.layer, x, counts, start, rnn.arguments(i), bool(reverse), options)
            outputs.append(y)
            finals.append(last)
        x = cat(outputs, -1) if rnn.bidirectional else outputs[0]
    ends = [stack(list(kind)) for kind in zip(*finals, strict=True)]
    if packed.unsorted_indices is not None:
        ends = [e.index_select(1, packed.unsorted_indices) for e in ends]
    return packed._replace(data=x), ends


def _one(
    layer: Any, x: Tensor, counts: Any, start: States, weights: Any, reverse: bool, options: dict[str, Any]
) -> tuple[Tensor, States]:
    """One layer in one direction: the packed output and the state of each sequence after its last step."""
    edges = [0, *(np.flatnonzero(np.diff(counts)) + 1).tolist(), len(counts)]  # where the number of sequences changes
    offsets = np.concatenate([[0], np.cumsum(counts)])
    stretches = list(pairwise(edges))
    pieces: list[Any] = [None] * len(stretches)
    going, done = tuple([s[:0] for s in start]) if reverse else start, []
    for k in reversed(range(len(stretches))) if reverse else range(len(stretches)):
        first, stop = stretches[k]
        n = int(counts[first])
        alive = going[0].array.shape[0]
        if reverse and n > alive:  # these sequences end here, and begin here
            going = tuple([cat([g, s[alive:n]]) for g, s in zip(going, start, strict=True)])
        elif n < alive:
            done.append(tuple([g[n:] for g in going]))
            going = tuple([g[:n] for g in going])
        part = x[int(offsets[first]) : int(offsets[stop])].reshape(stop - first, n, x.array.shape[1])
        y, *last = layer.apply(part, *going, *weights, reverse=reverse, **options)
        going = tuple(last)
        pieces[k] = y.reshape((stop - first) * n, y.array.shape[2])
    done.append(going)
    return cat(pieces), tuple([cat(list(parts)) for parts in zip(*reversed(done), strict=True)])
