"""Distances and angles between vectors, and vectors of length one."""

from __future__ import annotations

from typing import Any

from npnn.nn.module import Module
from npnn.ops import distances
from npnn.ops.distances import cosine_similarity
from npnn.tensor import Tensor

__all__ = ["CosineSimilarity", "PairwiseDistance", "cosine_similarity", "normalize", "pairwise_distance", "pdist"]


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None) -> Tensor:
    """input / max(‖input‖ₚ, eps) along an axis.   Any shape."""
    return input / distances.norm(input, p, dim, True).clamp_min(eps).expand_as(input)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """‖x1 - x2 + eps‖ₚ along the last axis.   (N, D), (N, D) -> (N,)"""
    return distances.norm(x1 - x2 + eps, p, -1, keepdim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The distance of each row from each later one.   (N, D) -> (N (N - 1) / 2,)"""
    n = input.array.shape[0]
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    first, second = [i for i, _ in pairs], [j for _, j in pairs]
    return distances.norm(input[first] - input[second], p, -1)


class CosineSimilarity(Module):
    """See cosine_similarity."""

    def __init__(self, dim: int = 1, eps: float = 1e-8):
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """See pairwise_distance."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
