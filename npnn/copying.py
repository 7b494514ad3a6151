"""How a tensor is copied and pickled: as a leaf, with its memory in the order in which it lies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.tensor import Tensor, _from_array, of_array


def _deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    if id(self) in memo:
        return memo[id(self)]
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol "
            "at the moment: detach() first"
        )
    new = type(self).__new__(type(self))
    memo[id(self)] = new
    new.array, new._requires_grad = self.array.copy(order="K"), self._requires_grad
    new._grad = None if self._grad is None else _from_array(self._grad.array.copy(order="K"))
    new._node = new._view = new._hooks = None
    return new


def _reduce(self: Tensor) -> Any:
    if not self.is_leaf:
        raise RuntimeError("only leaf tensors can be pickled: detach() first")
    order = sorted(range(self.array.ndim), key=lambda a: -self.array.strides[a])  # kept: kernels count on it
    return _restored, (type(self), self.array.transpose(order), self._requires_grad, np.argsort(order).tolist())


def _restored(kind: type[Tensor], array: NDArray[Any], requires_grad: bool, axes: Any = None) -> Tensor:
    """A Tensor or a Parameter out of a pickle."""
    self = kind.__new__(kind)
    Tensor.__init__(self, of_array(array if axes is None else array.transpose(axes)))
    self._requires_grad = requires_grad
    return self


Tensor.__deepcopy__ = _deepcopy  # type: ignore[attr-defined]
Tensor.__reduce__ = _reduce  # type: ignore[method-assign, assignment]
