"""Further layers: a bilinear form, bags of embeddings, normalisation among neighbours, pools by a norm, and undone pools."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn.dtypes import of_parameters
from npnn.errors import ShapeError
from npnn.nn import init
from npnn.nn.embedding import embedding
from npnn.nn.module import Module, Parameter
from npnn.nn.padding import pad
from npnn.nn.pooling import avg_pool1d, avg_pool2d
from npnn.ops.linalg import einsum
from npnn.ops.shape import stack, unfold
from npnn.tensor import Tensor, _from_array

__all__ = [
    "Bilinear", "DataParallel", "EmbeddingBag", "LPPool1d", "LPPool2d", "LocalResponseNorm", "MaxUnpool1d", "MaxUnpool2d",
    "bilinear", "embedding_bag", "local_response_norm", "lp_pool1d", "lp_pool2d", "max_unpool1d", "max_unpool2d",
]  # fmt: skip


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_o = x₁ᵀ W_o x₂ + b_o.   (*, I), (*, J), W (O, I, J) -> (*, O)"""
    if input1.array.shape[:-1] != input2.array.shape[:-1] or weight.array.shape[1:] != (
        input1.array.shape[-1], input2.array.shape[-1],
    ):  # fmt: skip
        raise ShapeError(f"bilinear: {input1.shape} and {input2.shape} do not go with a weight of {weight.shape}")
    y = einsum("...i,oij,...j->...o", input1, weight, input2)
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
            init.normal_(self.weight)
            if padding_idx is not None:
                self.weight.array[padding_idx] = 0
        else:
            self.weight = Parameter(_weight)

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, self.sparse,
            per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}, mode={self.mode!r}"


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


def _lp(input: Tensor, p: float, pool: Any, kernel_size: Any, stride: Any, ceil_mode: bool, dims: int) -> Tensor:
    window = kernel_size**dims if isinstance(kernel_size, int) else math.prod(kernel_size)
    mean = pool(input**p, kernel_size, stride, 0, ceil_mode)
    return (mean.sign() * mean.abs().relu() * window) ** (1.0 / p)


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """(Σ xᵖ)^(1/p) over windows.   (N, C, L)"""
    return _lp(input, float(norm_type), avg_pool1d, kernel_size, stride, ceil_mode, 1)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """(Σ xᵖ)^(1/p) over windows.   (N, C, H, W)"""
    return _lp(input, float(norm_type), avg_pool2d, kernel_size, stride, ceil_mode, 2)


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


def _unpool(
    input: Tensor, indices: Tensor, kernel: Any, stride: Any, padding: Any, output_size: Any, dims: int
) -> Tensor:
    def each(v: Any) -> tuple[int, ...]:
        return (v,) * dims if isinstance(v, int) else tuple(v)

    k = each(kernel)
    s, p = each(k if stride is None or stride == [] else stride), each(padding)
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


class DataParallel(Module):
    """The module itself, as in a PyTorch without CUDA: there is no device to share the batch with."""

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0):
        super().__init__()
        self.module = module
        self.device_ids: list[int] = []

    def forward(self, *inputs: Any, **options: Any) -> Any:
        return self.module(*inputs, **options)
