"""What stays and what grows when the batch does: two runs of a model, at two batch sizes, made into one.

A number that is the same in both runs is a constant.  One that is 3 times the batch size in both is
``Batch(3)``, and will be so at any batch size.  Any other cannot be written down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.onnx.table import ONNXError

__all__ = ["Batch", "Join", "Repeated", "Size", "Value"]


@dataclass(frozen=True)
class Batch:
    """A size that is ``times`` times the batch size."""

    times: int


Size = int | Batch


@dataclass(frozen=True)
class Value:
    """An array that the graph computes, holds or is given."""

    name: str
    shape: tuple[Size, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Repeated:
    """A constant that is as long as the batch along some axes, on which nothing changes."""

    array: NDArray[Any]  # of size 1 along those
    shape: tuple[Size, ...]


@dataclass(frozen=True)
class Join:
    """Makes one of what two runs, at the batch sizes ``n`` and ``m``, have at the same place.

    ``known`` has, for each run, the Values of arrays by identity.
    """

    n: int
    m: int
    known: tuple[dict[int, Value], dict[int, Value]]

    def __call__(self, a: Any, b: Any) -> Any:
        """The common form of a, of the first run, and b, of the second.

        Arrays of the graph become Values, sizes that grow Batch; whatever else is equal stays.
        Errors: ONNXError if they differ in another way.
        """
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            return self._arrays(a, b)
        if type(a) is not type(b):
            raise ONNXError(f"it got {a!r} at batch size {self.n} and {b!r} at {self.m}")
        if isinstance(a, (tuple, list)):
            if len(a) != len(b):
                raise ONNXError(f"it got {len(a)} values at batch size {self.n} and {len(b)} at {self.m}")
            common = [self(x, y) for x, y in zip(a, b, strict=True)]
            return type(a)(*common) if hasattr(a, "_fields") else type(a)(common)
        if isinstance(a, dict):
            return {key: self(value, b[key]) for key, value in a.items()}
        if isinstance(a, slice):
            return slice(*(self(getattr(a, end), getattr(b, end)) for end in ("start", "stop", "step")))
        if isinstance(a, (int, np.integer)) and not isinstance(a, bool):
            return self.size(int(a), int(b))
        if a is b or a == b or a != a:
            return a
        raise ONNXError(
            f"it got {a} for one input and {b} for another: a number depends on the input in a way that is not recorded"
        )

    def know(self, name: str | Value, a: NDArray[Any], b: NDArray[Any]) -> Value:
        """The arrays a, of the first run, and b, of the second, are this Value, or one of this name."""
        value = name if isinstance(name, Value) else Value(name, self.shape(a, b), a.dtype)
        self.known[0][id(a)] = self.known[1][id(b)] = value
        return value

    def size(self, a: int, b: int) -> Size:
        """A whole number of both runs.  Errors: ONNXError unless it is constant or a multiple of the batch size."""
        if a == b:
            return a
        if a * self.m == b * self.n and a % self.n == 0:
            return Batch(a // self.n)
        raise ONNXError(
            f"a size was {a} at batch size {self.n} and {b} at {self.m}; only those that stay "
            "as they are, or are a multiple of the batch size, can be written down"
        )

    def shape(self, a: NDArray[Any], b: NDArray[Any]) -> tuple[Size, ...]:
        if a.ndim != b.ndim:
            raise ONNXError(f"an array had the shape {a.shape} at batch size {self.n} and {b.shape} at {self.m}")
        return tuple(self.size(x, y) for x, y in zip(a.shape, b.shape, strict=True))

    def _arrays(self, a: NDArray[Any], b: NDArray[Any]) -> Any:
        first, second = self.known[0].get(id(a)), self.known[1].get(id(b))
        if first is not None or second is not None:
            if first is not second:
                raise ONNXError(f"its input is another at batch size {self.n} than at {self.m}")
            return first
        shape = self.shape(a, b)
        grows = tuple(i for i, size in enumerate(shape) if isinstance(size, Batch))
        one = tuple(slice(0, 1) if i in grows else slice(None) for i in range(a.ndim))
        same = all(np.array_equal(np.broadcast_to(a[one], x.shape), x, equal_nan=x.dtype.kind == "f") for x in (a, b))
        if not same:
            raise ONNXError(
                f"an array of shape {a.shape} depends on the input, or on chance, in a way that is not recorded "
                "(sign, one_hot, sort, .array and .numpy() are not)"
            )
        return Repeated(a[one], shape) if grows else a
