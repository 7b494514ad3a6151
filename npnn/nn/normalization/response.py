"""Normalisation among neighbouring channels."""

from __future__ import annotations

from npnn.nn.module import Module
from npnn.nn.padding.pad import pad
from npnn.ops.shape import unfold
from npnn.tensor import Tensor

__all__ = ["LocalResponseNorm", "local_response_norm"]


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """y = x / (k + α mean of x² over ``size`` channels around)^β.   (N, C, *)   Source: Krizhevsky et al., 2012."""
    if input.array.ndim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.array.ndim} dimensions)")
    square = (input * input).movedim(1, -1)
    around = unfold(pad(square, (size // 2, (size - 1) // 2)), -1, size, 1).sum(-1) / size
    return input / ((around * alpha + k) ** beta).movedim(-1, 1)


class LocalResponseNorm(Module):
    """See local_response_norm.   (N, C, *)"""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
