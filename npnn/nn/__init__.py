"""Layers, losses and initialisation, under torch's names."""

from npnn.nn import functional, init, utils
from npnn.nn.activation import ELU, SELU, Hardswish, LeakyReLU, PReLU, ReLU, ReLU6
from npnn.nn.adaptive_pooling import AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool1d, AdaptiveMaxPool2d
from npnn.nn.batchnorm import BatchNorm1d, BatchNorm2d
from npnn.nn.container import ModuleDict, ModuleList, Sequential
from npnn.nn.conv import Conv1d, Conv2d
from npnn.nn.conv_transpose import ConvTranspose1d, ConvTranspose2d
from npnn.nn.dropout import Dropout, Dropout1d, Dropout2d
from npnn.nn.embedding import Embedding
from npnn.nn.flatten import Flatten, Unflatten
from npnn.nn.groupnorm import GroupNorm, InstanceNorm1d, InstanceNorm2d
from npnn.nn.layernorm import LayerNorm, RMSNorm
from npnn.nn.linear import Identity, Linear
from npnn.nn.loss import CrossEntropyLoss, NLLLoss
from npnn.nn.loss_probability import BCELoss, BCEWithLogitsLoss, KLDivLoss
from npnn.nn.loss_regression import HuberLoss, L1Loss, MSELoss, SmoothL1Loss
from npnn.nn.module import Module, Parameter
from npnn.nn.pooling import AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d
from npnn.nn.recurrent import GRU, LSTM, RNN
from npnn.nn.rnn_cells import GRUCell, LSTMCell, RNNCell
from npnn.nn.smooth_activation import GELU, GLU, Mish, Sigmoid, SiLU, Softplus, Tanh
from npnn.nn.softmax import LogSoftmax, Softmax
from npnn.nn.summary import summary

__all__ = [
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GroupNorm",
    "Hardswish",
    "HuberLoss",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "KLDivLoss",
    "L1Loss",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "PReLU",
    "Parameter",
    "RMSNorm",
    "RNNCell",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Tanh",
    "Unflatten",
    "functional",
    "init",
    "summary",
    "utils",
]
