"""Softmax and its logarithm along an axis: numbers become probabilities that sum to 1."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.nn.checks import check_floating
from npnn.nn.module import Module
from npnn.ops.promotion import cast
from npnn.tensor import Function, Tensor

__all__ = ["LogSoftmax", "Softmax", "log_softmax", "softmax"]


class SoftmaxFunction(Function):
    """y = e^(x - max x) / Σ e^(x - max x).   dx = y (dy - Σ dy y)"""

    def forward(self, x: NDArray[Any], dim: int) -> NDArray[Any]:
        self.dim, self.y = dim, _shifted(x, dim)
        np.exp(self.y, out=self.y)
        self.y /= self.y.sum(axis=dim, keepdims=True)
        return self.y

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        return self.y * (dy - (dy * self.y).sum(axis=self.dim, keepdims=True))


class LogSoftmaxFunction(Function):
    """y = x - max x - log Σ e^(x - max x).   dx = dy - e^y Σ dy"""

    def forward(self, x: NDArray[Any], dim: int) -> NDArray[Any]:
        self.dim, self.y = dim, _shifted(x, dim)
        if x.size:
            self.y -= np.log(np.exp(self.y).sum(axis=dim, keepdims=True))
        return self.y

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        return dy - np.exp(self.y) * dy.sum(axis=self.dim, keepdims=True)


def _shifted(x: NDArray[Any], dim: int) -> NDArray[Any]:
    """x less its largest element along the axis, so that no exponential overflows."""
    with np.errstate(invalid="ignore"):  # infinities give nan, quietly
        return np.asarray(x - x.max(axis=dim, keepdims=True, initial=-np.inf))


def _prepare(name: str, input: Tensor, dim: int | None, dtype: Any) -> tuple[Tensor, int]:
    if dtype is not None:
        input = cast(input, dtype)
    check_floating(name, input)
    if dim is None:
        dim = 0 if input.ndim in (0, 1, 3) else 1  # torch's guess, and its warning
        warnings.warn(f"{name} without dim takes dim={dim}: say which axis sums to 1", stacklevel=3)
    if not -max(input.ndim, 1) <= dim < max(input.ndim, 1):
        raise IndexError(f"{name}: dim must be from {-input.ndim} to {input.ndim - 1}, got {dim}")
    return input, dim


def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """e^xᵢ / Σⱼ e^xⱼ along ``dim``, in ``dtype`` if given.   Any shape.

    The largest element is taken out first, so that logits of any size give finite results.
    Errors: IndexError for an axis that is not there.
    Source: Goodfellow, Bengio & Courville, Deep learning, 2016, section 6.2.2.3.
    """
    input, dim = _prepare("softmax", input, dim, dtype)
    return SoftmaxFunction.apply(input, dim=dim)


def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """xᵢ - log Σⱼ e^xⱼ along ``dim``: log(softmax(x)), but finite where softmax underflows.   Any shape.

    Errors: IndexError for an axis that is not there.
    """
    input, dim = _prepare("log_softmax", input, dim, dtype)
    return LogSoftmaxFunction.apply(input, dim=dim)


class Softmax(Module):
    """e^xᵢ / Σⱼ e^xⱼ along ``dim``: see softmax.   Any shape."""

    def __init__(self, dim: int | None = None):
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """xᵢ - log Σⱼ e^xⱼ along ``dim``: see log_softmax.   Any shape."""

    def __init__(self, dim: int | None = None):
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
