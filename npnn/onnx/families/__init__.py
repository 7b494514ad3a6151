"""The operations by family.  Importing them fills the tables of npnn.onnx.table."""

from npnn.onnx.families import (
    activations,
    attention,
    convolution,
    elementwise,
    indexing,
    linear,
    normalization,
    pooling,
    recurrent,
    reductions,
    resize,
    shape,
)

__all__ = [
    "activations", "attention", "convolution", "elementwise", "indexing", "linear", "normalization", "pooling", "recurrent",
    "reductions", "resize", "shape",
]  # fmt: skip
