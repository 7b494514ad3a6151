"""The functions behind the layers, in one place.  Each is defined beside its layer."""

import functools

from npnn.nn.activation.rectifiers import elu, hardswish, leaky_relu, prelu, relu, relu6, selu
from npnn.nn.activation.simple import (
    celu,
    gumbel_softmax,
    hardshrink,
    hardsigmoid,
    hardtanh,
    logsigmoid,
    rrelu,
    softmin,
    softshrink,
    softsign,
    tanhshrink,
    threshold,
)
from npnn.nn.activation.smooth import gelu, glu, mish, sigmoid, silu, softplus, tanh
from npnn.nn.activation.softmax import log_softmax, softmax
from npnn.nn.attention import scaled_dot_product_attention
from npnn.nn.bilinear import bilinear
from npnn.nn.convolution.conv import conv1d, conv2d
from npnn.nn.convolution.transpose import conv_transpose1d, conv_transpose2d
from npnn.nn.convolution.volume import conv3d, conv_transpose3d
from npnn.nn.dropout import alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout
from npnn.nn.embedding import embedding, one_hot
from npnn.nn.embedding_bag import embedding_bag
from npnn.nn.images.columns import fold, unfold
from npnn.nn.images.rearranging import channel_shuffle, pixel_shuffle, pixel_unshuffle
from npnn.nn.images.resampling import interpolate, upsample
from npnn.nn.images.sampling import affine_grid, grid_sample
from npnn.nn.inplace_form import with_inplace
from npnn.nn.linear import linear
from npnn.nn.loss.base import with_old_arguments
from npnn.nn.loss.cross_entropy import cross_entropy, nll_loss
from npnn.nn.loss.ctc import ctc_loss
from npnn.nn.loss.distance import cosine_similarity, normalize, pairwise_distance, pdist
from npnn.nn.loss.probability import binary_cross_entropy, binary_cross_entropy_with_logits, kl_div
from npnn.nn.loss.ranking import (
    cosine_embedding_loss,
    gaussian_nll_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    poisson_nll_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from npnn.nn.loss.regression import huber_loss, l1_loss, mse_loss, smooth_l1_loss
from npnn.nn.normalization.batchnorm import batch_norm
from npnn.nn.normalization.groupnorm import group_norm, instance_norm
from npnn.nn.normalization.layernorm import layer_norm, rms_norm
from npnn.nn.normalization.response import local_response_norm
from npnn.nn.padding.pad import pad
from npnn.nn.pooling.adaptive import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_max_pool1d, adaptive_max_pool2d
from npnn.nn.pooling.average_max import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from npnn.nn.pooling.power import lp_pool1d, lp_pool2d
from npnn.nn.pooling.unpooling import max_unpool1d, max_unpool2d, max_unpool3d
from npnn.nn.pooling.volume import adaptive_avg_pool3d, adaptive_max_pool3d, avg_pool3d, lp_pool3d, max_pool3d

_LOSSES = """
cross_entropy nll_loss binary_cross_entropy binary_cross_entropy_with_logits kl_div huber_loss l1_loss mse_loss
smooth_l1_loss cosine_embedding_loss hinge_embedding_loss margin_ranking_loss multi_margin_loss
multilabel_margin_loss multilabel_soft_margin_loss soft_margin_loss triplet_margin_loss
""".split()
_INPLACE = """
relu relu6 leaky_relu elu selu celu silu mish hardswish hardtanh hardsigmoid threshold rrelu dropout alpha_dropout
""".split()
for _name in _LOSSES:
    globals()[_name] = with_old_arguments(globals()[_name])
    globals()[_name].__module__ = __name__  # where pickle finds it again
for _name in _INPLACE:
    globals()[_name] = with_inplace(globals()[_name])
    globals()[_name].__module__ = __name__
    globals()[f"{_name}_"] = functools.partial(globals()[_name], inplace=True)

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "affine_grid",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "fold",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "rrelu",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "unfold",
    "upsample",
]
