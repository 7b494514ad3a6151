"""The samples: how much each counts, and rows of sparse matrices as batches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import check_array

from npnn.data import Dataset, TensorDataset

__all__ = ["checked_weights", "dataset", "dense"]


def checked_weights(sample_weight: Any, by_class: NDArray[Any] | None, n: int) -> NDArray[Any] | None:
    """The samples' own weights times those of their classes, (n,) in float64; None if there are neither.

    Errors: ValueError for another shape, a negative or non-finite weight, or no weight above zero.
    """
    if sample_weight is None:
        weights = by_class
    else:
        weights = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
        if weights.shape != (n,):
            raise ValueError(f"sample_weight must have one weight for each of {n} samples, got shape {weights.shape}")
        if by_class is not None:
            weights = weights * by_class
    if weights is None:
        return None
    if weights.min() < 0:
        raise ValueError(f"the weight of a sample must not be negative, got {weights.min()}")
    if not weights.any():
        raise ValueError("the weights of all samples are zero")
    return weights


def dense(rows: Any) -> NDArray[Any]:
    """Rows of a sparse matrix as an array; an array as it is, but for one that cannot be written to.

    (Compiled kernels would be compiled anew for read-only arrays.)
    """
    if issparse(rows):
        return rows.toarray()
    return rows if rows.flags.writeable else rows.copy()


def dataset(X: Any, targets: NDArray[Any]) -> Dataset:
    """Pairs of a row of X and its target."""
    return _SparseRows(X, targets) if issparse(X) else TensorDataset(X, targets)


class _SparseRows(Dataset):
    """Rows of a sparse matrix, made dense a batch at a time."""

    in_arrays = True

    def __init__(self, X: Any, targets: NDArray[Any]):
        self.X, self.targets = X, targets

    def __len__(self) -> int:
        return len(self.targets)

    def gather(self, indices: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        return self.X[indices].toarray(), self.targets[indices]
