"""A Tensor: an array that remembers which operation made it.

How a gradient finds its way back: each operation is a ``Function`` (``npnn.function``) that knows its own
derivative.  ``Function.apply`` computes the result and remembers which functions the inputs came from;
``Tensor.backward`` walks those links from the loss to the leaves (``npnn.engine``).

What a Tensor can do (``+``, ``@``, ``sum``, ``reshape``, ...) is defined in ``npnn.ops``, how it prints in
``npnn.printing``, ``backward`` in ``npnn.autograd``, hooks in ``npnn.hooks``, copies in ``npnn.copying``: they lend
it their methods.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from npnn import dtypes, memory
from npnn.device import CPU, check_device
from npnn.modes import clock
from npnn.views import _UNWATCHED, Size

__all__ = ["Size", "Tensor", "tensor"]


def _from_array(array: Any, node: tuple[Any, int] | None = None) -> Tensor:
    """A Tensor around an array that is known to be good: the constructor without its checks."""
    self = Tensor.__new__(Tensor)
    self.array = array if type(array) is np.ndarray else np.asarray(array)
    self._requires_grad = node is not None
    self._grad = None
    self._node = node
    self._view = None
    self._hooks = None
    return self


class Tensor:
    """An array that remembers how it was made, so that gradients can flow back through it.

    ``array`` is the NumPy array.  ``requires_grad`` marks a leaf (a weight) whose gradient is
    wanted; after ``loss.backward()`` it is in ``grad``, a Tensor of the same shape and dtype.

    As in PyTorch, ``Tensor(2, 3)`` is unset memory of that shape, and ``Tensor(data)`` a float32 copy whatever
    the data are.  ``npnn.tensor`` copies and keeps the dtype, ``npnn.from_numpy`` shares the array's memory.
    """

    __slots__ = ("__dict__", "__weakref__", "_grad", "_hooks", "_node", "_requires_grad", "_view", "array")

    if TYPE_CHECKING:  # npnn.ops lends a tensor its operators and all further methods
        __add__: Any
        __radd__: Any
        __iadd__: Any
        __sub__: Any
        __rsub__: Any
        __isub__: Any
        __mul__: Any
        __rmul__: Any
        __imul__: Any
        __truediv__: Any
        __rtruediv__: Any
        __mod__: Any
        __rmod__: Any
        __pow__: Any
        __rpow__: Any
        __matmul__: Any
        __neg__: Any
        __getitem__: Any
        __setitem__: Any

        def __getattr__(self, name: str) -> Any: ...

    array: NDArray[Any]
    _grad: Tensor | None
    _requires_grad: bool
    _node: tuple[Any, int] | None  # the function that made this tensor, and which output it is
    _view: Any  # a Cut if it is a view of another tensor, Unwatched if it came from .data, else None
    _hooks: list[Any] | None  # functions that see the gradient of this leaf

    def __init__(self, *data: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None):
        check_device(device)
        given = data[0] if data else ()
        if isinstance(given, Tensor):
            self.array = dtypes.as_array(given.array, dtype)
        elif type(self) is not Tensor:
            self.array = dtypes.as_array(given, dtype)
        elif len(data) > 1 or type(given) in (int, Size):
            self.array = np.empty(
                [operator.index(n) for n in (given if type(given) is Size else data)], dtypes.default_float()
            )
        else:
            self.array = np.array(dtypes.as_array(given), dtype or dtypes.default_float())
        self._grad = self._node = self._view = self._hooks = None
        self._requires_grad = False
        if requires_grad:
            self.requires_grad_()

    # ---- what it is

    @property
    def shape(self) -> Size:
        return Size(self.array.shape)

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def dtype(self) -> dtypes.dtype:
        return dtypes.OF[self.array.dtype]

    @property
    def device(self) -> Any:
        return CPU

    @property
    def is_leaf(self) -> bool:
        """True if no recorded operation made this tensor."""
        return self._current()._node is None

    @property
    def grad_fn(self) -> Any:
        """The function that made this tensor, None for a leaf."""
        node = self._current()._node
        return None if node is None else node[0]

    def _current(self) -> Tensor:
        """The tensor itself, its node made anew if it is a view of what was changed in place."""
        if self._view is not None:
            self._view.refresh(self)
        return self

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.array.shape[dim]

    def dim(self) -> int:
        return self.array.ndim

    def numel(self) -> int:
        return self.array.size

    def item(self) -> Any:
        """The single element as a Python number.  Errors: RuntimeError if there are several."""
        if self.array.size != 1:
            raise RuntimeError(f"a Tensor with {self.array.size} elements cannot be converted to Scalar")
        return self.array.item()

    def tolist(self) -> Any:
        return self.array.tolist()

    def numpy(self, *, force: bool = False) -> NDArray[Any]:
        """The array itself, not a copy.  Errors: RuntimeError for a tensor that requires a gradient, unless ``force``."""
        if self.requires_grad and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return self.array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        array = self.array if dtype is None else self.array.astype(dtype, copy=False)
        return array.copy() if copy else array

    def __len__(self) -> int:
        if not self.array.ndim:
            raise TypeError("len() of a 0-d tensor")
        return len(self.array)

    def __iter__(self) -> Iterator[Tensor]:
        if not self.array.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise RuntimeError(f"Boolean value of Tensor with {self.array.size} values is ambiguous")
        return bool(self.array.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.array.dtype.kind not in "iu":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __contains__(self, element: Any) -> bool:
        return bool((self.array == (element.array if isinstance(element, Tensor) else element)).any())

    def __format__(self, spec: str) -> str:
        return format(self.item() if not self.array.ndim else str(self), spec)

    __hash__ = object.__hash__  # == compares elements, yet a tensor can be a key

    # ---- gradients

    @property
    def requires_grad(self) -> bool:
        return self._current()._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward left here; None before."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"a gradient is a Tensor or None, not {type(value).__name__}")
            if value.array.shape != self.array.shape:
                raise RuntimeError(f"assigned grad has shape {value.shape}, the tensor {self.shape}")
            if value.array.dtype != self.array.dtype:
                raise RuntimeError(f"assigned grad has data of a different type: {value.dtype}, not {self.dtype}")
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def data(self) -> Tensor:
        """A tensor on the same memory, outside the graph, whose changes backward does not look for."""
        new = _from_array(self.array)
        new._view = _UNWATCHED
        return new

    @data.setter
    def data(self, value: Tensor) -> None:
        self.array = value.array

    def detach(self) -> Tensor:
        """The same memory, outside the graph."""
        return _from_array(self.array)

    def detach_(self) -> Tensor:
        """Cut this tensor from the graph that made it.  Errors: RuntimeError for a view."""
        if self._view is not None and self._view.base is not None:
            raise RuntimeError("Can't detach views in-place: use detach() instead")
        self._node, self._requires_grad = None, False
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        if requires_grad and self.array.dtype.kind != "f":
            raise RuntimeError(f"only Tensors of floating point dtype can require gradients, this one is {self.dtype}")
        if not self.is_leaf and not requires_grad:
            raise RuntimeError("you can only change requires_grad flags of leaf variables: use detach()")
        self._requires_grad = bool(requires_grad)
        return self

    def _accumulate(self, gradient: NDArray[Any]) -> None:
        """Add a gradient, an array that nobody else holds, to ``grad``."""
        if self._grad is None:
            self._grad = _from_array(gradient)
        elif self._grad._node is None:
            self._grad.array += gradient
        else:  # functions may have saved what it was
            self._grad = _from_array(self._grad.array + gradient)

    def _accumulate_recorded(self, gradient: Tensor) -> None:
        """The same of a gradient that is in the graph itself, and which others may hold."""
        self._grad = gradient.clone() if self._grad is None else self._grad + gradient

    def _mark_changed(self, operation: str = "an in-place operation") -> None:
        """Note that this tensor's memory was changed, so that backward can tell."""
        if self._view is None or self._view.watched:
            memory.note(self.array, next(clock), operation)

    @property
    def _version(self) -> int:
        """Grows with each in-place change of the memory."""
        return memory.time_of_change(self.array)

    @property
    def _base(self) -> Tensor | None:
        """The tensor that this one is a view of; None if it is none."""
        return None if self._view is None else self._view.base


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A new Tensor holding a copy of ``data``."""
    check_device(device)
    array = data.array if isinstance(data, Tensor) else dtypes.as_array(data, dtype)
    return of_array(np.array(array), dtype, requires_grad)


def of_array(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor around ``data``: an array's memory is shared and its dtype kept; Python floats become float32."""
    out = _from_array(dtypes.as_array(data, dtype))
    return out.requires_grad_() if requires_grad else out
