"""Jacobians, Hessians and their products with vectors, under the names of torch.autograd.functional.

``func`` takes Tensors and returns one Tensor or several.  ``inputs`` is a Tensor or a tuple of them, and results
come in the same form.  A derivative that is zero because nothing depends on the input is zeros, or an error if
``strict``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npnn import autograd
from npnn.ops.joining import stack
from npnn.tensor import Tensor, of_array

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def _like(given: Any, results: tuple[Any, ...]) -> Any:
    return results if isinstance(given, (tuple, list)) else results[0]


def leaves(inputs: Any, create_graph: bool) -> tuple[Tensor, ...]:
    """The inputs as tensors that gradients are taken of: in their own graph if one is to be made."""
    tensors = _tuple(inputs)
    for x in tensors:
        if not isinstance(x, Tensor):
            raise TypeError(f"the inputs must be Tensors, got {type(x).__name__}")
    return tuple([x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in tensors])


def _grad(outputs: Any, inputs: tuple[Tensor, ...], weights: Any, create_graph: bool, strict: bool) -> tuple[Any, ...]:
    """autograd.grad with zeros for what does not depend on an input."""
    outputs, weights = _tuple(outputs), _tuple(weights)
    pairs = [(y, w) for y, w in zip(outputs, weights, strict=True) if y.requires_grad]
    found: tuple[Any, ...] = (None,) * len(inputs)
    if pairs:
        found = autograd.grad(
            [y for y, _ in pairs], inputs, [w for _, w in pairs], True, create_graph, allow_unused=True
        )
    if strict and any(g is None for g in found):
        raise RuntimeError("the result does not depend on one of the inputs; this is not allowed with strict=True")
    return tuple([of_array(np.zeros_like(x.array)) if g is None else g for g, x in zip(found, inputs, strict=True)])


def _vector(v: Any, like: tuple[Tensor, ...], name: str) -> tuple[Tensor, ...]:
    """A vector of the shapes of ``like``; 1 for a single number."""
    if v is None:
        if len(like) != 1 or like[0].array.size != 1:
            raise RuntimeError(f"the vector {name} can only be None if there is one number")
        return (of_array(np.ones_like(like[0].array)),)
    vectors = _tuple(v)
    if [w.array.shape for w in vectors] != [x.array.shape for x in like]:
        raise RuntimeError(f"{name} has shapes {[w.shape for w in vectors]}, expected {[x.shape for x in like]}")
    return vectors


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """func(inputs) and vᵀ J, J the Jacobian of func: one walk back."""
    given = leaves(inputs, create_graph)
    outputs = func(*given)
    vector = _vector(v, _tuple(outputs), "v")
    products = _grad(outputs, given, vector, create_graph, strict)
    return _result(outputs, create_graph), _like(inputs, products)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """func(inputs) and J v, J the Jacobian of func.

    uᵀ J is linear in u, and its derivative with respect to u, weighted with v, is J v: two walks back.
    """
    given = leaves(inputs, create_graph)
    outputs = func(*given)
    vector = _vector(v, given, "v")
    u = tuple([of_array(np.zeros_like(y.array), requires_grad=True) for y in _tuple(outputs)])
    rows = _grad(outputs, given, u, True, strict)
    products = _grad(rows, u, vector, create_graph, False)
    return _result(outputs, create_graph), _like(outputs, products)


def _result(outputs: Any, create_graph: bool) -> Any:
    return outputs if create_graph else _like(outputs, tuple([y.detach() for y in _tuple(outputs)]))


def jacobian(
    func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """∂ func_i / ∂ inputs_j for every output and input, of shape (*output, *input); one walk back for each output element.

    ``vectorize`` and ``strategy`` are accepted and change nothing.
    """
    given = leaves(inputs, create_graph)
    outputs = func(*given)
    table = []
    for y in _tuple(outputs):
        rows = [_grad(e, given, of_array(np.ones_like(e.array)), create_graph, strict) for e in y.reshape(-1).unbind(0)]
        blocks = []
        for j, x in enumerate(given):
            shape = (*y.array.shape, *x.array.shape)
            blocks.append(
                stack([row[j] for row in rows]).reshape(shape) if rows else of_array(np.zeros(shape, x.array.dtype))
            )
        table.append(_like(inputs, tuple(blocks)))
    return _like(outputs, tuple(table))


def _number(func: Callable[..., Any]) -> Callable[..., Tensor]:
    def call(*inputs: Tensor) -> Tensor:
        y = func(*inputs)
        if not isinstance(y, Tensor) or y.array.size != 1:
            raise RuntimeError("the function must return one number")
        return y

    return call


def hessian(
    func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """∂² func / ∂ inputs_i ∂ inputs_j of a function that returns one number: the Jacobian of its gradient."""

    def gradient(*given: Tensor) -> Any:
        y = _number(func)(*given)
        return _like(inputs, _grad(y, given, of_array(np.ones_like(y.array)), True, strict))

    return jacobian(gradient, inputs, create_graph, strict)


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """func(inputs), one number, and vᵀ H, H its Hessian: the derivative of the gradient, weighted with v."""
    given = leaves(inputs, create_graph)
    y = _number(func)(*given)
    vector = _vector(v, given, "v")
    gradient = _grad(y, given, of_array(np.ones_like(y.array)), True, strict)
    return _result(y, create_graph), _like(inputs, _grad(gradient, given, vector, create_graph, strict))


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """func(inputs), one number, and H v.  The Hessian is symmetric: it is vhp."""
    return vhp(func, inputs, v, create_graph, strict)
