"""Tools that prove a gradient right: gradcheck, and a comparison that says where two arrays differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npnn import autograd
from npnn.tensor import Tensor, of_array

__all__ = ["assert_close", "gradcheck", "gradcheck_of_torch", "gradgradcheck"]


def _array(x: Any) -> NDArray[Any]:
    return np.asarray(x.detach().numpy() if hasattr(x, "detach") else x)


def assert_close(actual: Any, expected: Any, rtol: float = 1e-5, atol: float = 1e-8, what: str = "value") -> None:
    """Raise AssertionError unless shapes are equal and |actual - expected| <= atol + rtol |expected|.

    Accepts arrays, npnn tensors and torch tensors.  NaNs in the same places count as equal.
    """
    np.testing.assert_allclose(_array(actual), _array(expected), rtol=rtol, atol=atol, err_msg=what, strict=False)
    if _array(actual).shape != _array(expected).shape:  # allclose broadcasts, a gradient must not
        raise AssertionError(f"{what}: shape {_array(actual).shape}, expected {_array(expected).shape}")


def gradcheck(
    fn: Callable[..., Any],
    *arrays: ArrayLike,
    eps: float = 1e-6,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    seed: int = 0,
) -> bool:
    """Compare backward with a finite difference, in float64, along a random direction.

    For y = fn(x), a random direction u and a random cotangent w, both sides of

        <w, J u>  =  <Jᵀ w, u>

    are computed: the left from fn(x + ε u) and fn(x - ε u), the right by backward.  A wrong entry
    anywhere in the Jacobian shows with probability one.  A cotangent of ones would not do: it
    cannot see a wrong softmax or batch norm, whose outputs have a constant sum.

    ``fn`` takes Tensors and returns one Tensor or a tuple of them; it must be smooth at ``arrays``
    (keep ReLU and max away from their kinks) and give the same result at each call.  Each input
    is checked along a direction of its own, so the error names the one that is wrong.

    Errors: AssertionError naming the input and both numbers.
    Source: Griewank & Walther, Evaluating Derivatives, 2nd ed., section 3.3 (adjoint consistency).
    """
    rng = np.random.default_rng(seed)
    points = [np.array(a, np.float64) for a in arrays]

    def evaluate(values: list[NDArray[Any]], requires_grad: bool) -> tuple[list[Tensor], list[Tensor]]:
        inputs = [of_array(v.copy(order="K"), requires_grad=requires_grad) for v in values]
        result = fn(*inputs)
        outputs = list(result) if isinstance(result, (tuple, list)) else [result]
        return inputs, [y for y in outputs if y.dtype.kind == "f"]

    inputs, outputs = evaluate(points, True)
    cotangents = [rng.standard_normal(y.shape) for y in outputs]
    reached = [(y, w) for y, w in zip(outputs, cotangents, strict=True) if y.requires_grad]
    if not reached:
        raise AssertionError("no output depends on the inputs")
    total = sum(((y * of_array(w)).sum() for y, w in reached), start=of_array(0.0, dtype="float64"))
    total.backward()

    for i, (x, point) in enumerate(zip(inputs, points, strict=True)):
        direction = rng.standard_normal(point.shape)
        sides = []
        for sign in (1.0, -1.0):
            moved = [p + sign * eps * direction if j == i else p for j, p in enumerate(points)]
            _, values = evaluate(moved, False)
            sides.append(sum(float(np.sum(y.array * w)) for y, w in zip(values, cotangents, strict=True)))
        numeric = (sides[0] - sides[1]) / (2 * eps)
        gradient = np.zeros(point.shape) if x.grad is None else x.grad.array
        if gradient.shape != point.shape:
            raise AssertionError(f"input {i}: the gradient has shape {gradient.shape}, the input {point.shape}")
        analytic = float(np.sum(gradient * direction))
        scale = max(abs(numeric), abs(analytic), float(np.linalg.norm(gradient)))
        if not abs(numeric - analytic) <= atol + rtol * scale:
            raise AssertionError(
                f"input {i}: backward gives {analytic:.10g} along a random direction, finite differences {numeric:.10g}"
            )
    return True


def gradcheck_of_torch(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    **options: Any,
) -> bool:
    """torch.autograd.gradcheck: is backward right for each of ``inputs`` (a Tensor or a tuple) that requires a gradient?

    It is gradcheck, in float64 whatever the inputs have; torch's further options change nothing.
    Errors: RuntimeError for a wrong gradient (without ``raise_exception`` the result is False);
    ValueError if no input requires a gradient.
    """
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    places = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    if not places:
        raise ValueError("gradcheck needs an input that requires a gradient, and there is none")

    def of_those(*values: Tensor) -> Any:
        return func(*(values[places.index(i)] if i in places else x for i, x in enumerate(given)))

    try:
        return gradcheck(of_those, *(given[i].array for i in places), eps=eps, rtol=rtol, atol=atol)
    except AssertionError as error:
        if raise_exception:
            raise RuntimeError(f"wrong gradient: {error}, among the inputs that require a gradient") from None
        return False


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    **options: Any,
) -> bool:
    """torch.autograd.gradgradcheck: is the gradient of the gradient right, for the inputs and for ``grad_outputs``?

    The latter are drawn at random unless given.  Errors: as for gradcheck_of_torch.
    """
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    places = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    results = func(*given)
    outputs = [y for y in (results if isinstance(results, (tuple, list)) else [results]) if y.requires_grad]
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        weights = [of_array(rng.standard_normal(y.array.shape), requires_grad=True) for y in outputs]
    else:
        weights = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)

    def gradient(*values: Tensor) -> Any:
        of_inputs, of_weights = values[: len(given)], values[len(given) :]
        leaves = [x if x.requires_grad else x.detach().requires_grad_() for x in (of_inputs[i] for i in places)]
        arguments = [leaves[places.index(i)] if i in places else x for i, x in enumerate(of_inputs)]
        with autograd.enable_grad():
            found = func(*arguments)
            reached = [y for y in (found if isinstance(found, (tuple, list)) else [found]) if y.requires_grad]
            gradients = autograd.grad(reached, leaves, of_weights, create_graph=True, allow_unused=True)
        return tuple([g for g in gradients if g is not None])

    return gradcheck_of_torch(
        gradient, (*given, *weights), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception
    )
