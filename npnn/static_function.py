"""A Function in torch's own form: static methods of tensors, and a context that is passed along.

    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return 2 * x * dy

The context is the node of the graph itself, as in npnn's form; it only has more methods.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn import memory
from npnn.function import Function
from npnn.modes import clock, mode, no_grad
from npnn.tensor import Tensor, _from_array

__all__ = ["adapt"]


class _Context:
    """What ``ctx`` offers, lent to a class that has static methods."""

    def save_for_backward(self: Any, *tensors: Any) -> None:
        """Keep tensors for backward, where they are ``ctx.saved_tensors``."""
        self.saved_values = [t.array if isinstance(t, Tensor) else t for t in tensors]
        self.saved_as = tensors

    @property
    def saved_tensors(self: Any) -> tuple[Any, ...]:
        if self.inputs is None and not hasattr(self, "saved_as"):
            raise RuntimeError("Trying to backward through the graph a second time: use retain_graph=True")
        return tuple(getattr(self, "saved_as", ()))

    saved_variables = saved_tensors

    @property
    def needs_input_grad(self: Any) -> tuple[bool, ...]:
        """For each argument of forward, whether its gradient is wanted."""
        return tuple(self.needs_grad)

    def mark_dirty(self: Any, *tensors: Tensor) -> None:
        """These inputs were changed in place, and are returned."""
        self.dirty = tensors

    def mark_non_differentiable(self: Any, *tensors: Tensor) -> None:
        """These outputs carry no gradient."""
        self.constant = tensors

    def set_materialize_grads(self: Any, value: bool) -> None:
        """Whether an output that the loss does not depend on gives zeros (the default) or None."""
        self.zeros = value


def adapt(cls: type[Function]) -> None:
    """Make ``cls.apply`` and ``cls.backward`` of a class with static methods fit the engine."""
    static_forward, static_backward = cls.forward, cls.backward
    with_setup = "setup_context" in vars(cls)

    def apply(kind: Any, *inputs: Any) -> Any:
        node = kind()
        recording = mode.enabled
        node.needs_grad = [recording and isinstance(x, Tensor) and x.requires_grad for x in inputs]
        sources = [(x._node or x) if isinstance(x, Tensor) else None for x in inputs]
        with no_grad():
            results = static_forward(*inputs) if with_setup else static_forward(node, *inputs)
            if with_setup:
                kind.setup_context(node, inputs, results)
        if not any(node.needs_grad):
            return results
        node.inputs, node.order, node.watchers = sources, next(clock), None
        several = isinstance(results, (tuple, list))
        made = list(results) if several else [results]
        node.outputs = tuple([(y.array.shape, y.array.dtype) if isinstance(y, Tensor) else ((), None) for y in made])
        constant = [id(t) for t in getattr(node, "constant", ())]
        dirty = [id(t) for t in getattr(node, "dirty", ())]
        for i, y in enumerate(made):
            if not isinstance(y, Tensor) or y.array.dtype.kind != "f" or id(y) in constant:
                continue
            if id(y) in dirty:  # an input, changed in place: it comes from here from now on
                memory.note(y.array, node.order - 1, node.name())
            elif any(y is x for x in inputs):
                y = _from_array(y.array)
            y._node, y._requires_grad = (node, i), True
            made[i] = y
        return tuple(made) if several else made[0]

    def derivative(node: Any, *grads: Any) -> Any:
        if getattr(node, "zeros", True):
            grads = tuple([
                _from_array(np.zeros(shape, dtype)) if g is None and dtype is not None else g
                for g, (shape, dtype) in zip(grads, node.outputs, strict=True)
            ])  # fmt: skip
        results = static_backward(node, *grads)
        results = results if isinstance(results, tuple) else (results,)
        extra = len(results) - len(node.inputs)
        return results[:-extra] if extra > 0 and all(r is None for r in results[-extra:]) else results

    def backward(node: Any, *grads: Any) -> Any:
        with no_grad():
            results = derivative(node, *[None if g is None else _from_array(g) for g in grads])
        return tuple([r.array if isinstance(r, Tensor) else r for r in results])

    cls.apply = classmethod(apply)  # type: ignore[assignment, method-assign]
    cls.backward = backward  # type: ignore[assignment, method-assign]
    cls.derivative = derivative  # type: ignore[attr-defined]
    cls.name = lambda self: f"{type(self).__name__}Backward"  # type: ignore[method-assign]
    for name, member in vars(_Context).items():
        if not name.startswith("__"):
            setattr(cls, name, member)


def _look_at(cls: type[Function], **options: Any) -> None:
    if isinstance(vars(cls).get("forward"), staticmethod):
        adapt(cls)


Function.__init_subclass__ = classmethod(_look_at)  # type: ignore[assignment]
