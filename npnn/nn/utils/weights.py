"""Tools for all the weights of a model at once: clipping gradients, weights as one vector, the L2 penalty."""

from __future__ import annotations

import math
from collections.abc import Iterable
from types import GeneratorType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import ShapeError, warn
from npnn.function import Function
from npnn.modes import no_grad
from npnn.ops import joining, shape
from npnn.tensor import Tensor, of_array

__all__ = [
    "clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "l2_penalty", "parameters_to_vector", "vector_to_parameters",
]  # fmt: skip

Tensors = Tensor | Iterable[Tensor]


def _gradients(parameters: Tensors) -> list[NDArray[Any]]:
    """Those that there are.  A generator that somebody has walked through already has none: that is told."""
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not given and isinstance(parameters, GeneratorType):
        warn("`parameters` is an empty generator, no gradient clipping will occur.")
    return [p.grad.array for p in given if p.grad is not None]


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by one factor, so that their common norm is at most max_norm.  Returns the norm before.

    g ← g min(1, max_norm / (‖g‖ + 1e-6)), with ‖g‖ = (Σ |g|ᵖ)^(1/p) over the elements of all of them
    and p = norm_type; p = inf takes the largest |g|.  The direction stays.  ``foreach`` has no effect.
    Errors: RuntimeError if the norm is nan or infinite and ``error_if_nonfinite``.
    Source: Pascanu, Mikolov & Bengio, On the difficulty of training recurrent neural networks, 2013, algorithm 1.
    """
    gradients = _gradients(parameters)
    dtype = np.result_type(*gradients) if gradients else np.dtype(np.float32)
    norms = [np.linalg.norm(g.ravel(order="K"), norm_type) for g in gradients if g.size]
    total = float(np.linalg.norm(np.array(norms, dtype), norm_type)) if norms else 0.0
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(
            f"the norm of the gradients is {total}, so clipping would spoil them all: "
            "find the first layer whose gradient is not finite, or lower the learning rate"
        )
    factor = max_norm / (total + 1e-6)
    if not factor >= 1:  # true for nan as well, which must not pass unseen
        with np.errstate(invalid="ignore"):  # inf becomes nan, as in torch: the check above is how to notice
            for g in gradients:
                g *= factor
    return of_array(np.asarray(total, dtype))


clip_grad_norm = clip_grad_norm_  # an old spelling


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Limit every element of every gradient to [-clip_value, clip_value].  ``foreach`` has no effect."""
    for g in _gradients(parameters):
        np.clip(g, -clip_value, clip_value, out=g)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters, one after the other, as one vector.  Gradients flow through it."""
    return joining.cat([shape.reshape(p, -1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the elements of a vector into the parameters, in the order of parameters_to_vector.

    Errors: ShapeError unless there are as many elements in both.
    """
    parameters = list(parameters)
    total = sum(p.numel() for p in parameters)
    if vec.shape != (total,):
        raise ShapeError(f"expected a vector of {total} elements, got shape {vec.array.shape}")
    end = 0
    with no_grad():
        for p in parameters:
            start, end = end, end + p.numel()
            p.copy_(vec.array[start:end].reshape(p.shape))


class L2Penalty(Function):
    """y = ½ Σ w² over all elements of all inputs.   dw = w dy"""

    def forward(self, *weights):
        self.weights = weights
        flat = [w.ravel(order="K") for w in weights]
        return np.asarray(sum(w.dot(w) for w in flat) / 2, weights[0].dtype)

    def backward(self, dy):
        return tuple([w * dy for w in self.weights])

    derivative = backward


def l2_penalty(parameters: Tensors) -> Tensor:
    """½ Σ ‖w‖², to be added to a loss as ``loss + λ l2_penalty(model.parameters())``.

    Its gradient is w, so for plain SGD λ does what ``weight_decay=λ`` does in the optimiser.  For
    optimisers that rescale gradients (Adam) the penalty is rescaled with them: see AdamW.
    Errors: ValueError without parameters.
    Source: Goodfellow, Bengio & Courville, Deep Learning, 2016, section 7.1.1.
    """
    weights = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not weights:
        raise ValueError("l2_penalty of no parameters")
    return L2Penalty.apply(*weights)
