"""Inputs for a model that is to be exported: like the example, at any batch size, with ever other values."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.nn.module import Module
from npnn.nn.recurrent.networks import RNNBase
from npnn.onnx.table import ONNXError
from npnn.onnx.trace import leaves
from npnn.tensor import of_array

__all__ = ["Examples"]


class Examples:
    """``names`` of the arrays that the model takes, the batch's axis in each (``dims``), and the example's ``size``."""

    def __init__(self, model: Module, example: Any, batch_dim: int | Sequence[int] | None):
        self.args = example if isinstance(example, tuple) else (example,)
        parameters = list(inspect.signature(model.forward).parameters)
        parameters += [f"input_{i}" for i in range(len(parameters), len(self.args))]  # forward(self, *inputs)
        named = [leaf for name, arg in zip(parameters, self.args, strict=False) for leaf in leaves(arg, name)]
        self.names = [name for name, _ in named]
        self.arrays = [of_array(value).array for _, value in named]
        if batch_dim is None:
            batch_dim = 0
            if isinstance(model, RNNBase):  # (T, N, I) or (N, T, I), then states (layers, N, H)
                batch_dim = [int(i > 0 or not model.batch_first) for i in range(len(named))]
        self.dims = [batch_dim] * len(named) if isinstance(batch_dim, int) else list(batch_dim)
        if len(self.dims) != len(named):
            raise ValueError(f"batch_dim has {len(self.dims)} axes for {len(named)} inputs: {', '.join(self.names)}")
        self.size = self._size()

    def _size(self) -> int:
        sizes = {}
        for name, array, dim in zip(self.names, self.arrays, self.dims, strict=True):
            if not 0 <= dim < array.ndim:
                raise ONNXError(f"the input {name} of shape {array.shape} has no axis {dim} for the batch")
            sizes[name] = array.shape[dim]
        if len(set(sizes.values())) != 1 or 0 in sizes.values():
            raise ONNXError(f"expected one batch size of at least 1 for all inputs, got {sizes or 'no inputs'}")
        return next(iter(sizes.values()))

    def draw(self, size: int, trial: int = 0) -> tuple[tuple[Any, ...], list[NDArray[Any]]]:
        """The model's arguments at batch size ``size``, as it takes them, and the same arrays in a row.

        Whole numbers are the example's own in another order, as they may be indices; noise is added to
        others, so that what depends on their values is not the same at another size, or in another ``trial``.
        """
        rng = np.random.default_rng([size, trial])
        tensors = []
        for array, dim in zip(self.arrays, self.dims, strict=True):
            new = array.take(np.arange(size) % self.size, dim)
            new = rng.permutation(new.ravel()).reshape(new.shape)
            if new.dtype.kind == "f":
                new = new + rng.standard_normal(new.shape, new.dtype)
            tensors.append(of_array(new))
        rest = iter(tensors)
        return tuple(_filled(arg, rest) for arg in self.args), [t.array for t in tensors]


def _filled(tree: Any, tensors: Any) -> Any:
    """The next of the tensors in place of every leaf."""
    if isinstance(tree, (tuple, list)):
        return type(tree)([_filled(value, tensors) for value in tree])
    return {k: _filled(v, tensors) for k, v in tree.items()} if isinstance(tree, dict) else next(tensors)
