"""Activations that are one line of other operations.

Each is its function and its module; the gradient is that of the operations.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn import random
from npnn.errors import ShapeError
from npnn.function import Function
from npnn.kernels.elementwise import Pieces
from npnn.nn.activation.rectifiers import ELUFunction, PiecesFunction
from npnn.nn.activation.smooth import SoftplusFunction, tanh
from npnn.nn.activation.softmax import softmax
from npnn.nn.checks import check_floating
from npnn.nn.module import Module
from npnn.ops import elementwise
from npnn.tensor import Tensor, of_array

__all__ = [
    "CELU", "Hardshrink", "Hardsigmoid", "Hardtanh", "LogSigmoid", "RReLU", "Softmax2d", "Softmin", "Softshrink",
    "Softsign", "Tanhshrink", "Threshold", "celu", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardtanh",
    "logsigmoid", "rrelu", "softmin", "softshrink", "softsign", "tanhshrink", "threshold",
]  # fmt: skip


class Slopes(Function):
    """y = a x with a slope a for each element.   dx = a dy"""

    def forward(self, x: NDArray[Any], slope: NDArray[Any]) -> NDArray[Any]:
        self.slope = slope
        return x * slope

    def backward(self, dy: NDArray[Any]) -> Any:
        return dy * self.slope, None

    derivative = backward


def _cut(name: str, input: Tensor, shape: Pieces) -> Tensor:
    check_floating(name, input)
    return PiecesFunction.apply(input, shape=shape)


def _beyond(x: float, input: Tensor, to: float) -> float:
    """The next number of the input's dtype: what is beyond x is at this one or further."""
    kind = input.array.dtype
    return float(np.nextafter(kind.type(x), kind.type(to))) if kind.kind == "f" else x


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else value.   Any shape."""
    return _cut("threshold", input, Pieces(threshold, math.inf, left=value, slope=1, right_slope=1))


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to [min_val, max_val]; its gradient is 0 at the limits.   Any shape."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return _cut("hardtanh", input, Pieces(min_val, max_val, left=min_val, slope=1, right=max_val))


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """x / 6 + 1/2 limited to [0, 1].   Any shape."""
    return _cut("hardsigmoid", input, Pieces(-3, 3, slope=1 / 6, value=0.5, right=1))


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0.   Any shape."""
    low, high = _beyond(-lambd, input, -math.inf), _beyond(lambd, input, math.inf)
    return _cut("hardshrink", input, Pieces(low, high, left_slope=1, right_slope=1))


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x brought nearer to 0 by lambd, and 0 where it would cross it.   Any shape."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    low, high = _beyond(-lambd, input, -math.inf), _beyond(lambd, input, math.inf)
    return _cut("softshrink", input, Pieces(low, high, left_slope=1, left=lambd, right_slope=1, right=-lambd))


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """x where x > 0, else x times a slope: drawn between the two in training, their mean otherwise.   Any shape.

    Source: Xu et al., Empirical evaluation of rectified activations in convolution network, 2015.
    """
    x = input.array
    slope = np.ones_like(x)
    below = x <= 0
    if training:
        slopes = random.generator().uniform_(np.empty(int(below.sum())), lower, upper)
        slope[below] = slopes.astype(x.dtype)
    else:
        slope[below] = (lower + upper) / 2
    check_floating("rrelu", input)
    return Slopes.apply(input, slope)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else α (exp(x/α) - 1).   Any shape.   Source: Barron, Continuously differentiable ELUs, 2017."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    check_floating("celu", input)
    return ELUFunction.apply(input, alpha=float(alpha), scale=1.0, inner=1 / alpha)


def logsigmoid(input: Tensor) -> Tensor:
    """ln sigmoid(x) = -softplus(-x).   Any shape."""
    check_floating("logsigmoid", input)
    return SoftplusFunction.apply(input, beta=-1.0, threshold=math.inf)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|).   Any shape."""
    return input / (elementwise.abs(input) + 1)


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh x.   Any shape."""
    return input - tanh(input)


def softmin(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """softmax(-x) along ``dim``.   Any shape."""
    return softmax(-input, dim, dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """softmax((logits + g) / tau) with Gumbel noise g; ``hard`` gives the one-hot vector with the soft one's gradient.

    Source: Jang, Gu & Poole, Categorical reparameterization with Gumbel-softmax, 2017.
    """
    e = random.generator().transformed_(np.empty(logits.array.shape, logits.array.dtype), lambda u: -np.log1p(-u))
    soft = softmax((logits - of_array(np.log(e))) / tau, dim)
    if not hard:
        return soft
    best = np.expand_dims(soft.array.argmax(dim), dim)
    one = np.zeros_like(soft.array)
    np.put_along_axis(one, best, 1, dim)
    return of_array(one) - soft.detach() + soft


# ---- modules


class _Settings(Module):
    """An activation whose settings are the arguments of its function, and its printed form."""

    function: Any
    names: tuple[str, ...] = ()

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input, **{name: getattr(self, name) for name in self.names})

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)}" for name in self.names)


class Threshold(_Settings):
    """See threshold.   Any shape."""

    function, names = staticmethod(threshold), ("threshold", "value", "inplace")

    def __init__(self, threshold: float, value: float, inplace: bool = False):
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class Hardtanh(_Settings):
    """See hardtanh.   Any shape."""

    function, names = staticmethod(hardtanh), ("min_val", "max_val", "inplace")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False):
        super().__init__()
        if not max_val > min_val:
            raise ValueError("max_val must be larger than min_val")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class Hardsigmoid(_Settings):
    """See hardsigmoid.   Any shape."""

    function = staticmethod(hardsigmoid)

    def __init__(self, inplace: bool = False):
        super().__init__()
        self.inplace = inplace


class RReLU(Module):
    """See rrelu.   Any shape."""

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False):
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Tensor:
        return rrelu(input, self.lower, self.upper, self.training)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class CELU(_Settings):
    """See celu.   Any shape."""

    function, names = staticmethod(celu), ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class Hardshrink(_Settings):
    """See hardshrink.   Any shape."""

    function, names = staticmethod(hardshrink), ("lambd",)

    def __init__(self, lambd: float = 0.5):
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(Hardshrink):
    """See softshrink.   Any shape."""

    function = staticmethod(softshrink)


class LogSigmoid(_Settings):
    """See logsigmoid.   Any shape."""

    function = staticmethod(logsigmoid)


class Softsign(_Settings):
    """See softsign.   Any shape."""

    function = staticmethod(softsign)


class Tanhshrink(_Settings):
    """See tanhshrink.   Any shape."""

    function = staticmethod(tanhshrink)


class Softmin(_Settings):
    """See softmin.   Any shape."""

    function, names = staticmethod(softmin), ("dim",)

    def __init__(self, dim: int | None = None):
        super().__init__()
        self.dim = dim


class Softmax2d(Module):
    """softmax over the channels.   (N, C, H, W) or (C, H, W).   Errors: ShapeError for another number of axes."""

    def forward(self, input: Tensor) -> Tensor:
        if input.array.ndim not in (3, 4):
            raise ShapeError(f"Softmax2d: expected input to be 3D or 4D, got {input.shape}")
        return softmax(input, -3)
