"""Multi-head attention: several attentions side by side, each over its own projection of the features."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn.dtypes import of_parameters
from npnn.errors import ShapeError
from npnn.nn import init
from npnn.nn.attention.product import _weights, scaled_dot_product_attention
from npnn.nn.dropout import dropout
from npnn.nn.linear import Linear, linear
from npnn.nn.module import Module, Parameter
from npnn.ops.joining import cat, chunk
from npnn.ops.linalg import matmul
from npnn.tensor import Tensor, of_array

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """concat(head₁ ... headₕ) W_O, headᵢ = attention(q Wᵢ_Q, k Wᵢ_K, v Wᵢ_V).   q (L, N, E), k (S, N, kdim), v (S, N, vdim)

    With ``batch_first`` the batch is the first axis; without a batch it is left out.  Returns the output, in the
    shape of the query, and the weights (N, L, S), their mean over heads unless ``average_attn_weights=False``, or
    None without ``need_weights``.  ``key_padding_mask`` (N, S) and ``attn_mask`` (L, S) or (N heads, L, S) are True
    where a key must not be seen, or numbers that are added.
    Errors: AssertionError if the heads do not divide E; ShapeError for inputs that do not fit.
    Source: Vaswani et al., Attention is all you need, 2017, section 3.2.2.
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False,
        add_zero_attn: bool = False, kdim: int | None = None, vdim: int | None = None, batch_first: bool = False,
        device: Any = None, dtype: Any = None,
    ):  # fmt: skip
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(f"embed_dim and num_heads must be greater than 0, got {embed_dim} and {num_heads}")
        kind = of_parameters(device, dtype)
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim == self.vdim
        self.head_dim, self.add_zero_attn = embed_dim // num_heads, add_zero_attn
        assert self.head_dim * num_heads == embed_dim, "embed_dim must be divisible by num_heads"
        E = embed_dim

        def weight(*shape: int) -> Parameter:
            return Parameter(np.empty(shape, kind))

        self.q_proj_weight: Any = None
        self.k_proj_weight: Any = None
        self.v_proj_weight: Any = None
        self.in_proj_weight: Any = None
        if self._qkv_same_embed_dim:
            self.in_proj_weight = weight(3 * E, E)
        else:
            self.q_proj_weight, self.k_proj_weight = weight(E, E), weight(E, self.kdim)
            self.v_proj_weight = weight(E, self.vdim)
        self.in_proj_bias = weight(3 * E) if bias else None
        self.out_proj = Linear(E, E, bias, dtype=kind)
        self.bias_k = weight(1, 1, E) if add_bias_kv else None
        self.bias_v = weight(1, 1, E) if add_bias_kv else None
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for w in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if w is not None:
                init.xavier_uniform_(w)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)  # type: ignore[arg-type]
        for b in (self.bias_k, self.bias_v):
            if b is not None:
                init.xavier_normal_(b)

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        biases = (None,) * 3 if self.in_proj_bias is None else chunk(self.in_proj_bias, 3)
        if self._qkv_same_embed_dim:
            if query is key is value:
                return tuple(chunk(linear(query, self.in_proj_weight, self.in_proj_bias), 3, -1))  # type: ignore[return-value]
            weights: Any = chunk(self.in_proj_weight, 3)
        else:
            weights = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        given = zip((query, key, value), weights, biases, strict=True)
        return tuple([linear(x, w, b) for x, w, b in given])  # type: ignore[return-value]

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None, need_weights: bool = True,
        attn_mask: Tensor | None = None, average_attn_weights: bool = True, is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        same = query is key is value
        batched = query.array.ndim == 3
        if query.array.ndim not in (2, 3) or query.array.shape[-1] != self.embed_dim:
            raise ShapeError(f"expected a query of shape (..., {self.embed_dim}) with 2 or 3 axes, got {query.shape}")
        if is_causal and attn_mask is None:
            raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
        q, k, v = query, key, value
        if not batched:
            q, k, v = (t.unsqueeze(1) for t in (q, k, v))
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif self.batch_first:
            q, k, v = (t.transpose(0, 1) for t in (q, k, v))
        if same:
            k = v = q
        L, N, E = q.array.shape
        q, k, v = self._projected(q, k, v)
        if self.bias_k is not None:
            k, v = cat([k, self.bias_k.expand(1, N, E)]), cat([v, self.bias_v.expand(1, N, E)])  # type: ignore[union-attr]
        H, D = self.num_heads, self.head_dim
        q, k, v = (t.reshape(t.array.shape[0], N, H, D).permute(1, 2, 0, 3) for t in (q, k, v))  # (N, H, L or S, D)
        if self.add_zero_attn:
            zeros = of_array(np.zeros((N, H, 1, D), q.array.dtype))
            k, v = cat([k, zeros], 2), cat([v, zeros], 2)
        mask = self._mask(attn_mask, key_padding_mask, N, L, k.array.shape[2], q.array.dtype)
        p = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            weights = _weights(q, k, mask, 1 / math.sqrt(D), False)
            y = matmul(dropout(weights, p) if p else weights, v)
        else:
            y = scaled_dot_product_attention(q, k, v, mask, p)
        y = linear(y.permute(2, 0, 1, 3).reshape(L, N, E), self.out_proj.weight, self.out_proj.bias)
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return y.squeeze(1), None if weights is None else weights.squeeze(0)
        return (y.transpose(0, 1) if self.batch_first else y), weights

    def _mask(self, attn: Any, padding: Any, N: int, L: int, S: int, dtype: Any) -> Tensor | None:
        """Both masks as numbers to add, (N, H, L, S) or what broadcasts to it; None without either."""
        total = None
        for mask, shape in ((attn, None), (padding, (N, 1, 1))):
            if mask is None:
                continue
            added = mask if mask.array.dtype != bool else of_array(np.where(mask.array, -np.inf, 0).astype(dtype))
            if shape is None:
                added = added.reshape(N, self.num_heads, *added.array.shape[1:]) if added.array.ndim == 3 else added
            else:
                added = added.reshape(*shape, added.array.shape[-1])
            missing = S - added.array.shape[-1]  # bias_k and zeros are always seen
            if missing:
                added = cat([added, of_array(np.zeros((*added.array.shape[:-1], missing), added.array.dtype))], -1)
            total = added if total is None else total + added
        return total
