"""What a network is trained for: a loss with a weight for each sample, and the score that says when to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.nn import functional as F
from npnn.tensor import Tensor, _from_array

__all__ = ["Objective", "binary_cross_entropy", "half_squared_error"]

Score = Callable[[NDArray[Any], NDArray[Any], "NDArray[Any] | None"], float]


class Objective:
    """The mean of the samples' weighted losses: Σ w ℓ / N, for weights whose mean over the data set is 1.

    The trainer hands over pairs (inputs, targets); so targets and weights travel in one array.

    loss        ``loss(outputs, targets, reduction=...)``, as in npnn.nn.functional
    score       of (outputs, targets, weights); more is better
    dtype       of the targets
    weighted    whether the last column of the packed targets holds weights
    """

    def __init__(self, loss: Callable[..., Tensor], score: Score, dtype: Any, weighted: bool):
        self.loss, self.of, self.dtype, self.weighted = loss, score, np.dtype(dtype), weighted

    def pack(self, targets: NDArray[Any], weights: NDArray[Any] | None) -> NDArray[Any]:
        """Targets (N,) or (N, K) beside their weights (N,): (N, 2) or (N, K + 1); the targets alone without weights."""
        return targets if weights is None else np.column_stack([targets, weights]).astype(weights.dtype)

    def unpack(self, packed: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """The way back."""
        if not self.weighted:
            return packed, None
        targets = packed[:, :-1] if self.dtype.kind == "f" else packed[:, 0]
        return targets.astype(self.dtype, copy=False), packed[:, -1]

    def __call__(self, outputs: Tensor, packed: Tensor) -> Tensor:
        """The loss of a batch.  Errors: ValueError for a loss that has weights to respect and reduces all the same."""
        targets, weights = self.unpack(packed.array)
        if weights is None:
            return self.loss(outputs, _from_array(targets), reduction="mean")
        losses = self.loss(outputs, _from_array(targets), reduction="none")
        if losses.shape[:1] != weights.shape:
            raise ValueError(
                f"with weights, the loss must give one value for each of {len(weights)} samples when it is called "
                f"with reduction='none', got shape {losses.array.shape}"
            )
        if losses.ndim > 1:
            losses = losses.reshape(len(weights), -1).mean(1)  # (N, K) -> (N,)
        return (losses * _from_array(weights)).mean()

    def score(self, outputs: NDArray[Any], packed: NDArray[Any]) -> float:
        """A metric for the trainer."""
        return self.of(outputs, *self.unpack(packed))


def half_squared_error(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """(x - t)²/2, averaged: what Huber's loss is near 0, and scikit-learn's squared_error."""
    return 0.5 * F.mse_loss(input, target, reduction=reduction)


def binary_cross_entropy(
    input: Tensor, target: Tensor, *, reduction: str = "mean", label_smoothing: float = 0.0
) -> Tensor:
    """A yes-or-no cross-entropy for each label, from logits; smoothing ε moves the targets to ε/2 and 1 - ε/2."""
    if label_smoothing:
        target = _from_array(target.array * (1 - label_smoothing) + label_smoothing / 2)
    return F.binary_cross_entropy_with_logits(input, target, reduction=reduction)
