"""Connectionist temporal classification: a sequence of labels whose places in time are not known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import ShapeError
from npnn.function import Function
from npnn.nn.loss.base import Loss, checked_reduction
from npnn.tensor import Tensor

__all__ = ["CTCLoss", "ctc_loss"]


class ConnectionistTemporal(Function):
    """ℓ = -ln Σ Π y over all ways to spread the labels, with blanks between them, over time.   log y (T, N, C) -> (N,)

    With the labels l' (a blank before, between and behind them), α_t(s) sums over the ways to reach l'_s at time t, β_t(s)
    over those to go on from there, both with y_t(l'_s).  A way stays, goes on by one, or by two over a blank between
    unlike labels.

        ∂ℓ/∂(log y)_t(k) = y_t(k) - Σ_{s: l'_s = k} α_t(s) β_t(s) eˡ / y_t(k)

    This is the gradient beyond a log-softmax, whose own gradient does not change it (as in PyTorch).
    Source: Graves et al., Connectionist temporal classification, 2006, sections 4.1 and 4.2.
    """

    def forward(
        self, log_y: NDArray[Any], labels: NDArray[Any], lengths: NDArray[Any], counts: NDArray[Any], blank: int
    ) -> NDArray[Any]:
        T, N, _ = log_y.shape
        S = 2 * labels.shape[1] + 1
        spread = np.full((N, S), blank)
        spread[:, 1::2] = labels
        inside = np.arange(S) < (2 * counts + 1)[:, None]
        jumps = np.zeros((N, S), bool)
        jumps[:, 2:] = (spread[:, 2:] != blank) & (spread[:, 2:] != spread[:, :-2])
        emitted = np.where(inside, np.take_along_axis(log_y, np.broadcast_to(spread, (T, N, S)), 2), -np.inf)
        alpha = np.full((T, N, S), -np.inf, log_y.dtype)
        with np.errstate(invalid="ignore"):
            if T:
                alpha[0, :, :2] = emitted[0, :, :2]
            for t in range(1, T):
                alpha[t] = _arrived(alpha[t - 1], jumps) + emitted[t]
            last = np.maximum(lengths - 1, 0)
            ends = alpha[last, np.arange(N)] if T else np.where(np.arange(S) == 0, 0.0, -np.inf) * np.ones((N, 1))
            rows = np.arange(N)
            final = np.logaddexp(ends[rows, 2 * counts], np.where(counts > 0, ends[rows, 2 * counts - 1], -np.inf))
        losses = np.where(lengths > 0, -final, np.where(counts > 0, np.inf, 0)).astype(log_y.dtype)
        self.log_y, self.saved, self.loss = log_y, (spread, jumps, emitted, alpha, lengths, counts), losses
        return losses

    def backward(self, dy: NDArray[Any]) -> Any:
        spread, jumps, emitted, alpha, lengths, counts = self.saved
        T, N, S = alpha.shape
        rows = np.arange(N)
        dx = np.exp(self.log_y)
        # read from the end, β is an α of the labels from the end: it jumps where the label two further on may be jumped to
        leaps = np.zeros_like(jumps)
        leaps[:, :-2] = jumps[:, 2:]
        beta = np.full((N, S), -np.inf, alpha.dtype)
        for t in range(T - 1, -1, -1):
            starts = lengths - 1 == t
            with np.errstate(invalid="ignore"):
                gone = _arrived(beta[:, ::-1], leaps[:, ::-1])[:, ::-1]
                start = np.full((N, S), -np.inf, alpha.dtype)
                start[rows, 2 * counts] = 0
                start[rows[counts > 0], 2 * counts[counts > 0] - 1] = 0
                beta = np.where(starts[:, None], start, gone) + emitted[t]
                share = np.exp(alpha[t] + beta - emitted[t] + self.loss[:, None])
            share = np.where(np.isfinite(emitted[t]), share, 0)
            np.subtract.at(dx[t], (rows[:, None], spread), share)
        dx[np.arange(T)[:, None] >= lengths] = 0
        return np.where(dy[:, None] == 0, 0, dx * dy[:, None]), None, None, None, None  # of no way at all: 0, not nan


def _arrived(before: NDArray[Any], jumps: NDArray[Any]) -> NDArray[Any]:
    """The logarithm of the sum over the steps that lead to each place: 0, 1 and, where it may jump, 2.   (N, S)"""
    after = before.copy()
    after[:, 1:] = np.logaddexp(after[:, 1:], before[:, :-1])
    after[:, 2:] = np.logaddexp(after[:, 2:], np.where(jumps[:, 2:], before[:, :-2], -np.inf))
    return after


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
