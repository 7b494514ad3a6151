"""Scaled dot-product attention:   y = softmax(q kᵀ / √E + mask) v"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import DtypeError, ShapeError
from npnn.function import Function
from npnn.kernels import attention as kernels
from npnn.nn.activation.softmax import softmax
from npnn.nn.dropout import dropout
from npnn.ops.gathering import repeat_interleave
from npnn.ops.linalg import matmul
from npnn.ops.shape import expand, transpose
from npnn.tensor import Tensor, of_array

__all__ = ["scaled_dot_product_attention"]

NOTHING = np.empty((0, 0, 0), bool)


class Attention(Function):
    """y = p v with p = softmax(s), s = scale q kᵀ + mask.   q (*, L, E), k (*, S, E), v (*, S, D) -> y (*, L, D)

    The mask is (*, L, S), numbers that are added, or bool: False hides a key.

        dv = pᵀ dy        ds = p (dy vᵀ - Σ dy y)        dq = scale ds k        dk = scale dsᵀ q        dmask = ds

    Source: Vaswani et al., Attention is all you need, 2017, section 3.2.1; the formulas in tiles: ``npnn.kernels.attention``.
    """

    def forward(
        self, q: NDArray[Any], k: NDArray[Any], v: NDArray[Any], mask: Any, scale: float, causal: bool
    ) -> NDArray[Any]:
        self.lead = q.shape[:-2]
        q, k, v = _flat(q), _flat(k), _flat(v)
        if mask is not None:
            mask = _flat(mask)
            if mask.strides[0] == 0:
                mask = mask[:1]  # the same for all: it is not spread out
        is_bool = mask is not None and mask.dtype == bool
        hidden = np.ascontiguousarray(~mask) if is_bool else NOTHING
        bias = NOTHING.astype(q.dtype) if mask is None or is_bool else np.ascontiguousarray(mask)
        self.scale = q.dtype.type(scale)
        self.saved = q * self.scale, np.ascontiguousarray(k), np.ascontiguousarray(v), hidden, bias, causal
        self.rows, self.log_sums = kernels.attend(*self.saved)
        return self._spread(self.rows)

    def backward(self, dy: NDArray[Any]) -> Any:
        given = *self.saved, self.rows, self.log_sums, _flat(dy), self.needs_grad[3]
        dq, dk, dv, dmask = kernels.attend_backward(*given)
        dq, dk, dv = self._spread(self.scale * dq), self._spread(dk), self._spread(dv)
        return dq, dk, dv, self._spread(dmask) if self.needs_grad[3] else None, None, None

    def _spread(self, a: NDArray[Any]) -> NDArray[Any]:
        return a.reshape(*self.lead, *a.shape[-2:])

    def derivative(self: Any, dy: Tensor) -> Any:
        q, k, v, hidden, bias, causal = self.saved
        q, k, v = (self.input(i, self._spread(a)) for i, a in enumerate((q / self.scale, k, v)))
        scores = matmul(q, k.swapaxes(-1, -2)) * float(self.scale)
        if bias.size:
            scores = scores + self.input(3, self._wide(bias, scores))
        if hidden.size:
            scores = scores.masked_fill(self._wide(hidden, scores), -math.inf)
        if causal:
            scores = scores.masked_fill(np.tri(*scores.array.shape[-2:]) == 0, -math.inf)
        p = softmax(scores, -1)
        dp = matmul(dy, v.swapaxes(-1, -2))
        ds = p * (dp - (dp * p).sum(-1, keepdim=True))
        dq, dk = matmul(ds, k) * float(self.scale), matmul(ds.swapaxes(-1, -2), q) * float(self.scale)
        return dq, dk, matmul(p.swapaxes(-1, -2), dy), ds, None, None

    def _wide(self, mask: NDArray[Any], scores: Tensor) -> NDArray[Any]:
        """A mask, which is kept once where it is the same for all, for each of them.   (B, L, S) -> (*, L, S)"""
        return np.broadcast_to(mask, (math.prod(self.lead), *mask.shape[1:])).reshape(scores.array.shape)


def _flat(a: NDArray[Any]) -> NDArray[Any]:
    """All axes but the last two as one.   (*, L, E) -> (B, L, E)"""
    return a.reshape(math.prod(a.shape[:-2]), *a.shape[-2:])


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query keyᵀ scale + mask) value.   query (*, L, E), key (*, S, E), value (*, S, D) -> (*, L, D)

    ``attn_mask`` broadcasts to (*, L, S): True where a key may be seen, or numbers that are added.
    ``is_causal`` lets query i see keys 0 to i.  ``scale`` is 1/√E unless given.  With ``enable_gqa`` key and
    value may have fewer heads (axis -3) than query, each for a group of them.
    Errors: RuntimeError for a mask together with is_causal; DtypeError, ShapeError for what does not fit.
    Source: Vaswani et al., 2017.
    """
    if is_causal and attn_mask is not None:
        raise RuntimeError("scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if not query.array.dtype == key.array.dtype == value.array.dtype:
        raise DtypeError("Expected query, key, and value to have the same dtype")
    if min(query.array.ndim, key.array.ndim, value.array.ndim) < 2:
        raise ShapeError("scaled_dot_product_attention: expected query, key and value of at least two axes")
    if enable_gqa and query.array.ndim > 2:
        groups = query.array.shape[-3] // key.array.shape[-3]
        key, value = repeat_interleave(key, groups, -3), repeat_interleave(value, groups, -3)
    factor = 1 / math.sqrt(query.array.shape[-1]) if scale is None and query.array.shape[-1] else scale or 1.0
    if dropout_p > 0:
        return matmul(dropout(_weights(query, key, attn_mask, factor, is_causal), dropout_p), value)
    lead = np.broadcast_shapes(query.array.shape[:-2], key.array.shape[:-2], value.array.shape[:-2])
    wide = [t if t.array.shape[:-2] == lead else expand(t, *lead, *t.array.shape[-2:]) for t in (query, key, value)]
    mask = None if attn_mask is None else expand(attn_mask, *lead, query.array.shape[-2], key.array.shape[-2])
    if mask is not None and mask.array.dtype.kind == "f" and mask.array.dtype != query.array.dtype:
        raise DtypeError("scaled_dot_product_attention: the mask is boolean, or has the query's dtype")
    return Attention.apply(*wide, mask, factor, is_causal)


def _weights(query: Tensor, key: Tensor, mask: Tensor | None, scale: float, causal: bool) -> Tensor:
    """softmax(query keyᵀ scale + mask), as a matrix of its own."""
    s = matmul(query * scale, transpose(key, -2, -1))
    if causal:
        mask = of_array(np.tri(*s.array.shape[-2:], dtype=bool))
    if mask is not None:
        hidden = mask.array.dtype == bool
        s = s.masked_fill(of_array(~mask.array), -math.inf) if hidden else s + mask
    return softmax(s, -1)
