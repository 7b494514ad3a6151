"""The order of things in automatic differentiation: what is recorded, and how the walk back goes.

``npnn.tensor`` says what a Function and a Tensor are; this file decides when operations are
recorded (``no_grad``) and calls their ``backward`` in the right order (``walk``).
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["clock", "is_grad_enabled", "mode", "no_grad", "set_grad_enabled", "walk"]

# Functions are numbered as they run, and in-place changes as they happen, on one clock.  So a
# function always has a higher number than those its inputs came from, and a change after it ran
# has a higher number than it: one counter gives both the order of the walk and the safety check.
clock = itertools.count(1)


class _GradMode(threading.local):
    enabled = True
    observer: Any = None  # called in place of Function.apply, by who wants to know what is applied (npnn.onnx)


mode = _GradMode()


def is_grad_enabled() -> bool:
    """True if operations are being recorded for ``backward`` (per thread)."""
    return mode.enabled


class set_grad_enabled(contextlib.ContextDecorator):  # noqa: N801  torch's spelling
    """Context manager or decorator: record operations inside if ``mode``, else do not."""

    def __init__(self, mode: bool):
        self.mode = mode
        self.before: list[bool] = []

    def __enter__(self) -> None:
        self.before.append(mode.enabled)
        mode.enabled = self.mode

    def __exit__(self, *exc: object) -> None:
        mode.enabled = self.before.pop()


class no_grad(set_grad_enabled):  # noqa: N801  torch's spelling
    """Context manager or decorator: operations inside are not recorded, so they cost no memory."""

    def __init__(self) -> None:
        super().__init__(False)


# ---- the walk from the loss back to the leaves


def walk(root: tuple[Any, int], dy: NDArray[Any], retain_graph: bool) -> None:
    """Call backward on every function between ``root`` and the leaves, consumers before producers."""
    pending: dict[int, tuple[Any, list[Any]]] = {}  # functions whose gradient is still being added up
    queue: list[int] = []  # their numbers, negated: the highest is next, as all its consumers are done

    def send(source: tuple[Any, int], gradient: NDArray[Any]) -> None:
        node, index = source
        entry = pending.get(node.order)
        if entry is None:
            entry = pending[node.order] = node, [None] * len(node.outputs)
            heapq.heappush(queue, -node.order)
        grads = entry[1]
        grads[index] = gradient if grads[index] is None else grads[index] + gradient

    send(root, dy)
    while queue:
        node, grads = pending.pop(-heapq.heappop(queue))
        if node.inputs is None:
            raise RuntimeError(
                "backward through a graph that was already walked and freed: compute the loss again, "
                "or call backward(retain_graph=True) the first time"
            )
        if node.retained is not None:
            _keep(node, grads)
        results = node.backward(*grads)
        if type(results) is not tuple:
            results = (results,)
        if len(results) != len(node.inputs):
            raise RuntimeError(
                f"{type(node).__name__}.backward returned {len(results)} gradients for {len(node.inputs)} inputs"
            )
        taken: set[int] | None = None  # the memory that others may be using
        for source, needed, dx in zip(node.inputs, node.needs_grad, results):  # noqa: B905  checked above
            if type(source) is tuple:
                if needed and dx is not None:
                    shape, dtype = source[0].outputs[source[1]]
                    send(source, _fit(dx, shape, dtype, node))
            elif source is not None:
                if source._changed > node.order:
                    raise RuntimeError(
                        f"a tensor of shape {source.shape} that {type(node).__name__} used was changed in place "
                        "before backward() (by an optimizer step?): its gradient would be wrong"
                    )
                if needed and dx is not None:
                    dx = _fit(dx, source.data.shape, source.data.dtype, node)
                    if taken is None:
                        taken = {_owner(g) for g in grads if g is not None}
                    owner = _owner(dx)
                    if owner in taken or not dx.flags.writeable:
                        dx = dx.copy("K")
                    taken.add(owner)
                    source._accumulate(dx)
        if not retain_graph:
            node._release()


def _keep(node: Any, grads: list[Any]) -> None:
    """Give the outputs that asked for it (retain_grad) a copy of their gradient."""
    for reference in node.retained:
        output = reference()
        if output is not None and grads[output._node[1]] is not None:
            output._accumulate(grads[output._node[1]].copy("K"))


def _owner(array: NDArray[Any]) -> int:
    """Which array holds the memory: gradients that share one must not both be kept."""
    return id(array if array.base is None else array.base)


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
