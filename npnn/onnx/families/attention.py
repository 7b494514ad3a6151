"""Attention, written as the products it is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.nn.attention.product import Attention
from npnn.onnx.table import writes


@writes(Attention)
def _write_attention(g: Any, q: Any, k: Any, v: Any, mask: Any, scale: float, causal: bool) -> str:
    hidden = np.asarray(-np.inf, q.dtype)
    *lead, last = range(len(k.shape))
    turned = g.node("Transpose", k, perm=[*lead[:-1], last, lead[-1]])
    s = g.node("MatMul", g.node("Mul", q, np.asarray(scale, q.dtype)), turned)
    if causal:
        s = g.node("Where", np.tri(q.shape[-2], k.shape[-2], dtype=bool), s, hidden)
    if mask is not None:
        s = g.node("Where", mask, s, hidden) if mask.dtype == bool else g.node("Add", s, mask)
    return g.node("MatMul", g.node("Softmax", s, axis=-1), v)
