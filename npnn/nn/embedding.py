"""Embedding: a table of vectors, one for each word, digit or symbol, looked up by number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.dtypes import of_parameters
from npnn.errors import DtypeError, ShapeError
from npnn.function import Function
from npnn.kernels.scatter import add_at
from npnn.nn import init
from npnn.nn.module import Module, Parameter
from npnn.tensor import Tensor, _from_array

__all__ = ["Embedding", "embedding", "one_hot"]


class Lookup(Function):
    """y = w[index].   index (...) of integers, w (V, D) -> y (..., D)

    Gradient: dw_v = the sum of dy over the places where index = v, or their mean if ``averaged``; nothing
    for v = ``padding_idx``.
    """

    def forward(
        self, w: NDArray[Any], index: NDArray[Any], padding_idx: int | None, averaged: bool = False
    ) -> NDArray[Any]:
        if self.needs_grad[0]:
            self.shape, self.index, self.padding_idx, self.averaged = w.shape, index, padding_idx, averaged
        return w[index]

    def backward(self, dy: NDArray[Any]) -> Any:
        dw = np.zeros(self.shape, dy.dtype)
        add_at(dw, self.index, dy)
        if self.averaged:
            dw /= np.maximum(np.bincount(self.index.ravel(), minlength=len(dw)), 1)[:, None].astype(dw.dtype)
        if self.padding_idx is not None:
            dw[self.padding_idx] = 0
        return dw, None

    def again(self, v: NDArray[Any]) -> NDArray[Any]:
        if self.averaged:
            v = v / np.maximum(np.bincount(self.index.ravel(), minlength=len(v)), 1)[:, None].astype(v.dtype)
        y = v[self.index]
        if self.padding_idx is not None:
            y[self.index == self.padding_idx % len(v)] = 0
        return y


def embedding(
    input: Any,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of ``weight`` that ``input`` names.   input (...) of integers, weight (V, D) -> (..., D)

    The row ``padding_idx`` gets no gradient.  Rows that are looked up and whose ``norm_type``-norm is
    above ``max_norm`` are shortened to it first, in place.  ``scale_grad_by_freq`` divides a row's
    gradient by the number of times it was looked up.

    Errors: DtypeError for indices that are not integers; IndexError, with the position, the value and
    the valid range, for one outside 0 .. V - 1; NotImplementedError for sparse gradients.
    """
    _refuse_sparse(sparse)
    if weight.ndim != 2:
        raise ShapeError(f"expected a weight of shape (rows, features), got {weight.shape}")
    V = len(weight.array)
    index = input.array if isinstance(input, Tensor) else np.asarray(input)
    if index.dtype.kind not in "iu":
        raise DtypeError(f"an embedding is looked up by integers, got {index.dtype}: input.long() casts")
    if index.size and not (index.min() >= 0 and index.max() < V):
        at = np.argwhere((index < 0) | (index >= V))[0]
        raise IndexError(
            f"index {index[tuple(at)]} at position {tuple(at.tolist())} is out of range: "
            f"an embedding of {V} rows has indices 0 to {V - 1}"
        )
    if max_norm is not None:
        _shorten(weight, index, max_norm, norm_type)
    return Lookup.apply(weight, index, padding_idx=_row(padding_idx, V), averaged=scale_grad_by_freq)


def _shorten(weight: Tensor, index: NDArray[Any], max_norm: float, norm_type: float) -> None:
    """Scale the rows that are looked up down to ``max_norm``, those that are longer."""
    rows = np.unique(index)
    norms = np.linalg.norm(weight.array[rows], norm_type, axis=1)
    long = norms > max_norm
    if long.any():
        weight.array[rows[long]] *= (max_norm / (norms[long] + 1e-7))[:, None]
        weight._mark_changed()


def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """1 at the position that each integer names, 0 elsewhere.   (...) -> (..., num_classes), int64

    ``num_classes=-1`` means the largest value plus one.

    Errors: RuntimeError for values that are not integers, a negative value or one beyond num_classes, and if
    there is nothing to infer num_classes from.
    """
    index = tensor.array if isinstance(tensor, Tensor) else np.asarray(tensor)
    if index.dtype.kind not in "iu":
        raise DtypeError(f"one_hot needs integers, got {index.dtype}: tensor.long() casts")
    if num_classes == -1:
        if not index.size:
            raise RuntimeError(
                "one_hot of an empty tensor needs num_classes: there is no largest value to infer it from"
            )
        num_classes = int(index.max()) + 1
    if num_classes < 1:
        raise RuntimeError(f"num_classes must be positive, or -1 to infer it, got {num_classes}")
    if index.size and not (index.min() >= 0 and index.max() < num_classes):
        bad = index[(index < 0) | (index >= num_classes)][0]
        raise RuntimeError(f"class {bad} is out of range: {num_classes} classes are numbered 0 to {num_classes - 1}")
    return _from_array((index[..., None] == np.arange(num_classes)).astype(np.int64))


def _row(padding_idx: int | None, rows: int) -> int | None:
    """``padding_idx`` counted from the start.  Errors: ValueError if there is no such row."""
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise ValueError(f"padding_idx={padding_idx} is not one of the {rows} rows")
    return padding_idx % rows


def _refuse_sparse(sparse: bool) -> None:
    if sparse:
        raise NotImplementedError("embedding: there are no sparse gradients, leave sparse=False")


class Embedding(Module):
    """y = weight[input].   input (...) of integers -> (..., embedding_dim)

    ``weight`` (num_embeddings, embedding_dim) starts from N(0, 1); its row ``padding_idx``, if given,
    starts at zero and gets no gradient.

    Errors: as for the function embedding.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        _refuse_sparse(sparse)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.padding_idx = _row(padding_idx, num_embeddings)
        if _weight is None:
            table = np.empty((num_embeddings, embedding_dim), of_parameters(device, dtype))
            self.weight = Parameter(table, requires_grad=not _freeze)
            self.reset_parameters()
        else:
            if _weight.shape != (num_embeddings, embedding_dim):
                raise ShapeError(f"expected a _weight of shape {(num_embeddings, embedding_dim)}, got {_weight.shape}")
            self.weight = Parameter(_weight, requires_grad=not _freeze)

    def reset_parameters(self) -> None:
        """Standard normal values, zeros in the row ``padding_idx``."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.array[self.padding_idx] = 0

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """An Embedding with these rows, not trained if ``freeze``.  It shares their memory."""
        if len(embeddings.shape) != 2:
            raise ShapeError(f"expected embeddings of shape (rows, features), got {tuple(embeddings.shape)}")
        rows, features = embeddings.shape
        return cls(
            rows, features, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse,
            _weight=embeddings, _freeze=freeze,
        )  # fmt: skip

    def forward(self, input: Any) -> Tensor:
        return embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq)

    def extra_repr(self) -> str:
        defaults = {"padding_idx": None, "max_norm": None, "norm_type": 2.0, "scale_grad_by_freq": False}
        changed = [f"{name}={getattr(self, name)}" for name, value in defaults.items() if getattr(self, name) != value]
        return ", ".join([str(self.num_embeddings), str(self.embedding_dim), *changed])
