"""An operation that knows its own derivative, and, once applied, one node of the graph.

``forward`` takes arrays and returns an array; ``backward`` takes the gradient of the loss with respect to that
result and returns the gradients with respect to the inputs: the chain rule, one link at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn import memory
from npnn.modes import clock, mode
from npnn.tensor import Tensor, _from_array
from npnn.views import Cut

__all__ = ["Function", "View"]


class Function:
    """One differentiable operation, and, once applied, one node of the graph.

    A subclass writes ``forward(self, *arrays, **options)`` and ``backward(self, *grads)``.  The
    instance is the context: forward stores on ``self`` exactly what backward reads.  backward
    returns one gradient per input (a single array if there is one input), None where there is no
    derivative; ``self.needs_grad[i]`` says whether anyone wants the i-th.  It must not change its
    arguments nor return an array that it saved.  Summing over broadcast axes, adding up gradients
    of repeated use and checking shapes are the engine's work, not the op's.

    forward may return a tuple.  backward then gets one gradient per output, None for an output
    that the loss does not depend on.  Integer and boolean outputs carry no gradient.

    What backward returns can be differentiated in its turn (``create_graph=True``) if the class also has a
    ``derivative``: often the line ``derivative = backward`` will do (see ``npnn.second_order``).

    PyTorch's own form works as well: static methods ``forward(ctx, ...)`` and ``backward(ctx, ...)``
    of tensors, with ``ctx.save_for_backward`` (see ``npnn.static_function``).
    """

    # The engine's books are slots; all that an op saves lives in __dict__, dropped once used.
    __slots__ = ("__dict__", "__weakref__", "inputs", "needs_grad", "order", "outputs", "watchers")

    called = ""  # torch's name for the node, where that is not the name of the class

    inputs: Any  # per input (producer, output index), a leaf Tensor, or None; all None once freed
    needs_grad: Sequence[bool]
    order: int  # this function's time on the clock
    outputs: tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]  # shape and dtype of each
    watchers: (
        list[tuple[int, Callable[[NDArray[Any]], NDArray[Any]]]] | None
    )  # (output, sees and may change its gradient)

    def forward(self, *arrays: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, *grads: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    @classmethod
    def apply(cls, *inputs: Any, **options: Any) -> Any:
        """Run forward on the inputs (Tensors, arrays, numbers or None); options pass through as they are."""
        if mode.observer is not None:
            return mode.observer(cls, inputs, options)
        node = cls()
        arrays: list[Any] = []
        needs: list[bool] = []
        sources: list[Any] = []
        recording = mode.enabled
        for x in inputs:
            if isinstance(x, Tensor):
                if x._view is not None:
                    x._view.refresh(x)
                arrays.append(x.array)
                needs.append(recording and x._requires_grad)
                sources.append(x._node or x)
            else:
                arrays.append(x)
                needs.append(False)
                sources.append(None)
        node.needs_grad = needs
        result = node.forward(*arrays, **options)
        if True not in needs:
            return _wrap(result, None)
        node.inputs = sources
        node.order = next(clock)
        node.watchers = None
        return _wrap(result, node)

    def name(self) -> str:
        """What torch would call this node, as far as the names agree: MulBackward0."""
        return f"{self.called or type(self).__name__.removesuffix('Function')}Backward0"

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that the inputs came from; a leaf stands for itself."""
        return tuple([s if type(s) is tuple else (s, 0) for s in self.inputs or () if s is not None])

    def _release(self) -> None:
        self.__dict__.clear()
        self.inputs = None


class View(Function):
    """An operation whose result looks at the memory of its first input, where NumPy can do it without copying.

    Such a result knows its base, so that a change of either is seen, and differentiated, by both.
    """

    several = False  # True if one call cuts several views, which PyTorch lets nobody change in place

    @classmethod
    def apply(cls, x: Any, *args: Any, **options: Any) -> Any:
        y = super().apply(x, *args, **options)
        if isinstance(x, Tensor) and memory.owner(y.array) is memory.owner(x.array):
            if x._view is None:
                y._view = Cut(x, mode.enabled)
            else:
                y._view = x._view.again()
        return y


def _wrap(result: Any, node: Function | None) -> Any:
    """Make Tensors of what forward returned."""
    if type(result) is not tuple:
        if node is None:
            return _from_array(result)
        out = _from_array(result, (node, 0))
        node.outputs = ((out.array.shape, out.array.dtype),)
        return out
    if node is None:
        return tuple([_from_array(y) for y in result])
    node.outputs = tuple([(y.shape, y.dtype) for y in result])
    return tuple([_from_array(y, (node, i) if y.dtype.kind == "f" else None) for i, y in enumerate(result)])
