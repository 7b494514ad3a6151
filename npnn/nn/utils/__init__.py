"""Tools for weights and sequences, under torch's names: ``nn.utils``."""

from npnn.nn.utils import parametrizations, parametrize, rnn, stateless
from npnn.nn.utils.weights import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    l2_penalty,
    parameters_to_vector,
    vector_to_parameters,
)
from npnn.nn.utils.weights_by_hook import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "l2_penalty",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "spectral_norm",
    "stateless",
    "vector_to_parameters",
    "weight_norm",
]
