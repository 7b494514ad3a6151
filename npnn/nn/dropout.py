"""Dropout: a random part of the features is left out at every training step, so that none is relied upon."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn import random
from npnn.errors import ShapeError, warn
from npnn.nn.checks import check_floating
from npnn.nn.module import Module
from npnn.tensor import Function, Tensor

__all__ = ["Dropout", "Dropout1d", "Dropout2d", "dropout", "dropout1d", "dropout2d"]


class DropoutFunction(Function):
    """y = f x, where each f is 0 with probability p and 1/(1 - p) otherwise.   dx = f dy

    There is one f for all axes from ``shared`` on: whole channels are dropped if it is 2.
    """

    def forward(self, x: NDArray[Any], p: float, shared: int) -> NDArray[Any]:
        f = np.empty_like(x) if shared == x.ndim else np.empty(x.shape[:shared] + (1,) * (x.ndim - shared), x.dtype)
        if p < 1:
            random.generator().bernoulli_(f, 1 - p, x.dtype.type(1) / x.dtype.type(1 - p))
        else:
            random.generator().bernoulli_(f, 0.0, 0.0)
        self.f = f
        return x * f

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        return dy * self.f


def _check(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _drop(name: str, input: Tensor, p: float, training: bool, shared: int) -> Tensor:
    _check(p)
    if not training or p == 0:
        return input
    check_floating(name, input)
    return DropoutFunction.apply(input, p=float(p), shared=shared)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element set to 0 with probability p, the others divided by 1 - p, which keeps the mean.   Any shape.

    The input itself unless ``training``.  ``inplace`` is accepted and does nothing.
    Gradient: dy times the same zeros and 1/(1 - p).
    Errors: ValueError unless 0 <= p <= 1.
    Source: Srivastava et al., Dropout, 2014, section 10 (multiplicative scaling in training).
    """
    return _drop("dropout", input, p, training, input.ndim)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """dropout of whole channels of a sequence.   (N, C, L) or (C, L), result the same

    Errors: ValueError unless 0 <= p <= 1; ShapeError for another number of axes.
    Source: Tompson et al., Efficient object localization using convolutional networks, 2015.
    """
    _check(p)
    if input.ndim not in (2, 3):
        raise ShapeError(f"dropout1d: expected an input of shape (N, C, L) or (C, L), got {input.shape}")
    return _drop("dropout1d", input, p, training, input.ndim - 1)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """dropout of whole channels of an image.   (N, C, H, W), result the same

    An input of three axes is taken as (N, C, L), with a warning, as in torch.
    Errors: ValueError unless 0 <= p <= 1; ShapeError for another number of axes.
    Source: as for dropout1d.
    """
    _check(p)
    if input.ndim not in (3, 4):
        raise ShapeError(f"dropout2d: expected an input of shape (N, C, H, W), got {input.shape}")
    if input.ndim == 3:
        warn(
            f"dropout2d takes an input of shape {input.shape} as (N, C, L): use dropout1d to say so, "
            "or add the batch's axis with x.unsqueeze(0)"
        )
    return _drop("dropout2d", input, p, training, 2)


class _Dropout(Module):
    drop: Any

    def __init__(self, p: float = 0.5, inplace: bool = False):
        _check(p)
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        return self.drop(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Elements dropped with probability p in training, nothing in evaluation: see dropout.   Any shape."""

    drop = staticmethod(dropout)


class Dropout1d(_Dropout):
    """Channels dropped with probability p in training: see dropout1d.   (N, C, L) or (C, L)"""

    drop = staticmethod(dropout1d)


class Dropout2d(_Dropout):
    """Channels dropped with probability p in training: see dropout2d.   (N, C, H, W)"""

    drop = staticmethod(dropout2d)
