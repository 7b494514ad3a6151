"""What all distributions share: batches of parameters, shapes of samples, and sums over parts that are one event."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.modes import no_grad
from npnn.ops import joining
from npnn.tensor import Tensor, of_array
from npnn.views import Size

__all__ = ["Distribution", "Independent", "broadcast_all"]


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape."""
    dtype = next((v.array.dtype for v in values if isinstance(v, Tensor)), np.dtype(np.float32))
    return joining.broadcast_tensors(*[v if isinstance(v, Tensor) else of_array(np.array(v, dtype)) for v in values])


class Distribution:
    """Base class.   ``batch_shape`` is that of the parameters, ``event_shape`` that of one draw."""

    has_rsample = False

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None):
        self.batch_shape, self.event_shape = Size(batch_shape), Size(event_shape)

    def _extended(self, sample_shape: Any) -> tuple[int, ...]:
        return (*sample_shape, *self.batch_shape, *self.event_shape)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, (sample_shape, batch_shape, event_shape), without a gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws as a function of the parameters, through which the gradient flows."""
        raise NotImplementedError(f"{type(self).__name__} has no rsample: its draws are not differentiable")

    def sample_n(self, n: int) -> Tensor:
        """n draws."""
        return self.sample((n,))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The mean of -log_prob."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """exp(entropy)"""
        return self.entropy().exp()  # type: ignore[attr-defined]

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()  # type: ignore[attr-defined]


class Independent(Distribution):
    """Another distribution, of whose batch axes the last ``reinterpreted_batch_ndims`` count as one event."""

    def __init__(self, base_distribution: Any, reinterpreted_batch_ndims: int, validate_args: bool | None = None):
        cut = len(base_distribution.batch_shape) - reinterpreted_batch_ndims
        if cut < 0:
            raise ValueError("reinterpreted_batch_ndims is larger than the number of batch axes")
        whole = (*base_distribution.batch_shape, *base_distribution.event_shape)
        super().__init__(whole[:cut], whole[cut:])
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims

    def _summed(self, x: Tensor) -> Tensor:
        n = self.reinterpreted_batch_ndims
        return x.sum(tuple(range(-n, 0))) if n else x  # type: ignore[attr-defined]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._summed(self.base_dist.log_prob(value))

    def entropy(self) -> Tensor:
        return self._summed(self.base_dist.entropy())

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance
