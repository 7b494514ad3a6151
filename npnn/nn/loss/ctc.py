"""Connectionist temporal classification: a sequence of labels whose places in time are not known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import ShapeError
from npnn.function import Function
from npnn.kernels.ctc import ways, ways_backward
from npnn.nn.loss.base import Loss, checked_reduction
from npnn.tensor import Tensor

__all__ = ["CTCLoss", "ctc_loss"]


class ConnectionistTemporal(Function):
    """ℓ = -ln Σ Π y over all ways to spread the labels, with blanks between them, over time.   log y (T, N, C) -> (N,)

    The gradient is that beyond a log-softmax, whose own gradient does not change it (as in PyTorch).  Both in
    npnn.kernels.ctc.
    """

    def forward(
        self, log_y: NDArray[Any], labels: NDArray[Any], lengths: NDArray[Any], counts: NDArray[Any], blank: int
    ) -> NDArray[Any]:
        spread = np.full((len(labels), 2 * labels.shape[1] + 1), blank)
        spread[:, 1::2] = labels
        jumps = np.zeros(spread.shape, bool)
        jumps[:, 2:] = (spread[:, 2:] != blank) & (spread[:, 2:] != spread[:, :-2])
        given = log_y, spread, jumps, lengths, counts
        alpha, losses = ways(*given)
        self.saved = *given, alpha, losses
        return losses

    def backward(self, dy: NDArray[Any]) -> Any:
        with np.errstate(invalid="ignore"):
            dx = ways_backward(*self.saved) * dy[:, None]
        return np.where(dy[:, None] == 0, 0, dx), None, None, None, None  # of no way at all: 0, not nan


def _lengths(x: Any) -> NDArray[Any]:
    return np.asarray(x.array if isinstance(x, Tensor) else x, np.int64).reshape(-1)


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-ln p(targets) by connectionist temporal classification, whatever the labels' places in time.

    log_probs (T, N, C) or (T, C), results of a log-softmax; targets (N, S), or all labels one after the other; lengths
    (N,) of each.  "mean" divides each loss by its number of labels, at least 1, and averages over the batch.
    ``zero_infinity`` takes sequences that are too short for their labels for 0, with no gradient.

    Errors: ShapeError for lengths that do not fit; RuntimeError for a blank or a label that is no class.
    Source: Graves et al., Connectionist temporal classification, 2006.
    """
    checked_reduction(reduction)
    if log_probs.array.ndim == 2:
        losses = ctc_loss(log_probs.unsqueeze(1), targets.reshape(1, -1), input_lengths, target_lengths, blank, "none",
                          zero_infinity)  # fmt: skip
        return losses.squeeze(0) if reduction == "none" else _reduced(losses, _lengths(target_lengths), reduction)
    if log_probs.array.ndim != 3:
        raise ShapeError(f"ctc_loss: expected log_probs of shape (T, N, C) or (T, C), got {log_probs.shape}")
    T, N, C = log_probs.array.shape
    lengths, counts = _lengths(input_lengths), _lengths(target_lengths)
    if len(lengths) != N or len(counts) != N:
        raise ShapeError(f"ctc_loss: expected {N} lengths of inputs and targets, got {len(lengths)} and {len(counts)}")
    if lengths.size and (lengths.max() > T or min(lengths.min(), counts.min()) < 0):
        raise ShapeError(
            f"ctc_loss: expected input_lengths from 0 to {T} and no negative length, got {lengths.tolist()}"
        )
    if not 0 <= blank < C:
        raise RuntimeError(f"ctc_loss: blank must be in label range, 0 to {C - 1}, got {blank}")
    labels = np.zeros((N, int(counts.max(initial=0))), np.int64)
    given = targets.array
    if given.ndim == 1 and counts.sum() > len(given):
        raise ShapeError(f"ctc_loss: the targets hold {len(given)} labels, the lengths say {counts.sum()}")
    if given.ndim == 2 and (len(given) != N or labels.shape[1] > given.shape[1]):
        raise ShapeError(
            f"ctc_loss: targets of shape {targets.shape} do not go with {N} lengths up to {labels.shape[1]}"
        )
    start = 0
    for n, count in enumerate(counts):
        labels[n, :count] = given[n, :count] if given.ndim == 2 else given[start : start + count]
        start += count
    if labels.size and not (labels.min() >= 0 and labels.max() < C):
        raise RuntimeError(f"ctc_loss: labels must lie in 0 to {C - 1}, got {labels.min()} to {labels.max()}")
    losses = ConnectionistTemporal.apply(log_probs, labels, lengths, counts, blank)
    if zero_infinity:
        losses = losses.masked_fill(np.isinf(losses.array), 0)
    return losses if reduction == "none" else _reduced(losses, counts, reduction)


def _reduced(losses: Tensor, counts: NDArray[Any], reduction: str) -> Tensor:
    if reduction == "sum":
        return losses.sum()
    return (losses / np.maximum(counts, 1).astype(losses.array.dtype)).mean()


class CTCLoss(Loss):
    """-ln p(targets) by connectionist temporal classification: see ctc_loss.   (T, N, C), (N, S), (N,), (N,) -> ()"""

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False):
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any) -> Tensor:
        more = self.blank, self.reduction, self.zero_infinity
        return ctc_loss(log_probs, targets, input_lengths, target_lengths, *more)
