"""Class labels and the scores they belong to: shapes, dtypes, and errors that name the label at fault."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.errors import DtypeError, ShapeError
from npnn.tensor import Tensor

__all__ = ["as_rows", "class_indices", "class_weight", "from_rows", "out_of_range", "rows_of", "tensor_of"]


def as_rows(x: NDArray[Any]) -> NDArray[Any]:
    """(C,), (N, C) or (N, C, d1, ...) -> (M, C) with contiguous rows; no copy of channels-last images."""
    if x.ndim != 2:
        x = x[None] if x.ndim == 1 else np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
    return x if x.flags.c_contiguous else np.ascontiguousarray(x)


def from_rows(rows: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The way back: (M, C) -> (C,), (N, C) or (N, C, d1, ...), as a view."""
    if len(shape) <= 2:
        return rows.reshape(shape)
    return np.moveaxis(rows.reshape(shape[0], *shape[2:], shape[1]), -1, 1)


def rows_of(x: Tensor) -> Tensor:
    """as_rows of a tensor, recorded."""
    if x.ndim == 2:
        return x
    return x.unsqueeze(0) if x.ndim == 1 else x.movedim(1, -1).reshape(-1, x.array.shape[1])


def tensor_of(rows: Tensor, shape: tuple[int, ...]) -> Tensor:
    """from_rows of a tensor, recorded."""
    if len(shape) <= 2:
        return rows.reshape(shape)
    return rows.reshape(shape[0], *shape[2:], shape[1]).movedim(-1, 1)


def class_indices(x: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
    """Class indices for x (N, C, *) as int64 (M,).  Errors: see cross_entropy."""
    if x.ndim == 1 and target.ndim == 0:
        x, target = x[None], target[None]
    if x.ndim < 2 or target.shape != x.shape[:1] + x.shape[2:] or target.dtype.kind not in "iu" or x.dtype.kind != "f":
        _refuse(x, target)
    if target.dtype != np.int64:
        target = target.astype(np.int64)
    return target if target.ndim == 1 and target.flags.c_contiguous else np.ascontiguousarray(target.reshape(-1))


def _refuse(x: NDArray[Any], target: NDArray[Any]) -> None:
    """Say what is wrong with a target that cannot hold the classes of x."""
    if x.ndim == 0:
        raise ShapeError("expected scores of shape (C,), (N, C) or (N, C, d1, ...), got a single number")
    if x.dtype.kind != "f":
        raise DtypeError(f"scores must be floating-point numbers, got {x.dtype}")
    wanted = () if x.ndim == 1 else x.shape[:1] + x.shape[2:]
    if target.shape == wanted:
        raise DtypeError(
            f"class indices must be integers, got {target.dtype}: cast them with .long(); "
            "probabilities must have the shape of the scores"
        )
    hint = ""
    if target.shape == x.shape:
        hint = "; one-hot rows: pass target.argmax(1), or target.float() to have them read as probabilities"
    elif x.ndim > 2 and target.shape == x.shape[:-1]:
        order = (0, x.ndim - 1, *range(1, x.ndim - 1))
        hint = f"; if the last axis of the scores is that of the classes, put it second with x.permute{order}"
    elif target.ndim == x.ndim and math.prod(target.shape) == math.prod(wanted):
        hint = "; remove the axis of size 1 with target.squeeze()"
    raise ShapeError(
        f"expected class indices of shape {wanted} for scores of shape {x.shape}, got {target.shape}{hint}"
    )


def out_of_range(target: NDArray[Any], position: int, classes: int, ignore_index: int) -> None:
    where = tuple(int(i) for i in np.unravel_index(position, target.shape)) if target.ndim else ()
    raise IndexError(
        f"target {int(target.flat[position])} at position {where[0] if len(where) == 1 else where} is out of range: "
        f"classes are 0 to {classes - 1} (ignore_index is {ignore_index})"
    )


def class_weight(weight: NDArray[Any] | None, x: NDArray[Any]) -> NDArray[Any]:
    """The weight of each class in x's dtype; an empty array says that all weigh the same."""
    if weight is None:
        return np.empty(0, x.dtype)
    classes = x.shape[0] if x.ndim == 1 else x.shape[1]
    if weight.shape != (classes,):
        raise ShapeError(f"expected a weight for each of {classes} classes, got shape {weight.shape}")
    return np.ascontiguousarray(weight, x.dtype)
