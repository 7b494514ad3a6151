"""Scaled dot-product attention:   y = softmax(q kᵀ / √E + mask) v"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import DtypeError, ShapeError
from npnn.function import Function
from npnn.kernels import attention as kernels
from npnn.kernels.blas import batched_matmul
from npnn.nn.activation.softmax import softmax
from npnn.nn.dropout import dropout
from npnn.ops.gathering import repeat_interleave
from npnn.ops.linalg import matmul
from npnn.ops.shape import expand, transpose
from npnn.tensor import Tensor, of_array

__all__ = ["scaled_dot_product_attention"]

_TILE = 1 << 17  # scores at once: they stay in the cache, and the whole matrix of them is never stored


class Attention(Function):
    """y = p v with p = softmax(s), s = scale q kᵀ + mask.   q (B, L, E), k (B, S, E), v (B, S, D) -> y (B, L, D)

    Kept for backward are y and the logarithm of each row's sum, not p: it is computed again, tile by tile.

        dv = pᵀ dy        ds = p (dy vᵀ - Σ dy y)        dq = scale ds k        dk = scale dsᵀ q

    Source: Vaswani et al., Attention is all you need, 2017, section 3.2.1; Rabe & Staats, Self-attention does not
    need O(n²) memory, 2021.
    """

    def forward(
        self, q: NDArray[Any], k: NDArray[Any], v: NDArray[Any], mask: Any, scale: float, causal: bool
    ) -> NDArray[Any]:
        self.saved = q, k, v, mask, q.dtype.type(scale), causal
        self.y = np.empty((*q.shape[:2], v.shape[2]), q.dtype)
        self.log_sums = np.empty(q.shape[:2], q.dtype)
        for rows in self._tiles():
            s = self._scores(rows)
            self.log_sums[rows] = kernels.weights(s, self._first(rows))
            self.y[rows] = batched_matmul(s, v[rows[0]], False, False)
        return self.y

    def _tiles(self) -> Any:
        """(batch items, query rows): pieces with few enough scores."""
        q, k = self.saved[:2]
        B, L, S = len(q), q.shape[1], k.shape[1]
        items = max(1, _TILE // max(L * S, 1))
        rows = L if items > 1 or L * S <= _TILE else max(1, _TILE // max(S, 1))
        return [(slice(i, i + items), slice(r, r + rows)) for i in range(0, B, items) for r in range(0, L, rows)]

    def _scores(self, rows: Any) -> NDArray[Any]:
        q, k, _, mask, scale, _ = self.saved
        s = batched_matmul(q[rows] * scale, k[rows[0]], False, True)
        if mask is not None:
            part = mask[rows]
            if part.dtype == bool:
                np.copyto(s, -np.inf, where=~part)
            else:
                s += part
        return s

    def _first(self, rows: Any) -> int:
        """The number of the tile's first query if the attention is causal, else -1."""
        return rows[1].start if self.saved[5] else -1  # type: ignore[no-any-return]

    def backward(self, dy: NDArray[Any]) -> Any:
        q, k, v, mask, scale, _ = self.saved
        dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
        dmask = np.zeros(mask.shape, dy.dtype) if self.needs_grad[3] else None
        along = np.einsum("bld,bld->bl", dy, self.y)
        for rows in self._tiles():
            items = rows[0]
            p, ds = self._scores(rows), batched_matmul(dy[rows], v[items], False, True)
            kernels.score_gradients(p, ds, self.log_sums[rows], along[rows], self._first(rows))
            dv[items] += batched_matmul(p, dy[rows], True, False)
            if dmask is not None:
                dmask[rows] = ds
            dq[rows] = batched_matmul(ds, k[items], False, False) * scale
            dk[items] += batched_matmul(ds, q[rows] * scale, True, False)
        return dq, dk, dv, dmask, None, None


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
    flat = [_flat(t, lead) for t in (query, key, value)]
    L, S = query.array.shape[-2], key.array.shape[-2]
    mask = None if attn_mask is None else _flat(expand(attn_mask, *lead, L, S), lead)
    if mask is not None and mask.array.dtype.kind == "f" and mask.array.dtype != query.array.dtype:
        raise DtypeError("scaled_dot_product_attention: the mask is boolean, or has the query's dtype")
    y = Attention.apply(*flat, mask, factor, is_causal)
    return y.reshape(*lead, L, value.array.shape[-1])


def _flat(t: Tensor, lead: tuple[int, ...]) -> Tensor:
    wide = expand(t, *lead, *t.array.shape[-2:]) if t.array.shape[:-2] != lead else t
    return wide.reshape(math.prod(lead), *t.array.shape[-2:])


def _weights(query: Tensor, key: Tensor, mask: Tensor | None, scale: float, causal: bool) -> Tensor:
    """softmax(query keyᵀ scale + mask), as a matrix of its own."""
    s = matmul(query * scale, transpose(key, -2, -1))
    if causal:
        mask = of_array(np.tri(*s.array.shape[-2:], dtype=bool))
    if mask is not None:
        hidden = mask.array.dtype == bool
        s = s.masked_fill(of_array(~mask.array), -math.inf) if hidden else s + mask
    return softmax(s, -1)
