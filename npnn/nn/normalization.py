"""The one operation behind batch, group and instance normalisation.

    y = γ (x - μ) / √(σ² + ε) + β

μ and σ² are the mean and the variance over all positions of a group of channels of one sample.  Batch
normalisation counts the whole batch as one sample and each channel as a group; instance
normalisation takes each image and each channel for itself; group normalisation is in between.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import normalization as kernels
from npnn.tensor import Function

__all__ = ["FrozenNormalization", "Normalization"]


def _rows(x: NDArray[Any], samples: int) -> NDArray[Any]:
    """(N, C, *) -> (samples, M, C), M positions, their channels side by side; no copy of channels-last images."""
    last = np.ascontiguousarray(x.transpose(0, *range(2, x.ndim), 1))  # (N, *, C)
    positions = last.size // max(samples * x.shape[1], 1)
    return last.reshape(samples, positions, x.shape[1])


def _image(rows: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The way back: (samples, M, C) -> a view of ``shape`` (N, C, *)."""
    n, c, *space = shape
    return rows.reshape(n, *space, c).transpose(0, len(shape) - 1, *range(1, len(shape) - 1))


def _per_channel(v: NDArray[Any] | None, default: float) -> Any:
    return default if v is None else v.astype(np.float64)


class Normalization(Function):
    """y = γ (x - μ) r + β,  r = 1 / √(σ² + ε).   x (N, C, *), γ and β (C,) or None -> y like x

    With x̂ = (x - μ) r and ⟨ ⟩ the mean over a sample's group:

        dβ = Σ dy        dγ = Σ dy x̂        dx = r (γ dy - ⟨γ dy⟩ - x̂ ⟨γ dy x̂⟩)

    The last line holds because moving x also moves μ and r.  Sums come from the kernels per sample
    and channel, (S, C) and in float64; groups are put together here.

    ``running``, if given, is (mean, variance, momentum): each average moves towards this batch's
    value, of which the variance is the unbiased one.
    """

    def forward(
        self, x: NDArray[Any], weight: Any, bias: Any, samples: int, groups: int, running: Any, eps: float
    ) -> NDArray[Any]:
        rows = _rows(x, samples)  # (S, M, C)
        if x.size:
            mean, var = self._moments(rows, groups)
            if running is not None:
                _update(running, mean, var, rows.shape[1])
        else:
            mean, var = np.zeros((samples, x.shape[1])), np.ones((samples, x.shape[1]))
        self.r = 1 / np.sqrt(var + eps)
        self.centre = mean.astype(x.dtype)
        self.rest = mean - self.centre  # what float32 cannot hold of the mean
        self.gamma, self.rows, self.shape, self.groups = _per_channel(weight, 1.0), rows, x.shape, groups
        scale = self.gamma * self.r
        shift = _per_channel(bias, 0.0) - self.rest * scale
        y = kernels.scale_and_shift(rows, self.centre, scale.astype(x.dtype), shift.astype(x.dtype))
        return _image(y, x.shape)

    def _moments(self, rows: NDArray[Any], groups: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Mean and variance of each channel's group.   (S, M, C) -> (S, C), (S, C)"""
        mean, var = kernels.channel_moments(rows)
        if groups == rows.shape[2]:
            return mean, var
        whole = _group_mean(mean, groups)
        return whole, _group_mean(var + np.square(mean - whole), groups)

    def backward(self, dy: NDArray[Any]) -> tuple[Any, ...]:
        (S, M), dtype, r = self.rows.shape[:2], dy.dtype, self.r
        dy = _rows(dy, S)
        sums, products = kernels.channel_products(dy, self.rows, self.centre)
        products -= self.rest * sums  # Σ dy (x - μ)
        dx = None
        if self.needs_grad[0]:
            f = self.gamma * r
            g = _group_mean(self.gamma * products, self.groups) * (-(r**3) / max(M, 1))
            h = _group_mean(self.gamma * sums, self.groups) * (-r / max(M, 1)) - g * self.rest
            coefficients = [v.astype(dtype) for v in (f, g, h)]
            dx = _image(kernels.scale_two_and_shift(dy, self.rows, self.centre, *coefficients), self.shape)
        return dx, (products * r).sum(axis=0).astype(dtype), sums.sum(axis=0).astype(dtype)


def _group_mean(v: NDArray[Any], groups: int) -> NDArray[Any]:
    """The mean of the channels of each group, given to each of them.   (S, C) -> (S, C)"""
    S, C = v.shape
    if groups == C:
        return v
    mean = v.reshape(S, groups, C // groups).mean(axis=2)
    return np.repeat(mean, C // groups, axis=1)


def _update(running: tuple[Any, Any, float], mean: NDArray[Any], var: NDArray[Any], M: int) -> None:
    """Move the running averages towards the mean over the samples.   (S, C), (S, C)"""
    running_mean, running_var, momentum = running
    S = len(mean)
    running_mean += momentum * (mean.sum(axis=0) / S - running_mean)
    running_var += momentum * (var.sum(axis=0) * (M / (M - 1) / S) - running_var)


class FrozenNormalization(Function):
    """The same with a given mean and variance, (C,) each, that x does not move.   dx = γ r dy"""

    def forward(
        self, x: NDArray[Any], weight: Any, bias: Any, mean: NDArray[Any], var: NDArray[Any], eps: float
    ) -> NDArray[Any]:
        self.rows, self.shape = _rows(x, 1), x.shape
        self.centre = mean[None].astype(x.dtype)  # a copy: the running mean moves on
        self.r = 1 / np.sqrt(var[None].astype(np.float64) + eps)
        self.scale = (_per_channel(weight, 1.0) * self.r).astype(x.dtype)
        shift = np.zeros_like(self.centre) if bias is None else bias[None]
        return _image(kernels.scale_and_shift(self.rows, self.centre, self.scale, shift), x.shape)

    def backward(self, dy: NDArray[Any]) -> tuple[Any, ...]:
        dy = _rows(dy, 1)
        nothing = np.zeros_like(self.centre)
        dx = _image(kernels.scale_and_shift(dy, nothing, self.scale, nothing), self.shape)
        if not (self.needs_grad[1] or self.needs_grad[2]):
            return dx, None, None
        sums, products = kernels.channel_products(dy, self.rows, self.centre)
        return dx, (products[0] * self.r[0]).astype(dy.dtype), sums[0].astype(dy.dtype)
