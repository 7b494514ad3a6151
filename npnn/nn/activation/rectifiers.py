"""Activations made of straight lines, or of a line and an exponential: ReLU and its relatives.

Each is its operation, its function and its module.  ``inplace`` is accepted, as in torch, and does
nothing: here every operation makes a new array.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.dtypes import of_parameters
from npnn.errors import ShapeError
from npnn.function import Function
from npnn.kernels import elementwise as kernels
from npnn.kernels import smooth
from npnn.nn.checks import check_floating, check_same_dtype
from npnn.nn.module import Module, Parameter
from npnn.ops.indexing import where
from npnn.tensor import Tensor

__all__ = [
    "ELU", "SELU", "Hardswish", "LeakyReLU", "PReLU", "ReLU", "ReLU6", "elu", "hardswish", "leaky_relu", "prelu",
    "relu", "relu6", "selu",
]  # fmt: skip


class ReLUFunction(Function):
    """y = max(x, 0).   dx = dy where y > 0"""

    def forward(self, x: NDArray[Any]) -> NDArray[Any]:
        y = kernels.relu(x)
        if self.needs_grad[0]:
            self.y = y
        return y

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        return kernels.relu_backward(dy, self.y)

    def derivative(self: Any, dy: Tensor) -> Tensor:
        return dy * (self.y > 0)


class LeakyReLUFunction(Function):
    """y = x where x > 0, slope · x elsewhere.   dx = dy and slope · dy likewise"""

    def forward(self, x: NDArray[Any], slope: float) -> NDArray[Any]:
        self.x, self.slope = x, slope
        return kernels.leaky_relu(x, x, slope)

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        return kernels.leaky_relu(dy, self.x, self.slope)

    def derivative(self: Any, dy: Tensor) -> Tensor:
        return dy * np.where(self.x.array > 0, 1, self.slope).astype(dy.array.dtype)


class ELUFunction(Function):
    """y = s x where x > 0, s α (e^(kx) - 1) elsewhere.   dx = s dy, s α k e^(kx) dy"""

    def forward(self, x: NDArray[Any], alpha: float, scale: float, inner: float = 1.0) -> NDArray[Any]:
        self.x, self.shape = x, (alpha, scale, inner)
        return smooth.elu(x, alpha, scale, inner)

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        return smooth.elu_backward(dy, self.x, *self.shape)

    def derivative(self: Any, dy: Tensor) -> Tensor:
        alpha, scale, inner = self.shape
        below = (scale * alpha * inner) * (self.x.clamp(max=0) * inner).exp()
        return dy * where(self.x > 0, scale, below)


class PiecesFunction(Function):
    """y is a line left of an interval, a line right of it, and a parabola within: see npnn.kernels.elementwise.Pieces.

    dx = dy times the slope
    """

    def forward(self, x: NDArray[Any], shape: kernels.Pieces) -> NDArray[Any]:
        self.x, self.pieces = x, shape
        return kernels.pieces(x, *shape)

    def backward(self, dy: NDArray[Any]) -> NDArray[Any]:
        return kernels.pieces_backward(dy, self.x, *self.pieces)

    def derivative(self: Any, dy: Tensor) -> Any:
        p = self.pieces
        between = self.x * (2 * p.curve) + p.slope
        left, right = self.x <= p.low, self.x >= p.high
        return dy * between.masked_fill(left, p.left_slope).masked_fill(right, p.right_slope)


class ReLU6Function(PiecesFunction):
    """y = min(max(x, 0), 6).   dx = dy where 0 < x < 6"""

    def forward(self, x: NDArray[Any]) -> NDArray[Any]:  # type: ignore[override]
        return super().forward(x, kernels.Pieces(0, 6, slope=1, right=6))


class HardswishFunction(PiecesFunction):
    """y = x min(max(x + 3, 0), 6) / 6.   dx = dy (2x + 3) / 6 where -3 < x < 3, dy to the right of it"""

    def forward(self, x: NDArray[Any]) -> NDArray[Any]:  # type: ignore[override]
        return super().forward(x, kernels.Pieces(-3, 3, curve=1 / 6, slope=0.5, right_slope=1))


class PReLUFunction(Function):
    """y = max(x, 0) + w min(x, 0).   dx = dy where x > 0, w dy elsewhere; dw = Σ dy min(x, 0)"""

    called = "PreluKernel"

    def forward(self, x: NDArray[Any], w: NDArray[Any]) -> NDArray[Any]:
        self.x, self.w = x, w
        return np.maximum(x, 0) + w * np.minimum(x, 0)

    def backward(self, dy: NDArray[Any]) -> tuple[Any, ...]:
        positive = self.x > 0
        dx = dy * (positive + ~positive * self.w)
        return dx, dy * np.minimum(self.x, 0)  # the engine sums dw over the axes along which w was spread

    def derivative(self: Any, dy: Tensor) -> tuple[Any, ...]:
        positive = self.x > 0
        return dy * where(positive, 1.0, self.w), dy * self.x.masked_fill(positive, 0)


# ---- functions


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0), element by element; its gradient at 0 is 0.

    Source: Nair & Hinton, Rectified linear units improve restricted Boltzmann machines, 2010.
    """
    return ReLUFunction.apply(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, negative_slope · x elsewhere.

    Source: Maas, Hannun & Ng, Rectifier nonlinearities improve neural network acoustic models, 2013.
    """
    check_floating("leaky_relu", input)
    return LeakyReLUFunction.apply(input, slope=float(negative_slope))


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, α (eˣ - 1) elsewhere.

    Source: Clevert, Unterthiner & Hochreiter, Fast and accurate deep network learning by
    exponential linear units, 2016.
    """
    check_floating("elu", input)
    return ELUFunction.apply(input, alpha=float(alpha), scale=1.0)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """s x where x > 0, s α (eˣ - 1) elsewhere, with the s and α that keep mean 0 and variance 1 from layer to layer.

    Source: Klambauer et al., Self-normalizing neural networks, 2017.
    """
    check_floating("selu", input)
    return ELUFunction.apply(input, alpha=1.6732632423543772848170429916717, scale=1.0507009873554804934193349852946)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """y = min(max(x, 0), 6), element by element."""
    return ReLU6Function.apply(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x min(max(x + 3, 0), 6) / 6

    Source: Howard et al., Searching for MobileNetV3, 2019, section 5.2.
    """
    check_floating("hardswish", input)
    return HardswishFunction.apply(input)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, w x elsewhere, with one learnt w or one per channel.   (N, C, *), (1,) or (C,) -> (N, C, *)

    Errors: ShapeError if there are several weights and not one per channel, DtypeError for mixed dtypes.
    Source: He et al., Delving deep into rectifiers, 2015.
    """
    check_floating("prelu", input)
    check_same_dtype(input, weight=weight)
    count, ndim = weight.numel(), input.ndim
    channels = input.shape[1] if ndim > 1 else 1
    if count not in (1, channels) or weight.ndim > 1:
        raise ShapeError(f"expected 1 weight or one for each of {channels} channels, got {weight.shape}")
    if ndim > 2 and count > 1:
        weight = weight.reshape(count, *(1,) * (ndim - 2))  # type: ignore[attr-defined]
    return PReLUFunction.apply(input, weight.reshape(()) if ndim == 0 else weight)  # type: ignore[attr-defined]


# ---- modules


class _InPlace(Module):
    """What the activations with torch's ``inplace`` argument share."""

    def __init__(self, inplace: bool = False):
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """max(x, 0): see relu.   Any shape."""

    def forward(self, input: Tensor) -> Tensor:
        return ReLUFunction.apply(input)


class ReLU6(_InPlace):
    """min(max(x, 0), 6).   Any shape."""

    def forward(self, input: Tensor) -> Tensor:
        return relu6(input)


class SELU(_InPlace):
    """See selu.   Any shape."""

    def forward(self, input: Tensor) -> Tensor:
        return selu(input)


class Hardswish(_InPlace):
    """x min(max(x + 3, 0), 6) / 6.   Any shape."""

    def forward(self, input: Tensor) -> Tensor:
        return hardswish(input)

    def extra_repr(self) -> str:
        return ""


class LeakyReLU(Module):
    """x where x > 0, negative_slope · x elsewhere.   Any shape."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False):
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        return leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(Module):
    """x where x > 0, alpha (eˣ - 1) elsewhere.   Any shape."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        return elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """x where x > 0, weight · x elsewhere: see prelu.   (N, C, *)

    ``weight`` (num_parameters,) starts at ``init``; it does well without weight decay.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None):
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(np.empty(num_parameters, of_parameters(device, dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        self.weight.array.fill(self.init)

    def forward(self, input: Tensor) -> Tensor:
        return prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
