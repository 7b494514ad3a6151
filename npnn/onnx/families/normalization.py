"""Normalisation: batch, instance, group, layer and RMS normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.nn.normalization.groupnorm import group_norm, instance_norm
from npnn.nn.normalization.layernorm import LayerNormalization, layer_norm
from npnn.nn.normalization.statistics import FrozenNormalization, Normalization
from npnn.onnx.table import ONNXError, reads, writes
from npnn.tensor import Tensor


def _affine(x: Any, weight: Any, bias: Any, shape: Any) -> tuple[Any, Any]:
    """Weight and bias, ones and zeros where there are none."""
    return (
        np.ones(shape, x.dtype) if weight is None else weight,
        np.zeros(shape, x.dtype) if bias is None else bias,
    )


@writes(FrozenNormalization)
def _write_frozen(g: Any, x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float) -> str:
    return g.node("BatchNormalization", x, *_affine(x, weight, bias, x.shape[1]), mean, var, epsilon=eps)


@reads("BatchNormalization", training_mode=0)
def _read_batch(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, *, epsilon: float, momentum: float
) -> Tensor:
    return FrozenNormalization.apply(x, weight, bias, mean=mean.array, var=var.array, eps=epsilon)


@writes(Normalization)
def _write_normalization(
    g: Any, x: Any, weight: Any, bias: Any, samples: Any, groups: int, running: Any, eps: float
) -> str:
    if running is not None:
        raise ONNXError("running statistics that are updated in evaluation mode cannot be written")
    channels = x.shape[1]
    weight, bias = _affine(x, weight, bias, channels)
    if samples == x.shape[0]:
        if groups == channels and len(x.shape) > 2:
            return g.node("InstanceNormalization", x, weight, bias, epsilon=eps)
        return g.node("GroupNormalization", x, weight, bias, num_groups=groups, epsilon=eps)
    # Batch normalisation by the batch's own statistics: one mean for each channel
    axes = np.array([0, *range(2, len(x.shape))])
    across = np.array([1, channels, *[1] * (len(x.shape) - 2)])
    centred = g.node("Sub", x, g.node("ReduceMean", x, axes))
    var = g.node("ReduceMean", g.node("Mul", centred, centred), axes)
    y = g.node("Div", centred, g.node("Sqrt", g.node("Add", var, np.asarray(eps, x.dtype))))
    return g.node("Add", g.node("Mul", y, g.node("Reshape", weight, across)), g.node("Reshape", bias, across))


@reads("InstanceNormalization")
def _read_instance(x: Tensor, weight: Tensor, bias: Tensor, *, epsilon: float) -> Tensor:
    return instance_norm(x, weight=weight, bias=bias, eps=epsilon)


@reads("GroupNormalization", stash_type=1)
def _read_group(x: Tensor, weight: Tensor, bias: Tensor, *, epsilon: float, num_groups: int) -> Tensor:
    return group_norm(x, num_groups, weight, bias, epsilon)


@writes(LayerNormalization)
def _write_layer(g: Any, x: Any, weight: Any, bias: Any, shape: tuple[int, ...], eps: float, centred: bool) -> str:
    if centred:
        weight = np.ones(shape, x.dtype) if weight is None else weight
        return g.node("LayerNormalization", x, weight, bias, axis=-len(shape), epsilon=eps)
    square = g.node("ReduceMean", g.node("Mul", x, x), np.arange(-len(shape), 0))
    y = g.node("Div", x, g.node("Sqrt", g.node("Add", square, np.asarray(eps, x.dtype))))
    return y if weight is None else g.node("Mul", y, weight)


@reads("LayerNormalization", stash_type=1)
def _read_layer(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, axis: int, epsilon: float) -> Tensor:
    shape = x.shape[axis:]
    if weight.shape != shape or (bias is not None and bias.shape != shape):
        raise ONNXError(f"expected a weight and a bias of shape {shape}, got {weight.shape}")
    return layer_norm(x, shape, weight, bias, epsilon)
