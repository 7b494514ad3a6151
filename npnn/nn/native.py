"""The functions of nn as ``torch.NAME`` has them, where that is not ``torch.nn.functional.NAME``.

PyTorch offers some functions under both names with other arguments: ``train`` for ``training``, the table before the
indices, a number for the reduction (whose default is none).  Each is one call of the function in ``npnn.nn.functional``.
"""

from __future__ import annotations

from typing import Any

from npnn.nn import functional as F
from npnn.tensor import Tensor, _from_array

__all__ = [
    "alpha_dropout", "batch_norm", "cosine_embedding_loss", "dropout", "embedding", "embedding_bag", "group_norm",
    "hinge_embedding_loss", "instance_norm", "kl_div", "layer_norm", "margin_ranking_loss", "poisson_nll_loss",
]  # fmt: skip

REDUCTIONS = ("none", "mean", "sum")


def _reduction(number: int) -> str:
    if number not in (0, 1, 2):
        raise ValueError(f"{number!r} is not a valid value for reduction: 0 is none, 1 the mean, 2 the sum")
    return REDUCTIONS[number]


def dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Dropout with probability p, if ``train``: see npnn.nn.functional.dropout."""
    return F.dropout(input, p, train)


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Dropout that keeps mean and variance, if ``train``: see npnn.nn.functional.alpha_dropout."""
    return F.alpha_dropout(input, p, train)


def embedding(
    weight: Tensor, indices: Any, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """The rows ``indices`` of ``weight``: see npnn.nn.functional.embedding.  The padding index -1 is none."""
    return F.embedding(
        indices, weight, None if padding_idx == -1 else padding_idx, scale_grad_by_freq=scale_grad_by_freq,
        sparse=sparse,
    )  # fmt: skip


def embedding_bag(
    weight: Tensor,
    indices: Any,
    offsets: Any,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Tensor, ...]:
    """The sums (mode 0), means (1) or largest values (2) of bags of rows: see npnn.nn.functional.embedding_bag.

    PyTorch's has three more results, which say what was in each bag; here they are empty.
    """
    if mode not in (0, 1, 2):
        raise ValueError(f"mode must be 0 (sum), 1 (mean) or 2 (max), got {mode!r}")
    bags = F.embedding_bag(
        indices, weight, offsets, scale_grad_by_freq=scale_grad_by_freq, mode=("sum", "mean", "max")[mode],
        sparse=sparse, per_sample_weights=per_sample_weights, include_last_offset=include_last_offset,
        padding_idx=padding_idx,
    )  # fmt: skip
    nothing = _from_array(indices.array[:0])
    return bags, nothing, nothing, nothing


def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = False,
) -> Tensor:
    """Batch normalisation, weight and bias first: see npnn.nn.functional.batch_norm."""
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = False,
) -> Tensor:
    """Normalisation of each image by itself, weight and bias first: see npnn.nn.functional.instance_norm."""
    return F.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Normalisation over groups of channels: see npnn.nn.functional.group_norm."""
    return F.group_norm(input, num_groups, weight, bias, eps)


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """Normalisation over the last axes: see npnn.nn.functional.layer_norm."""
    return F.layer_norm(input, normalized_shape, weight, bias, eps)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """See npnn.nn.functional.cosine_embedding_loss.  ``reduction`` is 0 (none), 1 (mean) or 2 (sum)."""
    return F.cosine_embedding_loss(input1, input2, target, margin, reduction=_reduction(reduction))


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 0) -> Tensor:
    """See npnn.nn.functional.hinge_embedding_loss.  ``reduction`` is 0 (none), 1 (mean) or 2 (sum)."""
    return F.hinge_embedding_loss(input, target, margin, reduction=_reduction(reduction))


def kl_div(input: Tensor, target: Tensor, reduction: int = 0, *, log_target: bool = False) -> Tensor:
    """See npnn.nn.functional.kl_div.  ``reduction`` is 0 (none), 1 (the mean over all elements) or 2 (sum)."""
    return F.kl_div(input, target, reduction=_reduction(reduction), log_target=log_target)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """See npnn.nn.functional.margin_ranking_loss.  ``reduction`` is 0 (none), 1 (mean) or 2 (sum)."""
    return F.margin_ranking_loss(input1, input2, target, margin, reduction=_reduction(reduction))


def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int) -> Tensor:
    """See npnn.nn.functional.poisson_nll_loss.  ``reduction`` is 0 (none), 1 (mean) or 2 (sum)."""
    return F.poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=_reduction(reduction))
