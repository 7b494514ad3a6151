"""Attention: a weighted mean of values, the weights from how well keys go with a query; and the Transformer made of it."""

from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from typing import Any

from npnn.nn.attention.multihead import MultiheadAttention
from npnn.nn.attention.product import scaled_dot_product_attention
from npnn.nn.attention.transformer import (
    Transformer,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)

__all__ = [
    "MultiheadAttention",
    "SDPBackend",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "scaled_dot_product_attention",
    "sdpa_kernel",
]


class SDPBackend(Enum):
    """The ways in which PyTorch computes attention.  npnn has one, in tiles, whichever is chosen."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3


def sdpa_kernel(backends: Any, set_priority: bool = False) -> AbstractContextManager[None]:
    """A context that changes nothing: see SDPBackend."""
    return nullcontext()
