"""Max-pooling undone: each number at the place where it was the largest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn.nn.module import Module
from npnn.tensor import Tensor, _from_array

__all__ = ["MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d"]


def _unpool(
    input: Tensor, indices: Tensor, kernel: Any, stride: Any, padding: Any, output_size: Any, dims: int
) -> Tensor:
    def each(v: Any) -> tuple[int, ...]:
        return (v,) * dims if isinstance(v, int) else tuple(v)

    k = each(kernel)
    s, p = each(k if stride is None or stride in ([], ()) else stride), each(padding)
    size = input.array.shape[-dims:]
    shape = tuple((n - 1) * b - 2 * c + a for n, a, b, c in zip(size, k, s, p, strict=True))
    if output_size is not None:
        shape = tuple(output_size)[-dims:]
    lead = input.array.shape[:-dims]
    flat = _from_array(np.zeros((*lead, math.prod(shape)), input.array.dtype))
    places = indices.reshape(*lead, -1)
    if places.array.size and places.array.max() >= math.prod(shape):
        raise RuntimeError(f"max_unpool: found an invalid max index {places.array.max()} for an output of {shape}")
    return flat.scatter(-1, places, input.reshape(*lead, -1)).reshape(*lead, *shape)


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Each value back at the place that ``indices`` says, 0 elsewhere.   (N, C, L)"""
    return _unpool(input, indices, kernel_size, stride, padding, output_size, 1)


def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Each value back at the place that ``indices`` says, 0 elsewhere.   (N, C, H, W)"""
    return _unpool(input, indices, kernel_size, stride, padding, output_size, 2)


def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Each value back at the place that ``indices`` says, 0 elsewhere.   (N, C, D, H, W)"""
    return _unpool(input, indices, kernel_size, stride, padding, output_size, 3)


class MaxUnpool1d(Module):
    """See max_unpool1d.   (N, C, L)"""

    unpool = staticmethod(max_unpool1d)

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0):
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return type(self).unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride or self.kernel_size}, padding={self.padding}"


class MaxUnpool2d(MaxUnpool1d):
    """See max_unpool2d.   (N, C, H, W)"""

    unpool = staticmethod(max_unpool2d)


class MaxUnpool3d(MaxUnpool1d):
    """See max_unpool3d.   (N, C, D, H, W)"""

    unpool = staticmethod(max_unpool3d)
