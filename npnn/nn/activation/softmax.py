"""Softmax and its logarithm along an axis: numbers become probabilities that sum to 1."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from npnn.errors import warn
from npnn.function import Function
from npnn.kernels import softmax_rows as kernels
from npnn.nn.checks import check_floating
from npnn.nn.module import Module
from npnn.ops.promotion import cast
from npnn.tensor import Tensor

__all__ = ["LogSoftmax", "Softmax", "log_softmax", "softmax"]


class SoftmaxFunction(Function):
    """y = p = e^x / Σ e^x along an axis.   dx = p (dy - Σ dy p)"""

    log = False

    def forward(self, x: NDArray[Any], dim: int) -> NDArray[Any]:
        self.dim, self.swapped = dim, x.swapaxes(dim, -1).shape if x.ndim else (1,)
        self.rows = kernels.softmax(self._rows(x), self.log)
        return self._back(self.rows, x.shape)

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        return self._back(kernels.softmax_backward(self._rows(dy), self.rows, self.log), dy.shape)

    def _rows(self, x: NDArray[Any]) -> NDArray[Any]:
        """The axis last and all others as one.   (*, D, *) -> (M, D)"""
        D = self.swapped[-1]
        return (x.swapaxes(self.dim, -1) if x.ndim else x).reshape(x.size // max(D, 1), D)

    def _back(self, rows: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        return rows.reshape(self.swapped).swapaxes(self.dim, -1).reshape(shape)

    def derivative(self: Any, dy: Tensor) -> Any:
        dim = self.dim if dy.array.ndim else None
        y = self.output(self._back(self.rows, dy.array.shape))
        if self.log:
            return dy - y.exp() * dy.sum(dim, keepdim=True)
        return y * (dy - (dy * y).sum(dim, keepdim=True))


class LogSoftmaxFunction(SoftmaxFunction):
    """y = log p = x - log Σ e^x along an axis.   dx = dy - p Σ dy"""

    log = True


def _prepare(name: str, input: Tensor, dim: int | None, dtype: Any) -> tuple[Tensor, int]:
    if dtype is not None:
        input = cast(input, dtype)
    check_floating(name, input)
    if dim is None:
        dim = 0 if input.ndim in (0, 1, 3) else 1  # torch's guess, and its warning
        warn(f"{name} without dim takes dim={dim}: say which axis sums to 1")
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
