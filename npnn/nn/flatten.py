"""Flatten and Unflatten: several axes to one, and one to several, as between convolutions and linear layers."""

from __future__ import annotations

from collections.abc import Sequence

from npnn.nn.module import Module
from npnn.ops import shape
from npnn.tensor import Tensor

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """Axes start_dim to end_dim become one, in row-major order.   (N, C, H, W) -> (N, C·H·W)"""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return shape.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Axis ``dim`` becomes several of the given sizes, one of which may be -1.   (N, C·H·W) -> (N, C, H, W)"""

    def __init__(self, dim: int, unflattened_size: Sequence[int]):
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        return shape.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
