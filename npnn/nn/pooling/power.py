"""Pooling by a p-norm."""

from __future__ import annotations

import math
from typing import Any

from npnn.nn.module import Module
from npnn.nn.pooling.average_max import avg_pool1d, avg_pool2d
from npnn.tensor import Tensor

__all__ = ["LPPool1d", "LPPool2d", "lp_pool1d", "lp_pool2d"]


def p_norm_of_windows(
    input: Tensor, p: float, pool: Any, kernel_size: Any, stride: Any, ceil_mode: bool, dims: int
) -> Tensor:
    """(Σ xᵖ)^(1/p) over the windows of ``pool``, which averages."""
    window = kernel_size**dims if isinstance(kernel_size, int) else math.prod(kernel_size)
    mean = pool(input**p, kernel_size, stride, 0, ceil_mode)
    return (mean.sign() * mean.abs().relu() * window) ** (1.0 / p)


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """(Σ xᵖ)^(1/p) over windows.   (N, C, L)"""
    return p_norm_of_windows(input, float(norm_type), avg_pool1d, kernel_size, stride, ceil_mode, 1)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """(Σ xᵖ)^(1/p) over windows.   (N, C, H, W)"""
    return p_norm_of_windows(input, float(norm_type), avg_pool2d, kernel_size, stride, ceil_mode, 2)


class LPPool1d(Module):
    """See lp_pool1d.   (N, C, L)"""

    pool = staticmethod(lp_pool1d)

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False):
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return type(self).pool(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return ", ".join(f"{n}={getattr(self, n)}" for n in ("norm_type", "kernel_size", "stride", "ceil_mode"))


class LPPool2d(LPPool1d):
    """See lp_pool2d.   (N, C, H, W)"""

    pool = staticmethod(lp_pool2d)
