"""Distributions of numbers: normal, uniform, exponential, Laplace, log-normal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn import random
from npnn.distributions.base import Distribution, broadcast_all
from npnn.ops.drawing import exponential
from npnn.ops.indexing import where
from npnn.tensor import Tensor, _from_array

__all__ = ["Exponential", "Laplace", "LogNormal", "Normal", "Uniform"]


class Normal(Distribution):
    """N(μ, σ²):   density exp(-(x - μ)² / 2σ²) / (σ √2π).   Errors: ValueError unless σ > 0."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None):
        self.loc, self.scale = broadcast_all(loc, scale)
        if validate_args is not False and not (self.scale.array > 0).all():
            raise ValueError("Expected parameter scale to be positive")
        super().__init__(self.loc.array.shape)

    def _standard(self, sample_shape: Any) -> Tensor:
        return _from_array(random.generator().normal_(np.empty(self._extended(sample_shape), self.loc.array.dtype)))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """μ + σ ε, ε standard normal"""
        return self.loc + self._standard(sample_shape) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        return -((value - self.loc) ** 2) / (2 * self.scale**2) - self.scale.log() - math.log(math.sqrt(2 * math.pi))

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most ``value``."""
        return 0.5 * (1 + ((value - self.loc) * self.scale.reciprocal() / math.sqrt(2)).erf())

    def icdf(self, value: Tensor) -> Tensor:
        """The value that is not exceeded with this probability."""
        return self.loc + self.scale * (2 * value - 1).erfinv() * math.sqrt(2)

    @property
    def mean(self) -> Tensor:
        return self.loc

    mode = mean

    @property
    def stddev(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        return self.scale**2

    def __repr__(self) -> str:
        if self.loc.array.size == 1:
            return f"Normal(loc: {self.loc.item()}, scale: {self.scale.item()})"
        return f"Normal(loc: {self.loc.shape}, scale: {self.scale.shape})"


class LogNormal(Normal):
    """exp of a normal number."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return super().rsample(sample_shape).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value.log()) - value.log()

    def entropy(self) -> Tensor:
        return super().entropy() + self.loc

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def variance(self) -> Tensor:
        return (self.scale**2).expm1() * (2 * self.loc + self.scale**2).exp()


class Uniform(Distribution):
    """Evenly in [low, high).   Errors: ValueError unless low < high."""

    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None):
        self.low, self.high = broadcast_all(low, high)
        if validate_args is not False and not (self.low.array < self.high.array).all():
            raise ValueError("Uniform is not defined when low >= high")
        super().__init__(self.low.array.shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = random.generator().uniform_(np.empty(self._extended(sample_shape), self.low.array.dtype))
        return self.low + _from_array(u) * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        inside = (self.low.array <= value.array) & (value.array < self.high.array)
        outside = _from_array(np.full(np.shape(inside), -np.inf, self.low.array.dtype))
        return where(_from_array(np.asarray(inside)), -(self.high - self.low).log(), outside)

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()

    def cdf(self, value: Tensor) -> Tensor:
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)

    @property
    def mean(self) -> Tensor:
        return (self.high + self.low) / 2

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low) ** 2 / 12


class Exponential(Distribution):
    """Density λ exp(-λ x)."""

    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None):
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.array.shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        e = exponential(random.generator(), np.empty(self._extended(sample_shape), self.rate.array.dtype))
        return _from_array(e) / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        return self.rate.log() - self.rate * value

    def entropy(self) -> Tensor:
        return 1.0 - self.rate.log()

    @property
    def mean(self) -> Tensor:
        return self.rate.reciprocal()

    @property
    def variance(self) -> Tensor:
        return self.rate**-2


class Laplace(Distribution):
    """Density exp(-|x - μ| / b) / 2b."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None):
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.array.shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        dtype = self.loc.array.dtype
        low = np.finfo(dtype).eps - 1
        u = _from_array(random.generator().uniform_(np.empty(self._extended(sample_shape), dtype), low, 1))
        return self.loc - self.scale * u.sign() * (-u.abs()).log1p()

    def log_prob(self, value: Tensor) -> Tensor:
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def entropy(self) -> Tensor:
        return 1 + (2 * self.scale).log()

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale**2
