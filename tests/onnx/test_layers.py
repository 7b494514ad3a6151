"""Every layer, exported: the same numbers in ONNX Runtime, in onnx's own evaluator, and read back."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn
from tests.onnx.common import assert_same_everywhere, example

IMAGE = (3, 4, 7, 6)
SEQUENCE = (3, 4, 9)


class Attention(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(x, x * 2, x - 1, **self.options)


LAYERS = {
    "Linear": (lambda: nn.Linear(5, 3), (3, 5)),
    "Linear without bias": (lambda: nn.Linear(5, 3, bias=False), (3, 5)),
    "Linear, three axes": (lambda: nn.Linear(5, 3), (3, 4, 5)),
    "Linear, three axes, without bias": (lambda: nn.Linear(5, 3, bias=False), (3, 4, 5)),
    "Identity": (lambda: nn.Identity(), (3, 5)),
    "Flatten": (lambda: nn.Flatten(), IMAGE),
    "Flatten, the last axes": (lambda: nn.Flatten(2), IMAGE),
    "Flatten, with the batch": (lambda: nn.Flatten(0, 1), IMAGE),
    "Unflatten": (lambda: nn.Unflatten(1, (2, 2)), IMAGE),
    "Unflatten, one size left open": (lambda: nn.Unflatten(1, (-1, 2)), IMAGE),
    "Dropout": (lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(5, 3), nn.Dropout1d()), (3, 5)),
    "Conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1), SEQUENCE),
    "Conv2d": (lambda: nn.Conv2d(4, 6, 3), IMAGE),
    "Conv2d with everything": (
        lambda: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(2, 1), dilation=(2, 1), groups=2, bias=False),
        IMAGE,
    ),
    "Conv2d, same": (lambda: nn.Conv2d(4, 6, (4, 2), padding="same"), IMAGE),
    "Conv2d, reflect": (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), IMAGE),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1), SEQUENCE),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 6, 3), IMAGE),
    "ConvTranspose2d, transposed in groups": (
        lambda: nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 3), padding=(2, 0), output_padding=1, groups=2, dilation=2),
        IMAGE,
    ),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(5), (3, 5)),
    "BatchNorm1d, sequences": (lambda: nn.BatchNorm1d(4), SEQUENCE),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4), IMAGE),
    "BatchNorm2d, not affine": (lambda: nn.BatchNorm2d(4, affine=False), IMAGE),
    "BatchNorm2d, the batch's statistics": (lambda: nn.BatchNorm2d(4, track_running_stats=False), IMAGE),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(4), SEQUENCE),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4, affine=True), IMAGE),
    "InstanceNorm2d, running statistics": (lambda: nn.InstanceNorm2d(4, track_running_stats=True), IMAGE),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "GroupNorm, features": (lambda: nn.GroupNorm(2, 6), (3, 6)),
    "LayerNorm": (lambda: nn.LayerNorm(5), (3, 4, 5)),
    "LayerNorm, two axes": (lambda: nn.LayerNorm((4, 5), elementwise_affine=False), (3, 4, 5)),
    "LayerNorm without bias": (lambda: nn.LayerNorm(5, bias=False), (3, 5)),
    "RMSNorm": (lambda: nn.RMSNorm(5), (3, 4, 5)),
    "RMSNorm, two axes": (lambda: nn.RMSNorm((4, 5), elementwise_affine=False), (3, 4, 5)),
    **{
        name: (lambda name=name: getattr(nn, name)(), (3, 4, 5))
        for name in (
            "ELU GELU Hardswish LeakyReLU Mish PReLU ReLU ReLU6 SELU SiLU Sigmoid Softplus Tanh".split()
        )
    },
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), (3, 5, 8)),
    "attention that looks back only": (lambda: Attention(is_causal=True), (3, 2, 5, 4)),
    "attention with a mask": (lambda: Attention(attn_mask=npnn.tensor(np.eye(5) + np.tri(5) > 0)), (3, 2, 5, 4)),
    "attention with a bias": (lambda: Attention(attn_mask=npnn.randn(5, 5), scale=0.3), (3, 2, 5, 4)),
    "ELU, alpha": (lambda: nn.ELU(0.7), (3, 5)),
    "GELU, tanh": (lambda: nn.GELU("tanh"), (3, 5)),
    "GLU": (lambda: nn.GLU(1), (3, 4, 5)),
    "PReLU, channels": (lambda: nn.PReLU(4), IMAGE),
    "Softplus, beta and threshold": (lambda: nn.Softplus(2.0, 0.5), (3, 5)),
    "Softmax": (lambda: nn.Softmax(1), (3, 4, 5)),
    "LogSoftmax": (lambda: nn.LogSoftmax(-1), (3, 4, 5)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    build, shape = LAYERS[name]
    # onnx's own evaluator mistakes the shape of the weights of a transposed convolution in groups
    assert_same_everywhere(build(), *example(shape), skip=("onnx.reference",) * ("transposed" in name))


POOLS = {
    "MaxPool1d": (lambda: nn.MaxPool1d(3, 2, 1), SEQUENCE, "MaxPool"),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), IMAGE, "MaxPool"),
    "MaxPool2d, dilated and rounded up": (
        lambda: nn.MaxPool2d((3, 2), 2, 1, (2, 1), ceil_mode=True), IMAGE, "MaxPool",
    ),
    "MaxPool2d, padding as wide as the kernel": (lambda: nn.MaxPool2d(2, 1, 2, 3), IMAGE, "ReduceMax"),
    "AvgPool1d": (lambda: nn.AvgPool1d(3, 2, 1), SEQUENCE, "AveragePool"),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), IMAGE, "AveragePool"),
    "AvgPool2d, padded": (lambda: nn.AvgPool2d(3, 2, 1), IMAGE, "AveragePool"),
    "AvgPool2d, padding not counted": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGE, "AveragePool"),
    "AvgPool2d, rounded up": (lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True), IMAGE, "MatMul"),
    "AvgPool2d, divisor": (lambda: nn.AvgPool2d(2, divisor_override=3), IMAGE, "MatMul"),
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(7), SEQUENCE, "MatMul"),
    "AdaptiveAvgPool2d, whole image": (lambda: nn.AdaptiveAvgPool2d(1), IMAGE, "GlobalAveragePool"),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((3, 4)), IMAGE, "MatMul"),
    "AdaptiveAvgPool2d, windows that are alike": (lambda: nn.AdaptiveAvgPool2d((7, 3)), IMAGE, "AveragePool"),
    "AdaptiveMaxPool1d": (lambda: nn.AdaptiveMaxPool1d(7), SEQUENCE, "ReduceMax"),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d((3, 4)), IMAGE, "ReduceMax"),
}  # fmt: skip


@pytest.mark.parametrize("name", POOLS)
def test_pooling(name):
    """Windows of a regular kind become pooling operators, others are made of several."""
    build, shape, op_type = POOLS[name]
    proto = assert_same_everywhere(build(), *example(shape))
    assert op_type in {node.op_type for node in proto.graph.node}


RECURRENT = {
    "RNN": lambda **options: nn.RNN(3, 4, **options),
    "RNN, relu": lambda **options: nn.RNN(3, 4, nonlinearity="relu", **options),
    "LSTM": lambda **options: nn.LSTM(3, 4, **options),
    "GRU": lambda **options: nn.GRU(3, 4, **options),
}


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent(name, batch_first, num_layers, bidirectional):
    layer = RECURRENT[name](num_layers=num_layers, batch_first=batch_first, bidirectional=bidirectional)
    x = example((2, 6, 3) if batch_first else (6, 2, 3))
    assert_same_everywhere(layer, *x, dims=(0 if batch_first else 1,), tolerance=1e-4)
