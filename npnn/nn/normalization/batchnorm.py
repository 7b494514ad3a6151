"""Batch normalisation: each channel brought to mean 0 and variance 1 over the batch, then scaled and shifted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn.dtypes import of_parameters
from npnn.errors import ShapeError
from npnn.nn.checks import check_channel_vectors, check_floating
from npnn.nn.module import Module, Parameter
from npnn.nn.normalization.statistics import FrozenNormalization, Normalization
from npnn.ops.shape import clone
from npnn.tensor import Tensor, of_array

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "batch_norm"]


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y = γ (x - μ) / √(σ² + ε) + β, with one μ, σ², γ and β for each channel.   (N, C, *) -> (N, C, *)

    In ``training``, μ and σ² are the batch's mean and variance (divided by the number M of values), and
    the running ones, if given, are moved towards them in place:
    running ← (1 - momentum) running + momentum · batch, where the batch's variance is divided by M - 1.
    Otherwise μ and σ² are the running ones.

    Gradient: with x̂ = (x - μ) / √(σ² + ε), dβ = Σ dy, dγ = Σ dy x̂ and, in training,
    dx = γ / √(σ² + ε) · (dy - dβ/M - x̂ dγ/M).
    Errors: ShapeError (a ValueError) for channels that do not fit, and for a single value per channel in
    training, which has no variance; DtypeError for mixed dtypes or missing running statistics.
    Source: Ioffe & Szegedy, Batch normalization, 2015, algorithms 1 and 2.
    """
    check_floating("batch_norm", input)
    if eps < 0 or (training and eps == 0):
        raise ValueError(f"batch_norm: eps must be {'positive in training' if training else 'at least 0'}, got {eps}")
    shape = input.shape
    if shape == (0,):
        return clone(input)  # as PyTorch takes it: no rows of no channels
    if len(shape) < 2:
        raise ShapeError(f"batch_norm: expected an input of shape (N, C, *), got {shape}")
    if (running_mean is None) != (running_var is None):
        raise ValueError("batch_norm: give both running_mean and running_var, or neither")
    check_channel_vectors(input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("batch_norm: running_mean and running_var are needed outside training")
        return FrozenNormalization.apply(
            input, weight, bias, mean=running_mean.array, var=running_var.array, eps=float(eps)
        )
    if shape[0] * math.prod(shape[2:]) == 1:
        raise ShapeError(f"expected more than 1 value per channel when training, got input size {shape}")
    running = None
    if running_mean is not None and running_var is not None:
        running = running_mean.array, running_var.array, float(momentum)
    return Normalization.apply(input, weight, bias, samples=1, groups=shape[1], running=running, eps=float(eps))


class NormBase(Module):
    """The parameters and running statistics of batch and instance normalisation.

    ``weight`` starts at 1, ``bias`` at 0; ``running_mean`` at 0, ``running_var`` at 1.
    """

    running_mean: Any
    running_var: Any
    num_batches_tracked: Any

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        dtype = of_parameters(device, dtype)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(np.empty(num_features, dtype)) if affine else None
        self.bias = Parameter(np.empty(num_features, dtype)) if affine and bias else None
        tracked: list[Any] = [None, None, None]
        if track_running_stats:
            tracked = [np.empty(num_features, dtype), np.empty(num_features, dtype), np.array(0, np.int64)]
        for name, array in zip(("running_mean", "running_var", "num_batches_tracked"), tracked, strict=True):
            self.register_buffer(name, None if array is None else of_array(array))
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        if self.weight is not None:
            self.weight.array.fill(1)
        if self.bias is not None:
            self.bias.array.fill(0)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(NormBase):
    axes: tuple[int, ...]  # how many axes an input may have

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.axes:
            raise ShapeError(self._wrong_axes(input.shape))
        tracking = self.training and self.running_mean is not None
        if tracking:
            self.num_batches_tracked.array += 1
        momentum = self.momentum
        if momentum is None:  # the plain average over all batches so far
            momentum = 1 / int(self.num_batches_tracked.array) if tracking else 0.0
        batch_statistics = self.training or self.running_mean is None
        return batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, batch_statistics, momentum, self.eps
        )

    def _wrong_axes(self, shape: tuple[int, ...]) -> str:
        expected = " or ".join(f"{n}D" for n in self.axes)
        hint = ""
        if len(shape) == self.axes[-1] - 1 and self.num_features in (1, shape[0]):
            axis = 0 if shape[0] == self.num_features else 1
            hint = f"; add the axis of the {'channels' if axis else 'batch'} with x.unsqueeze({axis})"
        return f"expected {expected} input (got {len(shape)}D input), not {shape}{hint}"


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of features or sequences: see batch_norm.   (N, C) or (N, C, L), result the same

    ``momentum=None`` averages the statistics over all batches; without ``track_running_stats`` the
    batch's own are used in evaluation, too.
    Parameters ``weight``, ``bias`` (C,); buffers ``running_mean``, ``running_var`` (C,), ``num_batches_tracked``.
    """

    axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images: see batch_norm and BatchNorm1d.   (N, C, H, W) -> (N, C, H, W)"""

    axes = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of volumes: see batch_norm and BatchNorm1d.   (N, C, D, H, W) -> (N, C, D, H, W)"""

    axes = (5,)


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over the batch of this process: see batch_norm.   (N, C, *), result the same

    PyTorch's averages over all processes of a group; here each process has its own batch (``npnn.train.parallel``).
    """

    axes = (2, 3, 4, 5)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    @classmethod
    def convert_sync_batchnorm(cls, module: Any, process_group: Any = None) -> Any:
        """The module itself: one process has one batch."""
        return module
