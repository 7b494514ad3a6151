"""The gradients of a model, summed over processes in few messages.

A message costs the same few microseconds whether it holds one number or a thousand, and a bias is
often no more than that.  So small gradients travel together in one buffer, kept from step to step.
A large one is a buffer already: it is summed where it lies, without being copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.train.backend import Backend

__all__ = ["Bucket", "buckets", "layout"]

LARGE = 1 << 16  # elements from which a message of its own costs less than copying there and back


def layout(parameters: Sequence[Any], backend: Backend) -> list[tuple[tuple[int, ...], str, tuple[int, ...]]]:
    """Shape, dtype and the order of the axes in memory of each parameter: what processes must have in common."""
    arrays = [backend.array(p) for p in parameters]
    return [(a.shape, a.dtype.name, tuple(np.argsort([-s for s in a.strides], kind="stable").tolist())) for a in arrays]


def buckets(parameters: Sequence[Any], backend: Backend) -> list[Bucket]:
    """One bucket for each dtype."""
    by_dtype: dict[str, list[Any]] = {}
    for p in parameters:
        by_dtype.setdefault(backend.array(p).dtype.name, []).append(p)
    return [Bucket(same, backend) for same in by_dtype.values()]


class Bucket:
    """The gradients of parameters of one dtype.

    Elements are sent in the order in which the parameters lie in memory, the same in every process;
    so do their gradients, as a rule, and one that does not is copied.
    """

    def __init__(self, parameters: Sequence[Any], backend: Backend):
        self.parameters, self.backend = parameters, backend
        self.orders = [order for _, _, order in layout(parameters, backend)]
        arrays = [backend.array(p).transpose(order) for p, order in zip(parameters, self.orders, strict=True)]
        small = [(i, a) for i, a in enumerate(arrays) if a.size < LARGE]
        self.large = [i for i, a in enumerate(arrays) if a.size >= LARGE]
        # The small gradients one after the other, and for each parameter the number of processes that have a gradient
        self.buffer = np.empty(sum(a.size for _, a in small) + len(arrays), arrays[0].dtype)
        ends = np.cumsum([a.size for _, a in small], dtype=int)
        pieces = np.split(self.buffer, ends)
        self.counts = pieces.pop()
        self.slots = [(i, piece.reshape(a.shape)) for (i, a), piece in zip(small, pieces, strict=True)]

    def sum(self, allreduce: Callable[[NDArray[Any]], Any]) -> None:
        """Make every gradient the sum of all processes'; ``allreduce`` does so with an array, in place.

        A gradient that is missing counts as 0, and stays missing if no process has it.
        """
        present = [p.grad is not None for p in self.parameters]
        gradients = [
            self.backend.array(p.grad) if there else np.zeros_like(self.backend.array(p))
            for p, there in zip(self.parameters, present, strict=True)
        ]
        views = [g.transpose(order) for g, order in zip(gradients, self.orders, strict=True)]
        for i, slot in self.slots:
            slot[...] = views[i]
        self.counts[:] = present
        allreduce(self.buffer)
        for i, slot in self.slots:
            views[i][...] = slot
        for i in self.large:
            whole = np.ascontiguousarray(views[i])  # the view itself if it is contiguous
            allreduce(whole)
            if whole is not views[i]:
                views[i][...] = whole
        for p, there, count, gradient in zip(self.parameters, present, self.counts, gradients, strict=True):
            if count and not there:
                p.grad = self.backend.tensor(gradient)
