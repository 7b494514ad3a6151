"""Dropout: a random part of the features is left out at every training step, so that none is relied upon."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn import random
from npnn.errors import ShapeError, warn
from npnn.function import Function
from npnn.nn.checks import check_floating
from npnn.nn.module import Module
from npnn.tensor import Tensor

__all__ = [
    "AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout", "alpha_dropout", "dropout",
    "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout",
]  # fmt: skip


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

    derivative = backward


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

    An input of another number of axes is taken as (N, C, ...), with a warning, as in torch.
    Errors: ValueError unless 0 <= p <= 1; ShapeError for another number of axes.
    Source: as for dropout1d.
    """
    _check(p)
    if input.array.ndim < 2:
        raise ShapeError(f"dropout2d: expected an input of shape (N, C, H, W), got {input.shape}")
    if input.array.ndim != 4:
        warn(
            f"dropout2d takes an input of shape {tuple(input.shape)} as (N, C, ...): use dropout, dropout1d or dropout3d to "
            "say so, or add the batch's axis with x.unsqueeze(0)"
        )
    return _drop("dropout2d", input, p, training, 2)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """dropout of whole channels of a volume.   (N, C, D, H, W) or (C, D, H, W), result the same

    Errors: ValueError unless 0 <= p <= 1; ShapeError for fewer than two axes.
    Source: as for dropout1d.
    """
    _check(p)
    if input.array.ndim < 2:
        raise ShapeError(f"dropout3d: expected an input of shape (N, C, D, H, W), got {input.shape}")
    if input.array.ndim not in (4, 5):
        warn(f"dropout3d takes an input of shape {tuple(input.shape)} as (C, ...): use dropout, dropout1d or dropout2d")
    return _drop("dropout3d", input, p, training, 2 if input.array.ndim == 5 else 1)


_ALPHA = -1.7580993408473766  # what SELU tends to on the left


class AlphaFunction(Function):
    """y = a (x where kept, α' where not) + b, with a and b such that mean and variance stay.   dx = a dy where kept"""

    def forward(self, x: NDArray[Any], p: float, shared: int) -> NDArray[Any]:
        kept = random.generator().bernoulli_(np.empty(x.shape[:shared] + (1,) * (x.ndim - shared), x.dtype), 1 - p)
        a = 1 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
        self.scale = kept * x.dtype.type(a)
        return x * self.scale + ((1 - kept) * x.dtype.type(a * _ALPHA) - x.dtype.type(a * _ALPHA * p))

    def backward(self, dy: NDArray[Any]) -> Any:
        return dy * self.scale, None, None

    derivative = backward


class _Dropout(Module):
    drop: Any

    def __init__(self, p: float = 0.5, inplace: bool = False):
        _check(p)
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        return self.drop(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean and variance of what SELU gives: dropped elements become SELU's limit.   Any shape.

    Source: Klambauer et al., Self-normalizing neural networks, 2017, section 2.
    """
    return _alpha(input, p, training, input.array.ndim)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """alpha_dropout of whole channels.   (N, C, ...)"""
    return _alpha(input, p, training, 2)


def _alpha(input: Tensor, p: float, training: bool, shared: int) -> Tensor:
    _check(p)
    if not training or p == 0:
        return input
    return input * 0 if p == 1 else AlphaFunction.apply(input, float(p), shared)


class Dropout(_Dropout):
    """Elements dropped with probability p in training, nothing in evaluation: see dropout.   Any shape."""

    drop = staticmethod(dropout)


class Dropout1d(_Dropout):
    """Channels dropped with probability p in training: see dropout1d.   (N, C, L) or (C, L)"""

    drop = staticmethod(dropout1d)


class Dropout2d(_Dropout):
    """Channels dropped with probability p in training: see dropout2d.   (N, C, H, W)"""

    drop = staticmethod(dropout2d)


class Dropout3d(_Dropout):
    """Channels dropped with probability p in training: see dropout3d.   (N, C, D, H, W)"""

    drop = staticmethod(dropout3d)


class AlphaDropout(_Dropout):
    """See alpha_dropout.   Any shape."""

    drop = staticmethod(alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """See feature_alpha_dropout.   (N, C, ...)"""

    drop = staticmethod(feature_alpha_dropout)
