"""A form that is linear in each of two inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn.dtypes import of_parameters
from npnn.errors import ShapeError
from npnn.nn import init
from npnn.nn.module import Module, Parameter
from npnn.ops.linalg import matmul
from npnn.tensor import Tensor

__all__ = ["Bilinear", "bilinear"]


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_o = x₁ᵀ W_o x₂ + b_o.   (*, I), (*, J), W (O, I, J) -> (*, O)"""
    if input1.array.shape[:-1] != input2.array.shape[:-1] or weight.array.shape[1:] != (
        input1.array.shape[-1], input2.array.shape[-1],
    ):  # fmt: skip
        raise ShapeError(f"bilinear: {input1.shape} and {input2.shape} do not go with a weight of {weight.shape}")
    lead, (outputs, width, other) = input1.array.shape[:-1], weight.array.shape
    first = matmul(input1, weight.permute(1, 0, 2).reshape(width, outputs * other))  # (*, I) (I, O J) -> (*, O J)
    y = matmul(first.reshape(*lead, outputs, other), input2.unsqueeze(-1)).squeeze(-1)  # (*, O, J) (*, J, 1) -> (*, O)
    return y if bias is None else y + bias


class Bilinear(Module):
    """See bilinear.   ``weight`` (O, I, J) and ``bias`` (O,) start uniform in ±1/√I."""

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ):  # fmt: skip
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"in1_features must be > 0, but got {in1_features}")
        kind = of_parameters(device, dtype)
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(np.empty((out_features, in1_features, in2_features), kind))
        self.bias = Parameter(np.empty(out_features, kind)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.in1_features)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
