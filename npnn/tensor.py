"""All of automatic differentiation: a Tensor, a Function that knows its own derivative, and the walk back.

Each operation is a :class:`Function` with two methods.  ``forward`` takes arrays and returns an
array; ``backward`` takes the gradient of the loss with respect to that result and returns the
gradients with respect to the inputs: the chain rule, one link at a time.  ``Function.apply`` runs
forward and remembers which functions the inputs came from; ``Tensor.backward`` walks those links
from the loss to the leaves.

What a Tensor can do (``+``, ``@``, ``sum``, ``reshape``, ...) is defined in ``npnn.ops``.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npnn import dtypes
from npnn.autograd import clock, mode, walk

__all__ = ["Function", "Tensor", "tensor"]


class Function:
    """One differentiable operation, and, once applied, one node of the graph.

    A subclass writes ``forward(self, *arrays, **options)`` and ``backward(self, *grads)``.  The
    instance is the context: forward stores on ``self`` exactly what backward reads.  backward
    returns one gradient per input (a single array if there is one input), None where there is no
    derivative; ``self.needs_grad[i]`` says whether anyone wants the i-th.  It must not change its
    arguments nor return an array that it saved.  Summing over broadcast axes, adding up gradients
    of repeated use and checking shapes are the engine's work, not the op's.

    forward may return a tuple.  backward then gets one gradient per output, None for an output
    that the loss does not depend on.  Integer and boolean outputs carry no gradient.
    """

    # The engine's books are slots; all that an op saves lives in __dict__, dropped once used.
    __slots__ = ("__dict__", "__weakref__", "inputs", "needs_grad", "order", "outputs", "retained")

    inputs: Any  # per input (producer, output index), a leaf Tensor, or None; all None once freed
    needs_grad: Sequence[bool]
    order: int  # this function's time on the clock
    keeps_inputs = True  # False if no input's values are read by backward: they may change before it
    outputs: tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]  # shape and dtype of each
    retained: list[weakref.ref[Tensor]] | None  # outputs that asked to keep their gradient

    def forward(self, *arrays: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, *grads: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    @classmethod
    def apply(cls, *inputs: Any, **options: Any) -> Any:
        """Run forward on the inputs (Tensors, arrays, numbers or None); options pass through as they are."""
        if mode.observer is not None:
            return mode.observer(cls, inputs, options)
        node = cls()
        arrays: list[Any] = []
        needs: list[bool] = []
        sources: list[Any] = []
        recording = mode.enabled
        for x in inputs:
            if isinstance(x, Tensor):
                arrays.append(x.array)
                needs.append(recording and x.requires_grad)
                sources.append(x._node or x)
            else:
                arrays.append(x)
                needs.append(False)
                sources.append(None)
        node.needs_grad = needs
        result = node.forward(*arrays, **options)
        if True not in needs:
            return _wrap(result, None)
        node.inputs = sources
        node.order = next(clock)
        node.retained = None
        return _wrap(result, node)

    def _release(self) -> None:
        self.__dict__.clear()
        self.inputs = None


def _wrap(result: Any, node: Function | None) -> Any:
    """Make Tensors of what forward returned."""
    if type(result) is not tuple:
        if node is None:
            return _from_array(result)
        out = _from_array(result, (node, 0))
        node.outputs = ((out.array.shape, out.array.dtype),)
        return out
    if node is None:
        return tuple([_from_array(y) for y in result])
    node.outputs = tuple([(y.shape, y.dtype) for y in result])
    return tuple([_from_array(y, (node, i) if y.dtype.kind == "f" else None) for i, y in enumerate(result)])


def _from_array(array: Any, node: tuple[Function, int] | None = None) -> Tensor:
    """A Tensor around an array that is known to be good: the constructor without its checks."""
    self = Tensor.__new__(Tensor)
    self.array = array if type(array) is np.ndarray else np.asarray(array)
    self.requires_grad = node is not None
    self.grad = None
    self._node = node
    self._changed = 0
    return self


class Tensor:
    """An array that remembers how it was made, so that gradients can flow back through it.

    ``array`` is the NumPy array.  ``requires_grad`` marks a leaf (a weight) whose gradient is
    wanted; after ``loss.backward()`` it is in ``grad``, a Tensor of the same shape and dtype.

    Python floats become float32; NumPy arrays keep float32, float64, integer and boolean dtypes.
    """

    __slots__ = ("__weakref__", "_changed", "_node", "array", "grad", "requires_grad")
    __array_ufunc__ = None  # ndarray + Tensor is Tensor's business, not NumPy's element by element

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
    grad: Tensor | None
    requires_grad: bool
    _node: tuple[Function, int] | None  # the function that made this tensor, and which output it is
    _changed: int  # when it was last changed in place, on the clock of the functions

    def __init__(self, data: ArrayLike | Tensor, dtype: Any = None, requires_grad: bool = False):
        self.array = dtypes.as_array(data.array if isinstance(data, Tensor) else data, dtype)
        if requires_grad and self.array.dtype.kind != "f":
            raise RuntimeError(f"only floating-point tensors can require gradients, this one is {self.array.dtype}")
        self.requires_grad = requires_grad
        self.grad = None
        self._node = None
        self._changed = 0

    # ---- what it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def is_leaf(self) -> bool:
        """True if no recorded operation made this tensor."""
        return self._node is None

    @property
    def grad_fn(self) -> Function | None:
        """The function that made this tensor, None for a leaf."""
        return None if self._node is None else self._node[0]

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        return self.array.ndim

    def numel(self) -> int:
        return self.array.size

    def item(self) -> Any:
        """The single element as a Python number.  Errors: RuntimeError if there are several."""
        if self.array.size != 1:
            raise RuntimeError(f"a Tensor with {self.array.size} elements cannot be converted to a number")
        return self.array.item()

    def tolist(self) -> Any:
        return self.array.tolist()

    def numpy(self) -> NDArray[Any]:
        """The array itself, not a copy.  Errors: RuntimeError for a tensor that requires a gradient."""
        if self.requires_grad:
            raise RuntimeError("numpy() on a Tensor that requires a gradient: call detach().numpy() instead")
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
        return (self[i] for i in range(len(self.array)))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.array.dtype.kind not in "iu":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    __hash__ = object.__hash__  # == compares elements, yet a tensor can be a key

    def __repr__(self) -> str:
        text = np.array2string(self.array, separator=", ", precision=4, prefix="tensor(")
        notes = "" if self.array.dtype.name in ("float32", "int64", "bool") else f", dtype={self.array.dtype}"
        if self._node is not None:
            notes += f", grad_fn=<{type(self._node[0]).__name__}>"
        elif self.requires_grad:
            notes += ", requires_grad=True"
        return f"tensor({text}{notes})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise RuntimeError("only leaf tensors can be deep-copied: detach() first")
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.array, new.requires_grad = self.array.copy(order="K"), self.requires_grad
        new.grad = None if self.grad is None else _from_array(self.grad.array.copy(order="K"))
        new._node, new._changed = None, 0
        return new

    def __reduce__(self) -> Any:
        if self._node is not None:
            raise RuntimeError("only leaf tensors can be pickled: detach() first")
        return _restored, (type(self), self.array, self.requires_grad)

    # ---- gradients

    @property
    def data(self) -> Tensor:
        """A tensor on the same memory, outside the graph, whose changes nobody watches; to assign is to replace it."""
        return _from_array(self.array)

    @data.setter
    def data(self, value: Tensor) -> None:
        self.array = value.array

    def detach(self) -> Tensor:
        """The same array, outside the graph."""
        return _from_array(self.array)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        if requires_grad and self.array.dtype.kind != "f":
            raise RuntimeError(f"only floating-point tensors can require gradients, this one is {self.array.dtype}")
        if self._node is not None and not requires_grad:
            raise RuntimeError("only a leaf can stop requiring a gradient: use detach()")
        self.requires_grad = requires_grad
        return self

    def retain_grad(self) -> None:
        """Keep the gradient of this intermediate tensor, too, when backward passes through it."""
        if not self.requires_grad:
            raise RuntimeError("retain_grad() on a tensor that does not require a gradient")
        if self._node is not None:
            node = self._node[0]
            node.retained = [*(node.retained or []), weakref.ref(self)]

    def backward(self, gradient: ArrayLike | Tensor | None = None, retain_graph: bool = False) -> None:
        """Add d(self)/d(leaf) to ``leaf.grad`` for every leaf that this tensor was computed from.

        ``gradient`` is d(loss)/d(self), needed unless ``self`` has one element.  What the functions
        saved is freed on the way unless ``retain_graph``.
        Errors: RuntimeError if there is no graph, or it was freed, or a saved leaf changed since.
        """
        if not self.requires_grad:
            raise RuntimeError("backward() on a tensor that does not require a gradient and has no graph behind it")
        if gradient is None:
            if self.array.size != 1:
                raise RuntimeError(
                    f"backward() without a gradient needs a single number, this tensor has shape {self.shape}: "
                    "reduce it (.sum(), .mean()) or pass gradient="
                )
            dy = np.empty_like(self.array)
            dy.fill(1)
        else:
            dy = np.array(gradient.array if isinstance(gradient, Tensor) else gradient, self.array.dtype)
            if dy.shape != self.shape:
                raise RuntimeError(f"the gradient has shape {dy.shape}, the tensor {self.shape}")
        if self._node is None:
            self._accumulate(dy)
        else:
            walk(self._node, dy, retain_graph)

    def _accumulate(self, gradient: NDArray[Any]) -> None:
        """Add a gradient, an array that nobody else holds, to ``grad``."""
        if self.grad is None:
            self.grad = _from_array(gradient)
        else:
            self.grad.array += gradient

    # ---- in-place changes: allowed on leaves outside the graph, where they cannot falsify a gradient

    def _check_in_place(self) -> None:
        if self._node is not None or (self.requires_grad and mode.enabled):
            raise RuntimeError(
                "in-place change of a tensor that takes part in the graph: write y = x + 1 instead of x += 1, "
                "or, to change a weight by hand, do it inside `with no_grad():`"
            )

    def _mark_changed(self) -> None:
        self._changed = next(clock)

    def copy_(self, source: ArrayLike | Tensor) -> Tensor:
        """Overwrite the elements with those of ``source`` (broadcast and cast if need be)."""
        self._check_in_place()
        np.copyto(self.array, np.asarray(source.array if isinstance(source, Tensor) else source), casting="same_kind")
        self._mark_changed()
        return self

    def fill_(self, value: float) -> Tensor:
        """Set every element to ``value``."""
        return self.copy_(np.asarray(value, self.array.dtype))

    def zero_(self) -> Tensor:
        return self.fill_(0)


def _restored(kind: type[Tensor], data: NDArray[Any], requires_grad: bool) -> Tensor:
    """A Tensor or a Parameter out of a pickle."""
    self = kind(data)
    self.requires_grad = requires_grad
    return self


def tensor(data: ArrayLike | Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A new Tensor holding a copy of ``data``."""
    return Tensor(
        np.array(data.array if isinstance(data, Tensor) else dtypes.as_array(data, dtype)), dtype, requires_grad
    )
