"""Bags of embeddings: the sum, mean or largest of the rows of each bag."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.dtypes import of_parameters
from npnn.errors import ShapeError
from npnn.nn import init
from npnn.nn.embedding import embedding
from npnn.nn.module import Module, Parameter
from npnn.ops.joining import stack
from npnn.tensor import Tensor, _from_array

__all__ = ["EmbeddingBag", "embedding_bag"]


def embedding_bag(
    input: Tensor, weight: Tensor, offsets: Tensor | None = None, max_norm: float | None = None, norm_type: float = 2,
    scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> Tensor:  # fmt: skip
    """The sum, mean or maximum of the rows that each bag names.   input (B, n), or (N,) with ``offsets`` (B,) -> (B, D)

    Errors: ValueError for offsets with a matrix or none with a row, or another mode; NotImplementedError for sparse.
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"mode has to be one of sum, mean or max, got {mode!r}")
    if input.array.ndim == 2:
        if offsets is not None:
            raise ValueError("if input is 2D, then offsets has to be None")
        edges = np.arange(0, input.array.size + 1, max(input.array.shape[1], 1))[: len(input.array) + 1]
    else:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        edges = offsets.array if include_last_offset else np.append(offsets.array, input.array.size)
    flat = input.reshape(-1)
    bag = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    rows = embedding(flat, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    counted = np.ones(flat.array.shape, bool) if padding_idx is None else flat.array != padding_idx % len(weight.array)
    B = len(edges) - 1
    if mode == "max":
        parts = [rows[np.flatnonzero((bag == b) & counted)] for b in range(B)]
        blank = _from_array(np.zeros(weight.array.shape[1], weight.array.dtype))
        return stack([p.amax(0) if p.array.shape[0] else blank for p in parts])
    if padding_idx is not None:
        rows = rows * _from_array(counted.astype(rows.array.dtype)[:, None])
    total = _from_array(np.zeros((B, weight.array.shape[1]), weight.array.dtype)).index_add(0, _from_array(bag), rows)
    if mode == "sum":
        return total
    count = np.maximum(np.bincount(bag, counted, B), 1).astype(weight.array.dtype)
    return total / _from_array(count[:, None])


class EmbeddingBag(Module):
    """See embedding_bag.   ``weight`` (V, D) starts standard normal."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0,
        scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, _weight: Tensor | None = None,
        include_last_offset: bool = False, padding_idx: int | None = None, device: Any = None, dtype: Any = None,
    ):  # fmt: skip
        super().__init__()
        self.num_embeddings, self.embedding_dim, self.mode = num_embeddings, embedding_dim, mode
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.sparse, self.include_last_offset, self.padding_idx = sparse, include_last_offset, padding_idx
        if _weight is None:
            self.weight = Parameter(np.empty((num_embeddings, embedding_dim), of_parameters(device, dtype)))
            self.reset_parameters()
        else:
            self.weight = Parameter(_weight)

    def reset_parameters(self) -> None:
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.array[self.padding_idx] = 0

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, max_norm: float | None = None, norm_type: float = 2.0,
        scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:  # fmt: skip
        """An EmbeddingBag with these rows, not trained if ``freeze``.  It shares their memory."""
        if len(embeddings.shape) != 2:
            raise ShapeError(f"expected embeddings of shape (rows, features), got {tuple(embeddings.shape)}")
        bag = cls(
            *embeddings.shape, max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings, include_last_offset,
            padding_idx,
        )  # fmt: skip
        bag.weight.requires_grad = not freeze
        return bag

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, self.sparse,
            per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}, mode={self.mode!r}"
