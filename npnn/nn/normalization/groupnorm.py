"""Group and instance normalisation: every image brought to mean 0 and variance 1 on its own, in groups of channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn.dtypes import of_parameters
from npnn.errors import ShapeError, warn
from npnn.nn.checks import check_channel_vectors, check_floating, permute_hint
from npnn.nn.module import Module, Parameter
from npnn.nn.normalization.batchnorm import NormBase
from npnn.nn.normalization.statistics import FrozenNormalization, Normalization
from npnn.tensor import Tensor

__all__ = ["GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "group_norm", "instance_norm"]


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = γ (x - μ) / √(σ² + ε) + β, with μ and σ² over each group of channels of each image, γ and β per channel.

    (N, C, *) -> (N, C, *).  The same in training and evaluation, and for any batch size.
    Gradient: see npnn.nn.normalization.statistics.
    Errors: ShapeError for channels that do not fit or cannot be grouped, and for a single value in all.
    Source: Wu & He, Group normalization, 2018.
    """
    check_floating("group_norm", input)
    shape = input.shape
    if len(shape) >= 2:
        check_channel_vectors(input, weight=weight, bias=bias)
    if len(shape) < 2 or shape[1] % num_groups:
        raise ShapeError(f"group_norm: expected an input of shape (N, C, *), C divisible by {num_groups}, got {shape}")
    if math.prod(shape) == num_groups:
        raise ShapeError(f"expected more than 1 value in each group, got input size {shape}")
    return Normalization.apply(input, weight, bias, samples=shape[0], groups=num_groups, running=None, eps=float(eps))


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """group_norm with a group for each channel.   (N, C, *) -> (N, C, *)

    Running statistics, if given, are moved towards the batch's average as in batch_norm; they replace
    the input's own unless ``use_input_stats``.
    Errors: as for batch_norm; ShapeError for a single value per channel.
    Source: Ulyanov, Vedaldi & Lempitsky, Instance normalization, 2016.
    """
    check_floating("instance_norm", input)
    shape = input.shape
    check_channel_vectors(input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError("instance_norm: running_mean and running_var are needed without use_input_stats")
        return FrozenNormalization.apply(
            input, weight, bias, mean=running_mean.array, var=running_var.array, eps=float(eps)
        )
    if math.prod(shape[2:]) == 1:
        raise ShapeError(f"expected more than 1 spatial element when training, got input size {shape}")
    running = None
    if running_mean is not None and running_var is not None:
        running = running_mean.array, running_var.array, float(momentum)
    return Normalization.apply(input, weight, bias, samples=shape[0], groups=shape[1], running=running, eps=float(eps))


class GroupNorm(Module):
    """Group normalisation: see group_norm.   (N, C, *) -> (N, C, *)

    ``weight`` (C,) starts at 1, ``bias`` (C,) at 0.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        if num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        dtype = of_parameters(device, dtype)
        self.weight = Parameter(np.empty(num_channels, dtype)) if affine else None
        self.bias = Parameter(np.empty(num_channels, dtype)) if affine and bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.weight is not None:
            self.weight.array.fill(1)
        if self.bias is not None:
            self.bias.array.fill(0)

    def forward(self, input: Tensor) -> Tensor:
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class _InstanceNorm(NormBase):
    axes: tuple[int, int]  # how many axes an input has, without and with the batch's

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.axes:
            raise ShapeError(f"expected {self.axes[0]}D or {self.axes[1]}D input (got {input.ndim}D input)")
        batched = input.ndim == self.axes[1]
        channels = input.shape[1 if batched else 0]
        if channels != self.num_features:
            text = f"expected an input of {self.num_features} channels, got {input.shape}"
            text += permute_hint(input.shape, self.axes[0] - 1, self.num_features)
            if self.affine or self.track_running_stats:
                raise ShapeError(text)
            warn(text)  # nothing depends on the number, as torch sees it
        y = instance_norm(
            input if batched else input.unsqueeze(0),  # type: ignore[attr-defined]
            self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats, self.momentum or 0.0, self.eps,
        )  # fmt: skip
        return y if batched else y.squeeze(0)  # type: ignore[attr-defined]


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of sequences: see instance_norm.   (N, C, L) or (C, L), result the same"""

    axes = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of images: see instance_norm.   (N, C, H, W) or (C, H, W), result the same"""

    axes = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of volumes: see instance_norm.   (N, C, D, H, W) or (C, D, H, W), result the same"""

    axes = (4, 5)
