"""Attention: a weighted mean of values, the weights from how well keys go with a query; and the Transformer made of it."""

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
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "scaled_dot_product_attention",
]
