"""Functions of functions: gradients, Jacobians and loops over a batch, under the names of torch.func."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from npnn import autograd, jacobians
from npnn.nn.utils.stateless import functional_call
from npnn.ops.joining import stack
from npnn.tensor import Tensor

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "stack_module_state",
    "vjp",
    "vmap",
]


def _tensors(x: Any) -> list[Tensor]:
    """The tensors of nested dicts, lists and tuples, in order."""
    if isinstance(x, Tensor):
        return [x]
    if isinstance(x, dict):
        return [t for v in x.values() for t in _tensors(v)]
    return [t for v in x for t in _tensors(v)] if isinstance(x, (list, tuple)) else []


def _rebuilt(x: Any, tensors: Any) -> Any:
    """The same nesting with other tensors, taken from an iterator."""
    if isinstance(x, Tensor):
        return next(tensors)
    if isinstance(x, dict):
        return {k: _rebuilt(v, tensors) for k, v in x.items()}
    return type(x)([_rebuilt(v, tensors) for v in x]) if isinstance(x, (list, tuple)) else x


def grad_and_value(func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of ``func`` (which returns one number) and its value.

    ``argnums`` says with respect to which arguments: tensors, or dicts, lists and tuples of tensors.  With
    ``has_aux`` func returns a pair, of which the second is passed on.
    """

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        places = argnums if isinstance(argnums, tuple) else (argnums,)
        chosen = [_tensors(args[i]) for i in places]
        nested = any(x.requires_grad for group in chosen for x in group)
        inputs = jacobians.leaves([x for group in chosen for x in group], nested)
        given, fresh = list(args), iter(inputs)
        for i in places:
            given[i] = _rebuilt(args[i], fresh)
        with autograd.enable_grad():
            result = func(*given, **kwargs)
        value, aux = result if has_aux else (result, None)
        if not isinstance(value, Tensor) or value.array.size != 1:
            raise RuntimeError("grad is of functions that return one number")
        found = iter(autograd.grad(value, inputs, create_graph=nested, allow_unused=True, materialize_grads=True))
        gradients = tuple([_rebuilt(args[i], found) for i in places])
        gradient = gradients if isinstance(argnums, tuple) else gradients[0]
        value = value if nested else value.detach()
        return (gradient, (value, aux)) if has_aux else (gradient, value)

    return call


def grad(func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of ``func``, which returns one number: see grad_and_value."""
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return call


def jacrev(func: Callable[..., Any], argnums: Any = 0) -> Callable[..., Any]:
    """A function that returns the Jacobian of ``func``, of shape (*output, *input), one walk back for each element.

    ``argnums`` as in grad_and_value: of a dict of tensors, a dict of Jacobians.  Of several outputs, one for each.
    """

    @functools.wraps(func)
    def call(*args: Any) -> Any:
        places = argnums if isinstance(argnums, tuple) else (argnums,)

        def of_those(*values: Tensor) -> Any:
            given, fresh = list(args), iter(values)
            for i in places:
                given[i] = _rebuilt(args[i], fresh)
            return func(*given)

        def nesting(blocks: Any) -> Any:
            found = iter(blocks)
            parts = tuple([_rebuilt(args[i], found) for i in places])
            return parts if isinstance(argnums, tuple) else parts[0]

        inputs = tuple([x for i in places for x in _tensors(args[i])])
        table = jacobians.jacobian(of_those, inputs, create_graph=any(x.requires_grad for x in inputs))
        return nesting(table) if isinstance(table[0], Tensor) else tuple([nesting(blocks) for blocks in table])

    return call


jacfwd = jacrev  # the same numbers: npnn has one way to them


def hessian(func: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """A function that returns the matrix of second derivatives of ``func``: jacrev of jacrev."""
    return jacrev(jacrev(func, argnums), argnums)


def vjp(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """func(*primals), and a function that takes a vector v to vᵀ J, one product for each of the primals."""
    nested = any(x.requires_grad for x in primals)
    given = jacobians.leaves(primals, nested)
    outputs = func(*given)

    def product(v: Any) -> Any:
        return autograd.grad(outputs, given, v, True, nested, allow_unused=True, materialize_grads=True)

    detached = outputs.detach() if isinstance(outputs, Tensor) else type(outputs)([y.detach() for y in outputs])
    return detached, product


def jvp(func: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
    """func(*primals) and J v, v the tangents."""
    nested = any(x.requires_grad for x in (*primals, *tangents))
    return jacobians.jvp(func, tuple(primals), tuple(tangents), create_graph=nested)  # type: ignore[no-any-return]


def vmap(
    func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: Any = None
) -> Callable[..., Any]:
    """``func`` for each example of a batch, the results stacked along ``out_dims``: a loop.

    ``in_dims`` is the batch's axis in each argument, None for one that is the same for all; it may be nested as
    the arguments are.  Errors: ValueError for batches of different sizes, or none.
    """

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        axes = in_dims if isinstance(in_dims, tuple) else (in_dims,) * len(args)
        if len(axes) != len(args):
            raise ValueError(f"vmap: in_dims has {len(axes)} entries for {len(args)} arguments")
        sizes = {n for x, axis in zip(args, axes, strict=True) for n in _sizes(x, axis)}
        if len(sizes) != 1:
            raise ValueError(f"vmap: expected the batch to have one size, got {sorted(sizes)}")
        results = [
            func(*[_picked(x, axis, i) for x, axis in zip(args, axes, strict=True)], **kwargs)
            for i in range(sizes.pop())
        ]
        return _stacked(results, out_dims)

    return call


def stack_module_state(models: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and the buffers of several models of one kind, each stacked along a new first axis.

    ``vmap`` of ``functional_call`` then runs all of them.   Errors: RuntimeError for no models, or unlike ones.
    """
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({(type(model), model.training) for model in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class and in the same mode.")
    stacked = []
    for named in ([dict(m.named_parameters()) for m in models], [dict(m.named_buffers()) for m in models]):
        state = {name: stack([tensors[name].detach() for tensors in named]) for name in named[0]}
        for name, tensor in state.items():
            tensor.requires_grad_(named[0][name].requires_grad)
        stacked.append(state)
    return stacked[0], stacked[1]


def _sizes(x: Any, axis: Any) -> list[int]:
    if axis is None:
        return []
    if isinstance(x, Tensor):
        return [x.array.shape[axis]]
    inside = x.values() if isinstance(x, dict) else x if isinstance(x, (list, tuple)) else ()
    return [n for i, v in enumerate(inside) for n in _sizes(v, axis[i] if isinstance(axis, (list, tuple)) else axis)]


def _picked(x: Any, axis: Any, i: int) -> Any:
    if axis is None:
        return x
    if isinstance(x, Tensor):
        return x.select(axis, i)
    if isinstance(x, dict):
        return {k: _picked(v, axis, i) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)([_picked(v, axis[j] if isinstance(axis, (list, tuple)) else axis, i) for j, v in enumerate(x)])
    return x


def _stacked(results: list[Any], axis: Any) -> Any:
    first = results[0]
    if isinstance(first, Tensor):
        return stack(results, axis)
    if isinstance(first, dict):
        return {k: _stacked([r[k] for r in results], axis) for k in first}
    return type(first)(
        [_stacked([r[j] for r in results], axis[j] if isinstance(axis, tuple) else axis) for j in range(len(first))]
    )
