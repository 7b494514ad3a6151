"""Automatic differentiation under torch's names: backward, grad, Function, hooks and switches.

The parts: ``npnn.tensor`` (what a Tensor and a Function are), ``npnn.engine`` (the walk back),
``npnn.inplace`` (changes of tensors in the graph), ``npnn.static_function`` (torch's form of a Function).
Derivatives are of first order: ``create_graph=True`` is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn import (
    engine,
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


def _refuse_second_order(create_graph: bool) -> None:
    if create_graph:
        raise NotImplementedError(
            "create_graph=True: npnn computes first derivatives only, a gradient cannot be differentiated again"
        )


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add the derivatives of the tensors, weighted with ``grad_tensors``, to the gradients of the leaves.

    Errors: RuntimeError if there is no graph, or it was freed, or a saved value changed since;
    NotImplementedError for ``create_graph=True``.
    """
    _refuse_second_order(create_graph)
    given = grad_variables if grad_tensors is None else grad_tensors
    tensors = _many(tensors)
    roots = _roots(tensors, [None] * len(tensors) if given is None else _many(given))
    if inputs is None:
        engine.walk(roots, bool(retain_graph))
        return
    chosen = _many(inputs)
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

    Errors: RuntimeError for an input that the outputs do not depend on, unless ``allow_unused`` (it is then None);
    NotImplementedError for ``create_graph=True``.
    """
    _refuse_second_order(create_graph)
    outputs, inputs = _many(outputs), _many(inputs)
    for x in inputs:
        if not x.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    roots = _roots(outputs, [None] * len(outputs) if grad_outputs is None else _many(grad_outputs))
    found: list[Tensor | None] = []
    for x, gradient in zip(inputs, _gradients(roots, inputs, bool(retain_graph)), strict=True):
        if gradient is None and not (allow_unused or materialize_grads):
            raise RuntimeError(
                "One of the differentiated Tensors appears to not have been used in the graph. "
                "Set allow_unused=True if this is the desired behavior."
            )
        if gradient is None:
            found.append(of_array(np.zeros_like(x.array)) if materialize_grads else None)
        else:
            found.append(of_array(gradient.copy("K")))
    return tuple(found)


def _gradients(roots: Any, inputs: Sequence[Tensor], retain_graph: bool) -> list[NDArray[Any] | None]:
    wanted: dict[Any, NDArray[Any] | None] = {x._current()._node or x: None for x in inputs}
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
    Errors: RuntimeError if there is no graph, or it was freed, or a saved value changed since;
    NotImplementedError for ``create_graph=True``: derivatives are of first order.
    """
    backward(self, gradient, retain_graph, create_graph, inputs=inputs)


_method.__name__ = "backward"
Tensor.backward = _method  # type: ignore[attr-defined]
