"""Tools for weights and sequences, under torch's names: ``nn.utils``."""

from npnn.nn.utils import rnn
from npnn.nn.utils.weights import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    l2_penalty,
    parameters_to_vector,
    vector_to_parameters,
)

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "l2_penalty",
    "parameters_to_vector",
    "rnn",
    "vector_to_parameters",
]
