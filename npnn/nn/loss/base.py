"""What all losses share: the reduction to one number, and the derivative of an element-by-element loss."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import DtypeError, ShapeError
from npnn.function import Function
from npnn.nn.module import Module
from npnn.tensor import Tensor

__all__ = ["ElementwiseLoss", "Loss", "checked_reduction", "spread"]


def checked_reduction(reduction: str, *more: str) -> str:
    """The reduction itself.  Errors: ValueError unless it is none, mean, sum or one of ``more``."""
    if reduction not in ("none", "mean", "sum", *more):
        raise ValueError(f"reduction must be {', '.join(['none', 'mean', 'sum', *more])}, got {reduction!r}")
    return reduction


def with_old_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function (of losses) with what ``reduction`` replaced in torch, and torch still takes: size_average, reduce.

    ``reduce=False`` is "none", ``size_average=False`` is "sum"; otherwise "mean".
    """

    @functools.wraps(function)
    def call(*args: Any, size_average: bool | None = None, reduce: bool | None = None, **options: Any) -> Any:
        if size_average is not None or reduce is not None:
            options["reduction"] = "none" if reduce is False else "sum" if size_average is False else "mean"
        return function(*args, **options)

    return call


class Loss(Module):
    """Base class of the loss layers: it keeps the reduction."""

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = with_old_arguments(cls.__init__)  # type: ignore[method-assign]

    def __init__(self, *, reduction: str = "mean"):
        super().__init__()
        self.reduction = checked_reduction(reduction)


class ElementwiseLoss(Function):
    """loss = reduce(w ℓ(x, t)) for x and t of one shape.   dx = w ∂ℓ/∂x dy, dt = w ∂ℓ/∂t dy, divided by n for a mean

    A subclass writes ``element(x, t)``, the array of ℓ, which saves what ``slopes`` needs, and
    ``slopes()``, the pair (∂ℓ/∂x, ∂ℓ/∂t).  The target and the weights w are taken in x's dtype.
    """

    weights: Any
    element: Callable[..., NDArray[Any]]
    slopes: Callable[[], tuple[NDArray[Any], NDArray[Any]]]

    def forward(
        self, x: Any, t: Any, weight: Any = None, *, reduction: str, mean_weight: bool = False, **options: Any
    ) -> Any:
        if x.shape != t.shape or x.dtype.kind != "f":
            _refuse(x, t)
        t = t.astype(x.dtype, copy=False)
        self.given, self.options, self.weights, self.factor = (x, t), options, None, 1.0
        losses = self.element(x, t, **options)
        if weight is not None:
            self.weights = spread(weight, x)
            losses = losses * self.weights
        if reduction == "none":
            return losses
        total = losses.sum()
        if reduction == "sum":
            return total
        n = len(x) if reduction == "batchmean" and x.ndim else x.size
        if mean_weight and weight is not None:  # by the sum of the weights, not by their number
            n = float(self.weights.sum())
        self.factor = 1 / n if n else 0.0
        return total / x.dtype.type(n) if n else np.array(math.nan, x.dtype)  # the mean of nothing is nan

    def backward(self, dy: NDArray[Any]) -> Any:
        dy = dy * self.factor
        if self.weights is not None:
            dy = dy * self.weights
        dx, dt = self.slopes()
        needs_dx, needs_dt, *others = self.needs_grad
        return (dx * dy if needs_dx else None), (dt * dy if needs_dt else None), *[None] * len(others)

    def derivative(self: Any, dy: Tensor) -> Any:
        self.element(*[self.input(i, v) for i, v in enumerate(self.given)], **self.options)  # once more, of tensors
        return self.backward(dy)


def spread(weight: NDArray[Any], x: NDArray[Any], name: str = "weight") -> NDArray[Any]:
    """The weights in x's dtype, one for each element of x.  Errors: ShapeError if they do not broadcast to it."""
    try:
        return np.broadcast_to(weight.astype(x.dtype, copy=False), x.shape)
    except ValueError:
        raise ShapeError(f"expected a {name} that broadcasts to the input's {x.shape}, got {weight.shape}") from None


def _refuse(x: NDArray[Any], t: NDArray[Any]) -> None:
    if x.dtype.kind != "f":
        raise DtypeError(f"a loss needs a floating-point input, got {x.dtype}")
    hint = ""
    if x.size == t.size:
        hint = "; they hold as many elements, so reshape one of them (broadcasting would compare every pair)"
    raise ShapeError(f"expected a target of the input's shape {x.shape}, got {t.shape}{hint}")
