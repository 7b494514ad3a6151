"""The one operation behind batch, group and instance normalisation.

    y = γ (x - μ) / √(σ² + ε) + β

μ and σ² are the mean and the variance over all positions of a group of channels of one sample.  Batch
normalisation counts the whole batch as one sample and each channel as a group; instance
normalisation takes each image and each channel for itself; group normalisation is in between.
The arithmetic is in npnn.kernels.normalization.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.function import Function
from npnn.kernels import normalization as kernels
from npnn.kernels.order import contiguous

__all__ = ["FrozenNormalization", "Normalization"]


def _rows(x: NDArray[Any]) -> NDArray[Any]:
    """(N, C, *) -> (N, M, C), M positions: a view of images with channels first or last, else a copy with them last."""
    n, c, *space = x.shape
    if x.flags.c_contiguous:
        rows = x.reshape(n, c, math.prod(space)).transpose(0, 2, 1)
        if kernels.in_planes(rows):
            return rows
    return contiguous(x.transpose(0, *range(2, x.ndim), 1)).reshape(n, math.prod(space), c)


def _image(rows: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The way back: (N, M, C) -> a view of ``shape`` (N, C, *)."""
    n, c, *space = shape
    return rows.reshape(n, *space, c).transpose(0, len(shape) - 1, *range(1, len(shape) - 1))


class Normalization(Function):
    """y = γ (x - μ) / √(σ² + ε) + β.   x (N, C, *), γ and β (C,) or None -> y like x

    ``running``, if given, is (mean, variance, momentum): arrays that are moved towards this batch's.
    Gradient: in npnn.kernels.normalization.normalise_backward.
    """

    called = "NativeBatchNorm"

    def forward(
        self, x: NDArray[Any], weight: Any, bias: Any, samples: int, groups: int, running: Any, eps: float
    ) -> NDArray[Any]:
        C = x.shape[1]
        weight = np.ones(C, x.dtype) if weight is None else weight
        bias = np.zeros(C, x.dtype) if bias is None else bias
        self.shape, self.rows = x.shape, None
        if not x.size:
            return np.empty(x.shape, x.dtype)
        rows = _rows(x)  # (N, M, C)
        y, mean, var = kernels.normalise(rows, weight, bias, groups, eps, samples)
        if running is not None:
            _update(running, mean, var, x.size // (samples * C))
        self.rows, self.saved = rows, (weight, mean, var, groups, eps, samples)
        return _image(y, x.shape)

    def backward(self, dy: NDArray[Any]) -> tuple[Any, ...]:
        if self.rows is None:
            nothing = np.zeros(self.shape[1], dy.dtype)
            return np.empty_like(dy), nothing, nothing.copy()
        dx, dw, db = kernels.normalise_backward(_rows(dy), self.rows, *self.saved)
        return _image(dx, self.shape), dw, db

    def derivative(self: Any, dy: Any) -> tuple[Any, ...]:
        weight, _, _, groups, eps, samples = self.saved
        n, c, *space = self.shape
        apart = samples, n // samples, groups, c // groups, math.prod(space)
        axes, per_channel = [1, 3, 4], (1, c, *[1] * len(space))
        x = self.input(0, _image(self.rows, self.shape)).reshape(apart)
        centred = x - x.mean(axes, keepdim=True)
        r = ((centred * centred).mean(axes, keepdim=True) + eps).rsqrt()
        normal = centred * r
        g = (dy * self.input(1, weight).reshape(per_channel)).reshape(apart)
        dx = r * (g - g.mean(axes, keepdim=True) - normal * (g * normal).mean(axes, keepdim=True))
        others = [0, *range(2, len(self.shape))]
        return dx.reshape(self.shape), (dy * normal.reshape(self.shape)).sum(others), dy.sum(others)


def _update(running: tuple[Any, Any, float], mean: NDArray[Any], var: NDArray[Any], M: int) -> None:
    """Move the running averages towards the mean over the samples; the variance is the unbiased one.   (S, C) twice"""
    running_mean, running_var, momentum = running
    S = len(mean)
    running_mean += momentum * (mean.sum(axis=0) / S - running_mean)
    running_var += momentum * (var.sum(axis=0) * (M / (M - 1) / S) - running_var)


class FrozenNormalization(Function):
    """The same with a given mean and variance, (C,) each, that x does not move.

    dx = γ dy / √(σ² + ε),  dγ = Σ dy (x - μ) / √(σ² + ε),  dβ = Σ dy
    """

    def forward(
        self, x: NDArray[Any], weight: Any, bias: Any, mean: NDArray[Any], var: NDArray[Any], eps: float
    ) -> NDArray[Any]:
        self.rows, self.shape, self.mean = _rows(x), x.shape, mean.copy()  # the running mean moves on
        self.r = (1 / np.sqrt(var.astype(np.float64) + eps)).astype(x.dtype)
        self.scale = self.r if weight is None else weight * self.r
        self.weight = weight
        return _image(kernels.scale_and_shift(self.rows, mean, self.scale, 0 if bias is None else bias), x.shape)

    def backward(self, dy: NDArray[Any]) -> tuple[Any, ...]:
        dy = _rows(dy)
        dx = dw = db = None
        if self.needs_grad[0]:
            nothing = np.zeros_like(self.scale)
            dx = _image(kernels.scale_and_shift(dy, nothing, self.scale, nothing), self.shape)
        if self.needs_grad[1]:
            dw = (dy * (self.rows - self.mean)).sum(axis=(0, 1)) * self.r
        if self.needs_grad[2]:
            db = dy.sum(axis=(0, 1))
        return dx, dw, db

    def derivative(self: Any, dy: Any) -> tuple[Any, ...]:
        per_channel = (1, self.shape[1], *[1] * (len(self.shape) - 2))
        others = [0, *range(2, len(self.shape))]
        scale = self.input(1, self.weight) * self.r if self.needs_grad[1] else self.scale
        dx = dy * scale.reshape(per_channel)
        centred = self.input(0, _image(self.rows, self.shape)) - self.mean.reshape(per_channel)
        return dx, (dy * centred).sum(others) * self.r, dy.sum(others)
