"""The functions behind the layers, in one place.  Each is defined beside its layer."""

from npnn.nn.adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_max_pool1d, adaptive_max_pool2d
from npnn.nn.linear import linear
from npnn.nn.loss import cross_entropy, nll_loss
from npnn.nn.loss_probability import binary_cross_entropy, binary_cross_entropy_with_logits, kl_div
from npnn.nn.loss_regression import huber_loss, l1_loss, mse_loss, smooth_l1_loss
from npnn.nn.pooling import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "linear",
    "max_pool1d",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]
