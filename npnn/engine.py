"""The walk back: which function's backward is called when, and with which gradient.

``npnn.modes`` says when operations are recorded, and numbers them; ``npnn.autograd`` offers all of it under torch's
names.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn import memory
from npnn.kernels.reduce import copied
from npnn.kernels.scatter import add_at
from npnn.modes import mode

__all__ = ["Part", "check", "walk"]


class Part:
    """A gradient that is 0 but for some places: what backward of x[index] returns.

    A loop over the slices of a tensor has as many of them as slices, and each goes into one array, where
    arrays of the tensor's size would take the square of the time.
    """

    __slots__ = ("index", "shape", "values")

    def __init__(self, values: NDArray[Any], index: Any, shape: tuple[int, ...]):
        self.values, self.index, self.shape = values, index, shape

    def add_to(self, gradient: NDArray[Any]) -> None:
        parts = self.index if isinstance(self.index, tuple) else (self.index,)
        if any(isinstance(p, (np.ndarray, list)) and np.asarray(p).dtype != bool for p in parts):
            add_at(gradient, self.index, self.values)  # a place may be named twice
        else:
            gradient[self.index] += self.values

    def whole(self) -> NDArray[Any]:
        gradient = np.zeros(self.shape, self.values.dtype)
        self.add_to(gradient)
        return gradient


def walk(
    roots: list[tuple[Any, NDArray[Any]]], retain_graph: bool, wanted: dict[Any, NDArray[Any] | None] | None = None
) -> None:
    """Call backward on every function between the roots and the leaves, consumers before producers.

    ``roots`` are pairs of a source, (function, output index) or a leaf, and its gradient.  Gradients are added
    to the leaves; or, if ``wanted`` is given, only put into it, under the sources that are its keys.
    """
    # functions whose gradient is still being added up: the sums, and which of these are arrays of this walk's own
    pending: dict[int, tuple[Any, list[Any], set[int]]] = {}
    queue: list[int] = []  # their numbers, negated: the highest is next, as all its consumers are done
    hooked: dict[int, tuple[Any, NDArray[Any]]] = {}  # leaves with hooks: these see the sum of all uses
    sliced: dict[int, tuple[Any, NDArray[Any]]] = {}  # leaves of which slices were taken, and the sum over these

    def send(source: Any, gradient: NDArray[Any] | Part) -> None:
        node, index = source
        entry = pending.get(node.order)
        if entry is None:
            entry = pending[node.order] = node, [None] * len(node.outputs), set()
            heapq.heappush(queue, -node.order)
        _, grads, own = entry
        if type(gradient) is Part:
            if index in own:
                gradient.add_to(grads[index])
                return
            gradient = gradient.whole()
            own.add(index)
        if grads[index] is None:
            grads[index] = gradient
        else:
            grads[index] = grads[index] + gradient
            own.add(index)

    def reach(leaf: Any, gradient: NDArray[Any]) -> None:
        """``gradient`` is an array that nobody else holds."""
        if wanted is not None:
            if leaf in wanted:
                wanted[leaf] = gradient if wanted[leaf] is None else wanted[leaf] + gradient
        elif leaf._hooks:
            before = hooked.get(id(leaf))
            hooked[id(leaf)] = leaf, gradient if before is None else before[1] + gradient
        else:
            leaf._accumulate(gradient)

    for source, dy in roots:
        if type(source) is tuple:
            send(source, dy)
        else:
            reach(source, dy)
    watch = getattr(mode.observer, "backward", None)
    while queue:
        node, grads, _ = pending.pop(-heapq.heappop(queue))
        if node.inputs is None or memory.latest > node.order:
            check(node)
        if node.watchers is not None:
            for index, watcher in node.watchers:
                if grads[index] is not None:
                    grads[index] = watcher(grads[index])
        if wanted is not None:
            for index, gradient in enumerate(grads):
                if gradient is not None and (node, index) in wanted:
                    wanted[node, index] = gradient
        results = node.backward(*grads) if watch is None else watch(node, grads)
        if type(results) is not tuple:
            results = (results,)
        if len(results) != len(node.inputs):
            raise RuntimeError(
                f"{type(node).__name__}.backward returned {len(results)} gradients for {len(node.inputs)} inputs"
            )
        taken: set[int] | None = None  # the memory that others may be using
        for source, needed, dx in zip(node.inputs, node.needs_grad, results):  # noqa: B905  checked above
            if not needed or dx is None:
                continue
            if type(source) is tuple:
                if type(dx) is not Part:
                    shape, dtype = source[0].outputs[source[1]]
                    dx = _fit(dx, shape, dtype, node)
                send(source, dx)
            elif type(dx) is Part:
                if id(source) in sliced:
                    dx.add_to(sliced[id(source)][1])
                else:
                    sliced[id(source)] = source, dx.whole()
            else:
                dx = _fit(dx, source.array.shape, source.array.dtype, node)
                if taken is None:
                    taken = {id(g if g.base is None else memory.owner(g)) for g in grads if g is not None}
                owner = id(dx if dx.base is None else memory.owner(dx))
                if owner in taken or not dx.flags.writeable:
                    dx = copied(dx)
                taken.add(owner)
                if wanted is None and source._hooks is None:
                    source._accumulate(dx)
                else:
                    reach(source, dx)
        if not retain_graph:
            node._release()
    for leaf, gradient in sliced.values():
        reach(leaf, gradient)
    for leaf, gradient in hooked.values():
        leaf._accumulate_through_hooks(gradient)
    for source, sought in (wanted or {}).items():
        if type(source) is not tuple and source._hooks and sought is not None:
            wanted[source] = source._through_hooks(sought)  # type: ignore[index]


def check(node: Any) -> None:
    """Errors: RuntimeError if the function was freed, or an array that it saved for backward was changed in place since."""
    if node.inputs is None:
        raise RuntimeError(
            "backward through a graph that was already walked and freed: compute the loss again, "
            "or call backward(retain_graph=True) the first time"
        )
    if memory.latest <= node.order:
        return
    found = memory.changed_since(vars(node).values(), node.order)
    if found is not None:
        array, operation = found
        raise RuntimeError(
            "one of the variables needed for gradient computation has been modified by an inplace operation: "
            f"{node.name()} saved a tensor of shape {array.shape}, which {operation} changed afterwards "
            "(an optimizer's step between forward and backward is such a change); write y = x + 1 instead of x += 1"
        )


def _fit(gradient: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any], node: Any) -> NDArray[Any]:
    """The gradient in its input's shape and dtype: broadcasting forward is summing backward."""
    if type(gradient) is not np.ndarray:
        gradient = np.asarray(gradient)  # a NumPy number, of a tensor without axes
    if gradient.shape != shape:
        extra = gradient.ndim - len(shape)
        pairs = list(zip(shape, gradient.shape[max(extra, 0) :]))  # noqa: B905  the shorter one counts
        if extra < 0 or any(n not in (1, m) for n, m in pairs):
            raise RuntimeError(
                f"{type(node).__name__}.backward returned a gradient of shape {gradient.shape} for an input of {shape}"
            )
        spread = [*range(extra), *[extra + i for i, (n, m) in enumerate(pairs) if n != m]]
        gradient = gradient.sum(axis=tuple(spread)).reshape(shape)
    return gradient if gradient.dtype == dtype else gradient.astype(dtype)
