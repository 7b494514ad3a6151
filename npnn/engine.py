"""The order of things in automatic differentiation: what is recorded, and how the walk back goes.

``npnn.tensor`` says what a Function and a Tensor are; this file decides when operations are
recorded (``no_grad``), calls their ``backward`` in the right order (``walk``) and, if asked, finds
the one that made the first nan (``detect_anomaly``).  ``npnn.autograd`` offers all of it under torch's names.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from npnn import anomaly, memory
from npnn.errors import warn

__all__ = [
    "clock", "detect_anomaly", "enable_grad", "inference_mode", "is_grad_enabled", "mode", "no_grad",
    "set_detect_anomaly", "set_grad_enabled", "walk",
]  # fmt: skip

_F = TypeVar("_F", bound=Callable[..., Any])

# Functions are numbered as they run, and in-place changes as they happen, on one clock.  So a
# function always has a higher number than those its inputs came from, and a change after it ran
# has a higher number than it: one counter gives both the order of the walk and the safety check.
clock = itertools.count(1)


class _GradMode(threading.local):
    enabled = True
    observer: Any = None  # called in place of Function.apply, by who wants to know what is applied


mode = _GradMode()


def is_grad_enabled() -> bool:
    """True if operations are being recorded for ``backward`` (per thread)."""
    return mode.enabled


class _Switch:
    """An entry of ``mode`` set to ``value`` inside a ``with`` block or a decorated function, and then set back."""

    def __init__(self, name: str, value: Any):
        self.name, self.value = name, value
        self.before: list[Any] = []

    def __enter__(self) -> None:
        self.before.append(getattr(mode, self.name))
        setattr(mode, self.name, self.value)

    def __exit__(self, *exc: object) -> None:
        setattr(mode, self.name, self.before.pop())

    def __call__(self, function: _F) -> _F:
        @functools.wraps(function)
        def switched(*args: Any, **kwargs: Any) -> Any:
            with _Switch(self.name, self.value):  # one for each call, which threads may make at once
                return function(*args, **kwargs)

        return switched  # type: ignore[return-value]


class _SwitchAtOnce(_Switch):
    """A switch that acts as soon as it is made, so that making it is all one needs to do."""

    def __init__(self, name: str, value: Any):
        super().__init__(name, value)
        self.first = getattr(mode, name)
        setattr(mode, name, value)

    def __enter__(self) -> None:
        setattr(mode, self.name, self.first)
        super().__enter__()

    def __call__(self, function: _F) -> _F:
        setattr(mode, self.name, self.first)  # a decorator acts when the function is called
        return super().__call__(function)


class set_grad_enabled(_SwitchAtOnce):  # noqa: N801  torch's spelling
    """Record operations if ``mode``, else do not: from now on, or inside a ``with`` block or a decorated function."""

    def __init__(self, mode: bool):
        super().__init__("enabled", mode)


class no_grad(_Switch):  # noqa: N801  torch's spelling
    """Context manager or decorator: operations inside are not recorded, so they cost no memory."""

    def __init__(self, function: Any = None) -> None:
        super().__init__("enabled", False)

    def __new__(cls, function: Any = None) -> Any:
        """``@no_grad`` without brackets decorates as well."""
        made = super().__new__(cls)
        if function is None:
            return made
        made.__init__()  # type: ignore[misc]
        return made(function)


class enable_grad(no_grad):  # noqa: N801  torch's spelling
    """Context manager or decorator: operations inside are recorded, also within a ``no_grad``."""

    def __init__(self, function: Any = None) -> None:
        _Switch.__init__(self, "enabled", True)


class inference_mode(_Switch):  # noqa: N801  torch's spelling
    """no_grad under another name (or, with ``mode=False``, nothing): results may be used for training later on."""

    def __init__(self, mode: Any = True) -> None:
        super().__init__("enabled", False if mode else is_grad_enabled())

    def __new__(cls, mode: Any = True) -> Any:
        made = super().__new__(cls)
        if not callable(mode):
            return made
        made.__init__()  # type: ignore[misc]
        return made(mode)


class detect_anomaly(_Switch):  # noqa: N801  torch's spelling
    """Context manager or decorator: the first operation inside, forward or backward, to make nan or inf is an error.

    The error names the operation, the layer, and the line of your code that called it.  inf made of inf
    passes (a mask of -inf is no mistake), nan never does.  Without ``check_nan`` nothing is checked, but
    an error in backward comes with a warning that says where its forward was called.  As it looks at
    every number, it is for finding a mistake, not for training; it concerns one thread.
    Errors: RuntimeError.
    """

    def __init__(self, check_nan: bool = True):
        super().__init__("observer", _Watch(check_nan))


class set_detect_anomaly(_SwitchAtOnce):  # noqa: N801  torch's spelling
    """detect_anomaly switched on if ``mode``, else off: from now on, or inside a ``with`` block or a function."""

    def __init__(self, mode: bool, check_nan: bool = True):
        super().__init__("observer", _Watch(check_nan) if mode else None)


class _Watch:
    """The observer that runs operations for detect_anomaly."""

    def __init__(self, check_nan: bool):
        self.check_nan = check_nan

    def __call__(self, op: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        mode.observer = None
        try:
            with np.errstate(all="ignore"):  # what NumPy would warn of is looked for here
                results = op.apply(*inputs, **options)
        finally:
            mode.observer = self
        place, outputs = anomaly.Place(), results if type(results) is tuple else (results,)
        for y in outputs:
            if y.grad_fn is not None:
                y.grad_fn.called_at = place
        if self.check_nan:
            arrays = [x.array if hasattr(x, "requires_grad") else x for x in inputs]
            anomaly.check_results(op.__name__, [*arrays, *options.values()], [y.array for y in outputs], place)
        return results

    def backward(self, node: Any, grads: list[Any]) -> Any:
        """What node.backward(*grads) returns, if it can be trusted."""
        place, needed = vars(node).get("called_at"), node.needs_grad
        try:
            with np.errstate(all="ignore"):
                results = node.backward(*grads)
        except Exception:
            if place is not None:
                warn(f"{type(node).__name__}.backward failed; its forward was {place}")
            raise
        if self.check_nan:
            made = results if type(results) is tuple else (results,)
            anomaly.check_gradients(type(node).__name__, grads, made, needed, place)
        return results


# ---- the walk from the loss back to the leaves


def walk(
    roots: list[tuple[Any, NDArray[Any]]], retain_graph: bool, wanted: dict[Any, NDArray[Any] | None] | None = None
) -> None:
    """Call backward on every function between the roots and the leaves, consumers before producers.

    ``roots`` are pairs of a source, (function, output index) or a leaf, and its gradient.  Gradients are added
    to the leaves; or, if ``wanted`` is given, only put into it, under the sources that are its keys.
    """
    pending: dict[int, tuple[Any, list[Any]]] = {}  # functions whose gradient is still being added up
    queue: list[int] = []  # their numbers, negated: the highest is next, as all its consumers are done
    hooked: dict[int, tuple[Any, NDArray[Any]]] = {}  # leaves with hooks: these see the sum of all uses

    def send(source: Any, gradient: NDArray[Any]) -> None:
        node, index = source
        entry = pending.get(node.order)
        if entry is None:
            entry = pending[node.order] = node, [None] * len(node.outputs)
            heapq.heappush(queue, -node.order)
        grads = entry[1]
        grads[index] = gradient if grads[index] is None else grads[index] + gradient

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
        node, grads = pending.pop(-heapq.heappop(queue))
        if node.inputs is None:
            raise RuntimeError(
                "backward through a graph that was already walked and freed: compute the loss again, "
                "or call backward(retain_graph=True) the first time"
            )
        if memory.latest > node.order:
            _check_saved(node)
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
                shape, dtype = source[0].outputs[source[1]]
                send(source, _fit(dx, shape, dtype, node))
            else:
                dx = _fit(dx, source.array.shape, source.array.dtype, node)
                if taken is None:
                    taken = {id(g if g.base is None else memory.owner(g)) for g in grads if g is not None}
                owner = id(dx if dx.base is None else memory.owner(dx))
                if owner in taken or not dx.flags.writeable:
                    dx = dx.copy("K")
                taken.add(owner)
                if wanted is None and source._hooks is None:
                    source._accumulate(dx)
                else:
                    reach(source, dx)
        if not retain_graph:
            node._release()
    for leaf, gradient in hooked.values():
        leaf._accumulate_through_hooks(gradient)


def _check_saved(node: Any) -> None:
    """Errors: RuntimeError if an array that the function saved for backward was changed in place since."""
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
