"""The functions behind the layers, in one place.  Each is defined beside its layer."""

from npnn.nn.activation import elu, hardswish, leaky_relu, prelu, relu, relu6, selu
from npnn.nn.adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_max_pool1d, adaptive_max_pool2d
from npnn.nn.batchnorm import batch_norm
from npnn.nn.conv import conv1d, conv2d
from npnn.nn.conv_transpose import conv_transpose1d, conv_transpose2d
from npnn.nn.dropout import dropout, dropout1d, dropout2d
from npnn.nn.embedding import embedding, one_hot
from npnn.nn.groupnorm import group_norm, instance_norm
from npnn.nn.layernorm import layer_norm, rms_norm
from npnn.nn.linear import linear
from npnn.nn.loss import cross_entropy, nll_loss
from npnn.nn.loss_probability import binary_cross_entropy, binary_cross_entropy_with_logits, kl_div
from npnn.nn.loss_regression import huber_loss, l1_loss, mse_loss, smooth_l1_loss
from npnn.nn.padding import pad
from npnn.nn.pooling import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from npnn.nn.smooth_activation import gelu, glu, mish, sigmoid, silu, softplus, tanh
from npnn.nn.softmax import log_softmax, softmax

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "elu",
    "embedding",
    "gelu",
    "glu",
    "group_norm",
    "hardswish",
    "huber_loss",
    "instance_norm",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "mish",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]
