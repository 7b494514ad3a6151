"""Distributions of whole numbers: yes or no, one of several, waiting times, counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn import random
from npnn.distributions.base import Distribution, broadcast_all
from npnn.nn.functional import binary_cross_entropy_with_logits, one_hot, softmax
from npnn.ops import drawing
from npnn.ops.special import logit
from npnn.tensor import Tensor, _from_array

__all__ = ["Bernoulli", "Categorical", "Geometric", "OneHotCategorical", "Poisson"]


def _limited(p: Tensor) -> Tensor:
    eps = float(np.finfo(p.array.dtype).eps)
    return p.clamp(eps, 1 - eps)


class _OfProbability(Distribution):
    """Given by a probability or its logit, ln(p / (1 - p)).   Errors: ValueError for both or neither."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        (given,) = broadcast_all(logits if probs is None else probs)
        if probs is not None and validate_args is not False and not ((given.array >= 0) & (given.array <= 1)).all():
            raise ValueError("Expected parameter probs to lie between 0 and 1")
        self._given, self._is_logits = given, probs is None
        super().__init__(given.array.shape)

    @property
    def probs(self) -> Tensor:
        return self._given.sigmoid() if self._is_logits else self._given

    @property
    def logits(self) -> Tensor:
        return self._given if self._is_logits else logit(_limited(self._given))


class Bernoulli(_OfProbability):
    """1 with probability p, else 0."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return drawing.bernoulli(self.probs.detach().expand(self._extended(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        logits = self.logits
        shape = np.broadcast_shapes(logits.array.shape, value.array.shape)
        return -binary_cross_entropy_with_logits(logits.expand(shape), value.expand(shape), reduction="none")

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)


class Geometric(_OfProbability):
    """The number of failures before the first success:   p (1 - p)ᵏ"""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        p = self.probs.detach()
        shape = self._extended(sample_shape)
        u = random.generator().uniform_(np.empty(shape, p.array.dtype))
        u = np.maximum(u, np.finfo(p.array.dtype).tiny)
        return _from_array(np.floor(np.log(u) / np.log1p(-p.array)))

    def log_prob(self, value: Tensor) -> Tensor:
        return value * (-self.probs).log1p() + self.probs.log()

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.probs - 1.0

    @property
    def variance(self) -> Tensor:
        return (1.0 / self.probs - 1.0) / self.probs


class Categorical(Distribution):
    """One of K, with weights ``probs`` (*, K), which are brought to sum 1, or ``logits``.

    Errors: ValueError for both, neither, or weights that are negative.
    """

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        if probs is not None:
            if validate_args is not False and not (probs.array >= 0).all():
                raise ValueError("Expected parameter probs to satisfy the constraint Simplex()")
            self.probs = probs / probs.sum(-1, keepdim=True)
            self.logits = _limited(self.probs).log()
        else:
            self.logits = logits - logits.logsumexp(-1, keepdim=True)
            self.probs = softmax(self.logits, -1)
        self._num_events = self.logits.array.shape[-1]
        super().__init__(self.logits.array.shape[:-1])

    def sample(self, sample_shape: Any = ()) -> Tensor:
        rows = self.probs.detach().reshape(-1, self._num_events)
        n = int(np.prod(sample_shape)) if len(sample_shape) else 1
        drawn = drawing.multinomial(rows, n, True)
        return drawn.t().reshape(self._extended(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        index = value.long().unsqueeze(-1)
        shape = np.broadcast_shapes(index.array.shape[:-1], self.logits.array.shape[:-1])
        logits = self.logits.expand(*shape, self._num_events)
        return logits.gather(-1, index.expand(*shape, 1)).squeeze(-1)

    def entropy(self) -> Tensor:
        lowest = float(np.finfo(self.logits.array.dtype).min)
        return -(self.logits.clamp_min(lowest) * self.probs).sum(-1)

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    @property
    def mean(self) -> Tensor:
        return _from_array(np.full(self.batch_shape, np.nan, np.float32))

    def __repr__(self) -> str:
        return f"Categorical(probs: {self.probs.shape})"


class OneHotCategorical(Categorical):
    """A Categorical's draw as a one-hot vector."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        super().__init__(probs, logits, validate_args)
        self.event_shape = type(self.batch_shape)((self._num_events,))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        plain = Categorical(probs=self.probs)
        return one_hot(plain.sample(sample_shape), self._num_events).to(self.probs.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value.argmax(-1))


class Poisson(Distribution):
    """How many events happen where ``rate`` are expected:   λᵏ exp(-λ) / k!"""

    def __init__(self, rate: Any, validate_args: bool | None = None):
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.array.shape)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return drawing.poisson(self.rate.detach().expand(self._extended(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        return value.xlogy(self.rate) - self.rate - (value + 1).lgamma()

    @property
    def mean(self) -> Tensor:
        return self.rate

    variance = mean
