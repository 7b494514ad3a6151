"""Automatic differentiation under torch's names: backward, grad, Function, hooks and switches.

The parts: ``npnn.tensor`` (what a Tensor and a Function are), ``npnn.engine`` (the walk back),
``npnn.inplace`` (changes of tensors in the graph), ``npnn.static_function`` (torch's form of a Function).
``create_graph=True`` is npnn.second_order's work.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn import (
    engine,
    second_order,
    static_function,  # noqa: F401  it teaches Function its second form
)
from npnn.function import Function
from npnn.modes import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_detect_anomaly,
    set_grad_enabled,
)
from npnn.tensor import Tensor, of_array

__all__ = [
    "Function", "Variable", "backward", "detect_anomaly", "enable_grad", "grad", "inference_mode", "is_grad_enabled",
    "no_grad", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip


def _many(x: Any) -> list[Any]:
    return [x] if x is None or isinstance(x, (Tensor, np.ndarray)) else list(x)


def _roots(tensors: Sequence[Tensor], gradients: Sequence[Any]) -> list[tuple[Any, NDArray[Any]]]:
    """Where the walk starts, and with what: ones for a single number."""
    if len(gradients) != len(tensors):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(gradients)} gradients")
    roots = []
    for tensor, gradient in zip(tensors, gradients, strict=True):
        if not tensor.requires_grad:
            raise RuntimeError(
                "element 0 of tensors does not require grad and does not have a grad_fn: "
                "backward() needs a tensor with a graph behind it"
            )
        if gradient is None:
            if tensor.array.size != 1:
                raise RuntimeError(
                    "grad can be implicitly created only for scalar outputs: backward() without a gradient needs "
                    f"a single number, this tensor has shape {tensor.array.shape}; "
                    "reduce it (.sum(), .mean()) or pass gradient="
                )
            dy = np.empty_like(tensor.array)
            dy.fill(1)
        else:
            given = gradient.array if isinstance(gradient, Tensor) else gradient
            # a leaf keeps what it gets; a function only reads it
            dy = (np.array if tensor._node is None else np.asarray)(given, tensor.array.dtype)
            if dy.shape != tensor.array.shape:
                raise RuntimeError(f"the gradient has shape {dy.shape}, the tensor {tensor.array.shape}")
        roots.append((tensor._node or tensor, dy))
    return roots


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add the derivatives of the tensors, weighted with ``grad_tensors``, to the gradients of the leaves.

    With ``create_graph`` the gradients can be differentiated in their turn, and the graph stays.
    Errors: RuntimeError if there is no graph, or it was freed, or a saved value changed since;
    NotImplementedError with ``create_graph`` for an operation whose gradient cannot be differentiated.
    """
    given = grad_variables if grad_tensors is None else grad_tensors
    tensors = _many(tensors)
    given = [None] * len(tensors) if given is None else _many(given)
    roots = _roots(tensors, given)
    chosen = None if inputs is None else _many(inputs)
    if create_graph:
        recorded = _recorded(roots, given)
        if chosen is None:
            second_order.walk(recorded)
        else:
            for tensor, gradient in zip(chosen, _gradients(recorded, chosen, None), strict=True):
                if gradient is not None:
                    tensor._accumulate_recorded(gradient)
    elif chosen is None:
        engine.walk(roots, bool(retain_graph))
    else:
        for tensor, gradient in zip(chosen, _gradients(roots, chosen, bool(retain_graph)), strict=True):
            if gradient is not None:
                tensor._accumulate(gradient.copy("K"))


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The derivatives of the outputs, weighted with ``grad_outputs``, with respect to the inputs; no ``.grad`` changes.

    With ``create_graph`` the derivatives can be differentiated in their turn, and the graph stays.
    Errors: RuntimeError for an input that the outputs do not depend on, unless ``allow_unused`` (it is then None);
    NotImplementedError with ``create_graph`` for an operation whose gradient cannot be differentiated.
    """
    outputs, inputs = _many(outputs), _many(inputs)
    for x in inputs:
        if not x.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    given = [None] * len(outputs) if grad_outputs is None else _many(grad_outputs)
    roots: Any = _roots(outputs, given)
    if create_graph:
        gradients = _gradients(_recorded(roots, given), inputs, None)
    else:
        gradients = _gradients(roots, inputs, bool(retain_graph))
    found: list[Tensor | None] = []
    for x, gradient in zip(inputs, gradients, strict=True):
        if gradient is None and not (allow_unused or materialize_grads):
            raise RuntimeError(
                "One of the differentiated Tensors appears to not have been used in the graph. "
                "Set allow_unused=True if this is the desired behavior."
            )
        if gradient is None:
            found.append(of_array(np.zeros_like(x.array)) if materialize_grads else None)
        else:
            found.append(gradient if create_graph else of_array(gradient.copy("K")))
    return tuple(found)


def _recorded(roots: list[tuple[Any, NDArray[Any]]], given: Sequence[Any]) -> list[tuple[Any, Tensor]]:
    """Where a recorded walk starts: the weights that were given as tensors are themselves differentiated."""
    return [
        (source, weight if isinstance(weight, Tensor) and weight.array.dtype == dy.dtype else of_array(dy))
        for (source, dy), weight in zip(roots, given, strict=True)
    ]


def _gradients(roots: Any, inputs: Sequence[Tensor], retain_graph: bool | None) -> list[Any]:
    """The gradients of the inputs: arrays, or, if the graph is neither kept nor freed (None), tensors of a new one."""
    wanted: dict[Any, Any] = {x._current()._node or x: None for x in inputs}
    if retain_graph is None:
        second_order.walk(roots, wanted)
    else:
        engine.walk(roots, retain_graph, wanted)
    return [wanted[x._node or x] for x in inputs]


class _VariableMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableMeta):
    """An old spelling: ``Variable(x)`` is x, or x as a leaf that wants a gradient.

    ``volatile=`` has no effect, as in PyTorch, and is warned of.  Errors: ValueError for it with ``requires_grad``.
    """

    def __new__(cls, data: Any, requires_grad: bool = False, **old: Any) -> Any:
        if old.pop("volatile", False):
            if requires_grad:
                raise ValueError("Variable can't be volatile and require_grad at the same time!")
            message = "volatile was removed and now has no effect. Use `with torch.no_grad():` instead."
            warnings.warn(message, stacklevel=2)
        if old:
            raise TypeError(f"Variable takes no argument {', '.join(old)}")
        new = (data if isinstance(data, Tensor) else of_array(data)).detach()
        return new.requires_grad_() if requires_grad else new


def _method(
    self: Tensor,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Sequence[Tensor] | None = None,
) -> None:
    """Add d(self)/d(leaf) to ``leaf.grad`` for every leaf that this tensor was computed from.

    ``gradient`` is d(loss)/d(self), needed unless ``self`` has one element.  What the functions
    saved is freed on the way unless ``retain_graph``.  With ``inputs``, only these get their gradient.
    With ``create_graph`` the gradients can be differentiated in their turn.
    Errors: RuntimeError if there is no graph, or it was freed, or a saved value changed since;
    NotImplementedError with ``create_graph`` for an operation whose gradient cannot be differentiated.
    """
    backward(self, gradient, retain_graph, create_graph, inputs=inputs)


_method.__name__ = "backward"
Tensor.backward = _method  # type: ignore[attr-defined]
