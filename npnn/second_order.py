"""Gradients that can be differentiated again: the walk back with tensors in place of arrays.

``create_graph=True`` records what computes the gradients.  Each function then runs its ``derivative``, which is
backward in operations of tensors.  A function has it in one of three ways:

- ``derivative = backward``: the same lines do for tensors;
- ``derivative``, written out, where backward calls a kernel;
- ``again(v)``, for y = L x with L fixed once applied: L v.  dx = Lᵀ dy is then linear too, and L is its derivative.

What a function saved under the name of an argument of ``forward``, or as ``y``, is a tensor here, at its place in
the graph.  All else that it saved must not depend on the inputs.
"""

from __future__ import annotations

import functools
import heapq
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.engine import Part, check
from npnn.function import Function
from npnn.modes import enable_grad
from npnn.tensor import Tensor, _from_array

__all__ = ["through", "walk"]


class Known(Function):
    """y = x, by the value that x had.   dx = dy"""

    def forward(self, x: NDArray[Any], value: NDArray[Any]) -> NDArray[Any]:
        return value

    def backward(self, dy: Any) -> Any:
        return dy, None

    derivative = backward


class Adjoint(Function):
    """y = Lᵀ x, for a linear L that is given as two functions of arrays.   dx = L dy"""

    def forward(self, x: NDArray[Any], transposed: Any, itself: Any) -> NDArray[Any]:
        self.transposed, self.itself = transposed, itself
        return np.asarray(transposed(x))

    def backward(self, dy: NDArray[Any]) -> Any:
        return self.itself(dy), None, None

    def derivative(self: Any, dy: Tensor) -> Any:
        return Adjoint.apply(dy, self.itself, self.transposed), None, None


def _place(value: NDArray[Any], source: Any) -> Any:
    """A tensor of this value that comes from there; the value itself from nowhere."""
    if source is None:
        return value
    shape = source[0].outputs[source[1]][0] if type(source) is tuple else source.array.shape
    if value.shape != shape:
        raise AssertionError(f"a value of shape {value.shape} was saved for one of {shape}")
    if type(source) is tuple:
        return _from_array(value, source)
    return source if source.array is value else Known.apply(source, value)


def _input(self: Any, index: int, value: NDArray[Any]) -> Any:
    """The input of that number, of which backward knows the value, as a tensor at its place in the graph."""
    return _place(value, self.inputs[index])


def _output(self: Any, value: NDArray[Any], index: int = 0) -> Tensor:
    """The result, of which backward knows the value, as a tensor at its place in the graph."""
    return _from_array(value, (self.applied, index))


def _derivative(self: Any, *grads: Any) -> Any:
    """``backward`` of tensors, in operations that are recorded.

    Errors: NotImplementedError for a function whose gradient cannot be differentiated.
    """
    if not hasattr(self, "again"):
        raise NotImplementedError(
            f"create_graph=True: the gradient of {self.name()} cannot be differentiated again in npnn"
        )

    def transposed(dy: NDArray[Any]) -> Any:
        results = self.backward(dy, *[None] * (len(grads) - 1))
        dx = results[0] if type(results) is tuple else results
        return dx.whole() if type(dx) is Part else dx

    return Adjoint.apply(grads[0], transposed, self.again), *[None] * (len(self.inputs) - 1)


Function.input, Function.output, Function.derivative = _input, _output, _derivative  # type: ignore[attr-defined]


@functools.cache
def _arguments(kind: type[Function]) -> tuple[list[str], str | None]:
    """The names of forward's arguments one by one, and of the one that takes all others."""
    parameters = list(inspect.signature(kind.forward).parameters.values())[1:]
    several = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
    return [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL], several[0] if several else None


def _with_tensors(node: Any) -> Any:
    """The function once more, with tensors in the place of the inputs and of the result that it saved."""
    kind: Any = type(node)
    names, several = _arguments(kind)
    copy = kind.__new__(kind)
    copy.inputs, copy.needs_grad, copy.order, copy.outputs = node.inputs, node.needs_grad, node.order, node.outputs
    copy.applied = node
    for name, value in vars(node).items():
        if name == several:
            value = tuple([_place(v, source) for v, source in zip(value, node.inputs, strict=False)])
        elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
            if name == "y":
                value = _place(value, (node, 0))
            elif name in names[: len(node.inputs)]:  # not one of the options
                value = _place(value, node.inputs[names.index(name)])
        setattr(copy, name, value)
    return copy


def through(forward: Callable[..., Any], inputs: Any, grads: Any) -> tuple[Any, ...]:
    """The gradients of forward(*inputs), one tensor or several, for a ``derivative`` whose function has steps of its own.

    ``inputs`` are tensors, arrays or None, ``grads`` one for each result, None for what the loss does not depend on.
    """
    given = [Known.apply(x, x.array) if isinstance(x, Tensor) else x if x is None else _from_array(x) for x in inputs]
    outputs = forward(*given)
    outputs = outputs if type(outputs) is tuple else (outputs,)
    wanted: dict[Any, Any] = {x._node: None for x in given if x is not None and x._node is not None}
    walk([(y._node, g) for y, g in zip(outputs, grads, strict=True) if g is not None and y._node], wanted, stop=True)
    return tuple([None if x is None or x._node is None else wanted[x._node] for x in given])


def walk(roots: list[tuple[Any, Tensor]], wanted: dict[Any, Tensor | None] | None = None, stop: bool = False) -> None:
    """Call ``derivative`` on every function between the roots and the leaves, as ``engine.walk`` calls backward.

    The graph stays.  Gradients are added to the leaves, or put into ``wanted`` under the sources that are its keys,
    beyond which nothing is looked for if ``stop``.
    """
    pending: dict[int, tuple[Any, list[Any]]] = {}
    queue: list[int] = []
    leaves: dict[int, tuple[Tensor, Tensor]] = {}

    def send(source: Any, gradient: Tensor) -> None:
        if type(source) is not tuple:
            _, before = leaves.get(id(source), (None, None))
            leaves[id(source)] = source, gradient if before is None else before + gradient
            return
        node, index = source
        if stop and source in wanted:  # type: ignore[operator]
            before = wanted[source]  # type: ignore[index]
            wanted[source] = gradient if before is None else before + gradient  # type: ignore[index]
            return
        if node.order not in pending:
            pending[node.order] = node, [None] * len(node.outputs)
            heapq.heappush(queue, -node.order)
        grads = pending[node.order][1]
        grads[index] = gradient if grads[index] is None else grads[index] + gradient

    with enable_grad():
        for source, dy in roots:
            send(source, dy)
        while queue:
            node, grads = pending.pop(-heapq.heappop(queue))
            check(node)
            for index, watcher in node.watchers or ():
                if grads[index] is not None:
                    grads[index] = watcher(grads[index])
            for index, gradient in enumerate(grads):
                if wanted is not None and (node, index) in wanted:
                    wanted[node, index] = gradient
            results = _with_tensors(node).derivative(*grads)
            results = results if type(results) is tuple else (results,)
            for source, needed, dx in zip(node.inputs, node.needs_grad, results, strict=True):
                if needed and dx is not None:
                    shape, dtype = (
                        source[0].outputs[source[1]]
                        if type(source) is tuple
                        else (source.array.shape, source.array.dtype)
                    )
                    send(source, _fit(dx if isinstance(dx, Tensor) else _from_array(dx), shape, dtype))
        for leaf, gradient in leaves.values():
            if wanted is None:
                leaf._accumulate_through_hooks(gradient)  # type: ignore[attr-defined]
            elif leaf in wanted:
                wanted[leaf] = leaf._through_hooks(gradient)  # type: ignore[attr-defined]


def _fit(gradient: Tensor, shape: tuple[int, ...], dtype: Any) -> Tensor:
    """The gradient in its input's shape and dtype: broadcasting forward is summing backward."""
    extra = gradient.ndim - len(shape)
    spread = [*range(extra), *[extra + i for i, n in enumerate(shape) if n != gradient.array.shape[extra + i]]]
    if spread:
        gradient = gradient.sum(spread)
    if gradient.array.shape != shape:
        gradient = gradient.reshape(shape)
    return gradient if gradient.array.dtype == dtype else gradient.to(dtype)
