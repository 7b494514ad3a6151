"""Linear layer: every output is a weighted sum of every input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.dtypes import of_parameters
from npnn.errors import ShapeError
from npnn.function import Function
from npnn.kernels.blas import affine, column_sums, matmul
from npnn.nn import init
from npnn.nn.checks import check_same_dtype
from npnn.nn.module import Module, Parameter
from npnn.ops.linalg import matmul as matmul_of_tensors
from npnn.ops.shape import squeeze, unsqueeze
from npnn.tensor import Tensor, of_array

__all__ = ["Identity", "Linear", "linear"]


class LinearFunction(Function):
    """y = x Wᵀ + b.   x (*, I), W (O, I), b (O,) -> y (*, O);   * is any number of axes, M their product

    dx = dy W        (M, O) (O, I) -> (M, I)
    dW = dyᵀ x       (O, M) (M, I) -> (O, I)
    db = Σ dy        (M, O)        -> (O,)
    """

    def forward(self, x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any] | None) -> NDArray[Any]:
        if (
            x.shape[-1:] != weight.shape[1:]
            or x.dtype != weight.dtype
            or (bias is not None and (bias.shape != weight.shape[:1] or bias.dtype != weight.dtype))
        ):
            _refuse(x, weight, bias)
        self.shape = x.shape
        if self.needs_grad[1]:
            self.x = x
        x = self._rows(x)
        if self.needs_grad[0]:
            self.weight = weight
        y = matmul(x, weight, False, True) if bias is None else affine(x, weight, bias)  # (M, I) (I, O) -> (M, O)
        return y if len(self.shape) == 2 else y.reshape(*self.shape[:-1], weight.shape[0])

    def backward(self, dy: NDArray[Any]) -> tuple[Any, ...]:
        needs_dx, needs_dw, needs_db = self.needs_grad
        dy = self._rows(dy)
        dx = matmul(dy, self.weight, False, False) if needs_dx else None
        if dx is not None and len(self.shape) != 2:
            dx = dx.reshape(self.shape)
        dw = matmul(dy, self._rows(self.x), True, False) if needs_dw else None
        return dx, dw, column_sums(dy) if needs_db else None

    def derivative(self: Any, dy: Tensor) -> tuple[Any, ...]:
        needs_dx, needs_dw, needs_db = self.needs_grad
        dx = matmul_of_tensors(dy, self.weight) if needs_dx else None
        rows = self._rows(dy)
        dw = matmul_of_tensors(rows.t(), self._rows(self.x)) if needs_dw else None
        return dx, dw, rows.sum(0) if needs_db else None

    def _rows(self, x: Any) -> Any:
        """All axes but the last as one.   (*, I) -> (M, I)"""
        return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x Wᵀ + b.   x (*, I), W (O, I), b (O,) -> y (*, O), or W (I,), b () -> y (*)

    Errors: ShapeError if the last axis of x is not I; DtypeError if x and W differ in dtype.
    """
    if weight.array.ndim != 1:
        return LinearFunction.apply(input, weight, bias)
    if bias is not None:
        bias = unsqueeze(bias, 0)
    return squeeze(LinearFunction.apply(input, unsqueeze(weight, 0), bias), -1)


def _refuse(x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any] | None) -> None:
    """Say what is wrong with an input or a bias that does not fit the weight."""
    check_same_dtype(of_array(x), weight=of_array(weight), bias=None if bias is None else of_array(bias))
    if weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[:1]):
        shapes = f"{weight.shape} and {None if bias is None else bias.shape}"
        raise ShapeError(f"expected a weight of shape (O, I) and a bias of shape (O,), got {shapes}")
    hint = ""
    if x.ndim > 2 and math.prod(x.shape[1:]) == weight.shape[1]:
        hint = "; put nn.Flatten() before this layer"
    elif x.ndim == 2 and x.shape[0] == weight.shape[1]:
        hint = "; is the input transposed?"
    raise ShapeError(f"expected an input of shape (*, {weight.shape[1]}), got {x.shape}{hint}")


class Linear(Module):
    """y = x Wᵀ + b: see linear.   (*, I) -> (*, O)

    ``weight`` (O, I) and ``bias`` (O,) start uniform in ±1/√I: a variance of 1/(3 I) per weight.
    Source: LeCun et al., Efficient BackProp, 1998, section 4.6 (the scale 1/√I).
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None):
        self.in_features, self.out_features = in_features, out_features
        dtype = of_parameters(device, dtype)
        self.weight = Parameter(np.empty((out_features, in_features), dtype))
        self.bias = Parameter(np.empty(out_features, dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # with this slope the bound is 1/√I
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return LinearFunction.apply(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Module):
    """y = x, whatever arguments it was made with: a placeholder for a layer that is not wanted."""

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def forward(self, input: Tensor) -> Tensor:
        return input
