"""Layers, losses and initialisation, under torch's names."""

import functools

from npnn.nn import functional, init, utils
from npnn.nn.activation.rectifiers import ELU, SELU, Hardswish, LeakyReLU, PReLU, ReLU, ReLU6
from npnn.nn.activation.simple import (
    CELU,
    Hardshrink,
    Hardsigmoid,
    Hardtanh,
    LogSigmoid,
    RReLU,
    Softmax2d,
    Softmin,
    Softshrink,
    Softsign,
    Tanhshrink,
    Threshold,
)
from npnn.nn.activation.smooth import GELU, GLU, Mish, Sigmoid, SiLU, Softplus, Tanh
from npnn.nn.activation.softmax import LogSoftmax, Softmax
from npnn.nn.attention import (
    MultiheadAttention,
    Transformer,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)
from npnn.nn.bilinear import Bilinear
from npnn.nn.container import DataParallel, ModuleDict, ModuleList, Sequential
from npnn.nn.convolution import conv, geometry
from npnn.nn.convolution.conv import Conv1d, Conv2d
from npnn.nn.convolution.transpose import ConvTranspose1d, ConvTranspose2d
from npnn.nn.convolution.volume import Conv3d, ConvTranspose3d
from npnn.nn.dropout import AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d, FeatureAlphaDropout
from npnn.nn.embedding import Embedding
from npnn.nn.embedding_bag import EmbeddingBag
from npnn.nn.flatten import Flatten, Unflatten
from npnn.nn.images.columns import Fold, Unfold
from npnn.nn.images.rearranging import ChannelShuffle, PixelShuffle, PixelUnshuffle
from npnn.nn.images.resampling import Upsample, UpsamplingBilinear2d, UpsamplingNearest2d
from npnn.nn.inplace_form import honours_inplace
from npnn.nn.lazy import (
    LazyBatchNorm1d,
    LazyBatchNorm2d,
    LazyBatchNorm3d,
    LazyConv1d,
    LazyConv2d,
    LazyConv3d,
    LazyConvTranspose1d,
    LazyConvTranspose2d,
    LazyConvTranspose3d,
    LazyInstanceNorm1d,
    LazyInstanceNorm2d,
    LazyInstanceNorm3d,
    LazyLinear,
)
from npnn.nn.linear import Identity, Linear
from npnn.nn.loss import base
from npnn.nn.loss.cross_entropy import CrossEntropyLoss, NLLLoss
from npnn.nn.loss.ctc import CTCLoss
from npnn.nn.loss.distance import CosineSimilarity, PairwiseDistance
from npnn.nn.loss.probability import BCELoss, BCEWithLogitsLoss, KLDivLoss
from npnn.nn.loss.ranking import (
    CosineEmbeddingLoss,
    GaussianNLLLoss,
    HingeEmbeddingLoss,
    MarginRankingLoss,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    PoissonNLLLoss,
    SoftMarginLoss,
    TripletMarginLoss,
    TripletMarginWithDistanceLoss,
)
from npnn.nn.loss.regression import HuberLoss, L1Loss, MSELoss, SmoothL1Loss
from npnn.nn.module import Module, Parameter
from npnn.nn.normalization import batchnorm
from npnn.nn.normalization.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm
from npnn.nn.normalization.groupnorm import GroupNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from npnn.nn.normalization.layernorm import LayerNorm, RMSNorm
from npnn.nn.normalization.response import LocalResponseNorm
from npnn.nn.padding.layers import (  # type: ignore[attr-defined]  # made in a loop
    CircularPad1d,
    CircularPad2d,
    CircularPad3d,
    ConstantPad1d,
    ConstantPad2d,
    ConstantPad3d,
    ReflectionPad1d,
    ReflectionPad2d,
    ReflectionPad3d,
    ReplicationPad1d,
    ReplicationPad2d,
    ReplicationPad3d,
    ZeroPad1d,
    ZeroPad2d,
    ZeroPad3d,
)
from npnn.nn.parameters import ParameterDict, ParameterList
from npnn.nn.pooling.adaptive import AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool1d, AdaptiveMaxPool2d
from npnn.nn.pooling.average_max import AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d
from npnn.nn.pooling.power import LPPool1d, LPPool2d
from npnn.nn.pooling.unpooling import MaxUnpool1d, MaxUnpool2d, MaxUnpool3d
from npnn.nn.pooling.volume import AdaptiveAvgPool3d, AdaptiveMaxPool3d, AvgPool3d, LPPool3d, MaxPool3d
from npnn.nn.recurrent import networks
from npnn.nn.recurrent.cells import GRUCell, LSTMCell, RNNCell
from npnn.nn.recurrent.networks import GRU, LSTM, RNN
from npnn.nn.summary import summary

NLLLoss2d = NLLLoss  # an old spelling
# scripts ask isinstance by these
_BatchNorm, _ConvNd, _Loss, RNNBase = batchnorm._BatchNorm, conv.ConvBase, base.Loss, networks.RNNBase
_single, _pair, _triple = (functools.partial(geometry.per_axis, dims=n) for n in (1, 2, 3))
for _layer in (ReLU, ReLU6, LeakyReLU, ELU, SELU, CELU, SiLU, Mish, Hardswish, Hardtanh, Hardsigmoid, Threshold, RReLU,
               Dropout, Dropout1d, Dropout2d, Dropout3d, AlphaDropout, FeatureAlphaDropout):  # fmt: skip
    honours_inplace(_layer)

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AlphaDropout",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Bilinear",
    "CTCLoss",
    "ChannelShuffle",
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "CrossEntropyLoss",
    "DataParallel",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "Embedding",
    "EmbeddingBag",
    "FeatureAlphaDropout",
    "Flatten",
    "Fold",
    "GRUCell",
    "GaussianNLLLoss",
    "GroupNorm",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "KLDivLoss",
    "L1Loss",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "LSTMCell",
    "LayerNorm",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LazyLinear",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "LogSigmoid",
    "LogSoftmax",
    "MSELoss",
    "MarginRankingLoss",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "MultiheadAttention",
    "NLLLoss",
    "NLLLoss2d",
    "PReLU",
    "PairwiseDistance",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "PixelShuffle",
    "PixelUnshuffle",
    "PoissonNLLLoss",
    "RMSNorm",
    "RNNCell",
    "RReLU",
    "ReLU",
    "ReLU6",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "SyncBatchNorm",
    "Tanh",
    "Tanhshrink",
    "Threshold",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
    "Unflatten",
    "Unfold",
    "Upsample",
    "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
    "functional",
    "init",
    "summary",
    "utils",
]
