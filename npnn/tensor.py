"""All of automatic differentiation: a Tensor, a Function that knows its own derivative, and the walk back.

Each operation is a :class:`Function` with two methods.  ``forward`` takes arrays and returns an
array; ``backward`` takes the gradient of the loss with respect to that result and returns the
gradients with respect to the inputs: the chain rule, one link at a time.  ``Function.apply`` runs
forward and remembers which functions the inputs came from; ``Tensor.backward`` walks those links
from the loss to the leaves.

What a Tensor can do (``+``, ``@``, ``sum``, ``reshape``, ...) is defined in ``npnn.ops``, how it prints in
``npnn.printing``, ``backward`` in ``npnn.autograd``: they lend it their methods.
"""

from __future__ import annotations

import math
import operator
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from npnn import dtypes, memory
from npnn.device import CPU, check_device
from npnn.engine import clock, mode

__all__ = ["Function", "Handle", "Size", "Tensor", "View", "tensor"]


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

    PyTorch's own form works as well: static methods ``forward(ctx, ...)`` and ``backward(ctx, ...)``
    of tensors, with ``ctx.save_for_backward`` (see ``npnn.static_function``).
    """

    # The engine's books are slots; all that an op saves lives in __dict__, dropped once used.
    __slots__ = ("__dict__", "__weakref__", "inputs", "needs_grad", "order", "outputs", "watchers")

    inputs: Any  # per input (producer, output index), a leaf Tensor, or None; all None once freed
    needs_grad: Sequence[bool]
    order: int  # this function's time on the clock
    outputs: tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]  # shape and dtype of each
    watchers: (
        list[tuple[int, Callable[[NDArray[Any]], NDArray[Any]]]] | None
    )  # (output, sees and may change its gradient)

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
                if x._view is not None:
                    x._view.refresh(x)
                arrays.append(x.array)
                needs.append(recording and x._requires_grad)
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
        node.watchers = None
        return _wrap(result, node)

    def name(self) -> str:
        """What torch would call this node, as far as the names agree: MulBackward0."""
        return f"{type(self).__name__.removesuffix('Function')}Backward0"

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that the inputs came from; a leaf stands for itself."""
        return tuple([s if type(s) is tuple else (s, 0) for s in self.inputs or () if s is not None])

    def _release(self) -> None:
        self.__dict__.clear()
        self.inputs = None


class View(Function):
    """An operation whose result looks at the memory of its first input, where NumPy can do it without copying.

    Such a result knows its base, so that a change of either is seen, and differentiated, by both.
    """

    several = False  # True if one call cuts several views, which PyTorch lets nobody change in place

    @classmethod
    def apply(cls, x: Any, *args: Any, **options: Any) -> Any:
        y = super().apply(x, *args, **options)
        if isinstance(x, Tensor) and memory.owner(y.array) is memory.owner(x.array):
            if x._view is None:
                y._view = Cut(x, mode.enabled)
            else:
                y._view = x._view.again()
        return y


class Cut:
    """How a tensor that is a view knows where it was cut from.

    ``seen`` is the base's node at the time of the cut.  When the base has another one, it was changed
    in place, and the view's own node is made anew from it at its next use (``refresh``).
    """

    __slots__ = ("base", "recorded", "seen", "several")

    watched = True  # a change through this view is noted
    cut_anew: Any  # lent by npnn.inplace: gives a view a node made from its base as it is now

    def __init__(self, base: Tensor, recorded: bool):
        self.base, self.recorded, self.seen, self.several = base, recorded, base._node, False

    def again(self) -> Cut:
        """The same base, for a view of the view."""
        new = Cut(self.base, self.recorded and mode.enabled)
        new.several = self.several
        return new

    def refresh(self, view: Tensor) -> None:
        if self.seen is not self.base._node and self.recorded:
            self.seen = self.base._node
            self.cut_anew(self.base, view)


class Unwatched:
    """In place of a Cut: this tensor came from ``.data``, and what is done to it is its user's business."""

    watched, recorded, several, base = False, False, False, None

    def again(self) -> Unwatched:
        return self

    def refresh(self, view: Tensor) -> None:
        pass


_UNWATCHED = Unwatched()


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
    _grad: Tensor | None
    _requires_grad: bool
    _node: tuple[Function, int] | None  # the function that made this tensor, and which output it is
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
    def grad_fn(self) -> Function | None:
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

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
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

    def __reduce__(self) -> Any:
        if not self.is_leaf:
            raise RuntimeError("only leaf tensors can be pickled: detach() first")
        order = sorted(range(self.array.ndim), key=lambda a: -self.array.strides[a])  # kept: kernels count on it
        return _restored, (type(self), self.array.transpose(order), self._requires_grad, np.argsort(order).tolist())

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

    def retain_grad(self) -> None:
        """Keep the gradient of this intermediate tensor, too, when backward passes through it."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self._node is not None:
            me = weakref.ref(self)

            def keep(gradient: NDArray[Any]) -> NDArray[Any]:
                tensor = me()
                if tensor is not None:
                    tensor._accumulate(gradient.copy("K"))
                return gradient

            self._watch(keep)

    def _watch(self, watcher: Callable[[NDArray[Any]], NDArray[Any]]) -> tuple[list[Any], Any]:
        """Let ``watcher`` see this tensor's gradient in backward, and return what is to go on in its place."""
        node, index = self._node  # type: ignore[misc]
        if node.watchers is None:
            node.watchers = []
        entry = index, watcher
        node.watchers.append(entry)
        return node.watchers, entry

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Call ``hook(gradient)`` when this tensor's gradient is known; what it returns, if not None, replaces it."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")

        def watcher(gradient: NDArray[Any]) -> NDArray[Any]:
            replaced = hook(_from_array(gradient))
            return gradient if replaced is None else np.asarray(replaced, gradient.dtype)

        if self._node is not None:
            return Handle(*self._watch(watcher))
        self._hooks = self._hooks or []
        self._hooks.append(watcher)
        return Handle(self._hooks, watcher)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> Handle:
        """Call ``hook(tensor)`` each time that backward has added to this leaf's gradient."""
        if self._node is not None:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        self._hooks = self._hooks or []
        entry = _AfterAccumulation(hook)
        self._hooks.append(entry)
        return Handle(self._hooks, entry)

    def _accumulate(self, gradient: NDArray[Any]) -> None:
        """Add a gradient, an array that nobody else holds, to ``grad``."""
        if self._grad is None:
            self._grad = _from_array(gradient)
        else:
            self._grad.array += gradient

    def _accumulate_through_hooks(self, gradient: NDArray[Any]) -> None:
        after = []
        for hook in list(self._hooks or ()):
            if isinstance(hook, _AfterAccumulation):
                after.append(hook)
            else:
                gradient = hook(gradient)
        self._accumulate(gradient)
        for hook in after:
            hook.function(self)

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


class Size(tuple[int, ...]):
    """The sizes of the axes: a tuple that prints as torch's does and counts elements."""

    __slots__ = ()

    def numel(self) -> int:
        return math.prod(self)

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"


class Handle:
    """What registering a hook returns: ``remove()`` takes the hook away; as a context it does so at the end."""

    def __init__(self, hooks: Any, entry: Any):
        self.hooks, self.entry = hooks, entry

    def remove(self) -> None:
        if isinstance(self.hooks, dict):
            self.hooks.pop(self.entry, None)
        elif any(h is self.entry for h in self.hooks):
            self.hooks[:] = [h for h in self.hooks if h is not self.entry]

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class _AfterAccumulation:
    def __init__(self, function: Callable[[Tensor], None]):
        self.function = function


def _restored(kind: type[Tensor], array: NDArray[Any], requires_grad: bool, axes: Any = None) -> Tensor:
    """A Tensor or a Parameter out of a pickle."""
    self = kind.__new__(kind)
    Tensor.__init__(self, of_array(array if axes is None else array.transpose(axes)))
    self._requires_grad = requires_grad
    return self


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
