"""Activations, softmax among them."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.nn.activation import rectifiers as activation
from npnn.nn.activation import smooth as smooth_activation
from npnn.nn.activation.softmax import LogSoftmaxFunction, SoftmaxFunction
from npnn.onnx.table import reads, same, writes
from npnn.tensor import Tensor

same(activation.ReLUFunction, "Relu", activation.relu)
same(activation.HardswishFunction, "HardSwish", activation.hardswish)
same(activation.PReLUFunction, "PRelu", activation.PReLUFunction.apply)
same(smooth_activation.MishFunction, "Mish", smooth_activation.mish)


@writes(activation.ReLU6Function)
def _write_relu6(g: Any, x: Any) -> str:
    return g.node("Clip", x, 0, 6)


@writes(activation.LeakyReLUFunction)
def _write_leaky_relu(g: Any, x: Any, slope: float) -> str:
    return g.node("LeakyRelu", x, alpha=slope)


@reads("LeakyRelu")
def _read_leaky_relu(x: Tensor, *, alpha: float) -> Tensor:
    return activation.leaky_relu(x, alpha)


@writes(activation.ELUFunction)
def _write_elu(g: Any, x: Any, alpha: float, scale: float) -> str:
    return g.node("Elu", x, alpha=alpha) if scale == 1 else g.node("Selu", x, alpha=alpha, gamma=scale)


@reads("Elu", "Selu")
def _read_elu(x: Tensor, *, alpha: float, gamma: float = 1.0) -> Tensor:
    return activation.ELUFunction.apply(x, alpha=alpha, scale=gamma)


@writes(smooth_activation.SoftplusFunction)
def _write_softplus(g: Any, x: Any, beta: float, threshold: float) -> str:
    z = x if beta == 1 else g.node("Mul", x, beta)
    y = g.node("Softplus", z)
    if beta != 1:
        y = g.node("Div", y, np.asarray(beta, x.dtype))
    if threshold < 20:  # from there on the line and the curve are the same to all digits of a float32
        y = g.node("Where", g.node("Greater", z, np.asarray(threshold, x.dtype)), x, y)
    return y


@reads("Softplus")
def _read_softplus(x: Tensor) -> Tensor:
    return smooth_activation.softplus(x)


@writes(smooth_activation.SiLUFunction)
def _write_silu(g: Any, x: Any) -> str:
    return g.node("Mul", x, g.node("Sigmoid", x))


@writes(smooth_activation.GELUFunction)
def _write_gelu(g: Any, x: Any) -> str:
    return g.node("Gelu", x)


@writes(smooth_activation.TanhGELUFunction)
def _write_tanh_gelu(g: Any, x: Any) -> str:
    return g.node("Gelu", x, approximate="tanh")


@reads("Gelu")
def _read_gelu(x: Tensor, *, approximate: str) -> Tensor:
    return smooth_activation.gelu(x, approximate)


@writes(smooth_activation.GLUFunction)
def _write_glu(g: Any, x: Any, dim: int) -> str:
    a, b = g.node("Split", x, outputs=2, axis=dim, num_outputs=2)
    return g.node("Mul", a, g.node("Sigmoid", b))


@writes(SoftmaxFunction)
def _write_softmax(g: Any, x: Any, dim: int) -> str:
    return g.node("Softmax", x, axis=dim)


@reads("Softmax")
def _read_softmax(x: Tensor, *, axis: int) -> Tensor:
    return SoftmaxFunction.apply(x, dim=axis)


@writes(LogSoftmaxFunction)
def _write_log_softmax(g: Any, x: Any, dim: int) -> str:
    return g.node("LogSoftmax", x, axis=dim)


@reads("LogSoftmax")
def _read_log_softmax(x: Tensor, *, axis: int) -> Tensor:
    return LogSoftmaxFunction.apply(x, dim=axis)
