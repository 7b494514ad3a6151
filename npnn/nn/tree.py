"""A tree of modules: its children, parameters and buffers, and how to walk them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from npnn.tensor import Tensor

__all__ = ["Parameter", "Tree", "UninitializedParameter", "join"]


class Parameter(Tensor):
    """A Tensor that a Module owns and an optimiser trains."""

    __slots__ = ()

    def __init__(self, data: Any = (), requires_grad: bool = True):
        super().__init__(data, requires_grad=requires_grad)


class UninitializedParameter(Parameter):
    """A Parameter of a lazy layer before its first input: it has a dtype, and no shape yet.

    Errors: ValueError for whatever else is asked of it.
    """

    __slots__ = ()

    def __init__(self, dtype: Any):
        self.__dict__["dtype"] = dtype
        self._grad = self._node = self._hooks = self._view = None
        self._requires_grad = True

    @property
    def array(self) -> Any:  # type: ignore[override]  # takes the place of the memory that is not there
        raise ValueError(
            "this parameter has no shape yet: its layer is lazy and reads its width from the first input; "
            "call the model once on a batch before this"
        )

    @property
    def dtype(self) -> Any:
        return self.__dict__["dtype"]

    @property  # type: ignore[misc]  # read only, other than the memory of a tensor
    def data(self) -> Any:
        """No elements: what is written into them is lost, as in PyTorch, and this says so."""
        warnings.warn(
            "this parameter has no shape yet, and what is written into its data is lost (in PyTorch, too): its layer "
            "is lazy and draws its weights at the first input; set them after that",
            stacklevel=2,
        )
        return Tensor(np.empty(0, self.dtype))

    def cast(self, dtype: Any) -> None:
        """What ``Module.to`` does to a parameter, once there will be one."""
        self.__dict__["dtype"] = dtype

    def become(self, p: Parameter) -> None:
        """Turn into ``p``, with its memory; whether it is trained stays as it was set."""
        del self.__dict__["dtype"]
        self.__class__ = Parameter  # type: ignore[assignment]
        self.array = p.array  # type: ignore[misc]

    def __repr__(self) -> str:
        return "<UninitializedParameter>"


class Tree:
    """What a Module is apart from its forward: the attributes that are modules, parameters or buffers.

    There is no second register to keep in step.  Arrays that are saved but not trained (running means) are
    named by ``register_buffer``.
    """

    _buffer_names: tuple[str, ...] = ()
    _non_persistent: frozenset[str] = frozenset()

    @property
    def _parameters(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Parameter)}

    @property
    def _modules(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Tree)}

    @property
    def _buffers(self) -> dict[str, Any]:
        return {name: vars(self)[name] for name in self._buffer_names}

    def register_module(self, name: str, module: Any) -> None:
        setattr(self, name, module)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Make ``tensor`` part of the state (saved with the weights if ``persistent``), not trained."""
        if name not in self._buffer_names:
            self._buffer_names = (*self._buffer_names, name)
        if not persistent:
            self._non_persistent = self._non_persistent | {name}
        setattr(self, name, tensor)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        setattr(self, name, param)

    def add_module(self, name: str, module: Any) -> None:
        setattr(self, name, module)

    def named_children(self) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for name, value in vars(self).items():
            if isinstance(value, Tree) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Any]:
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Any]]:
        """Every module of the tree with its dotted path, this one first."""
        seen: set[int] = set()
        stack = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if id(module) in seen:
                continue
            if remove_duplicate:
                seen.add(id(module))
            yield path, module
            below = [(join(path, n), m) for n, m in vars(module).items() if isinstance(m, Tree)]
            stack.extend(reversed(below))

    def modules(self) -> Iterator[Any]:
        return (module for _, module in self.named_modules())

    def _named_tensors(self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool = True) -> Iterator[Any]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]:
            for name, value in vars(module).items():
                if kind == "parameter":
                    wanted = isinstance(value, Parameter)
                else:
                    wanted = name in module._buffer_names and value is not None
                if wanted and id(value) not in seen:
                    if remove_duplicate:
                        seen.add(id(value))
                    yield join(path, name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        return self._named_tensors("parameter", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        return self._named_tensors("buffer", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Any:
        """The module at a dotted path.  Errors: AttributeError if there is none."""
        module: Any = self
        for name in target.split(".") if target else []:
            module = getattr(module, name, None)
            if not isinstance(module, Tree):
                raise AttributeError(f"{type(self).__name__} has no submodule {target!r} (nothing at {name!r})")
        return module

    def set_submodule(self, target: str, module: Any, strict: bool = False) -> None:
        """Put a module at a dotted path.   Errors: ValueError for an empty path; AttributeError if the way there ends."""
        path, _, name = target.rpartition(".")
        if not name:
            raise ValueError("Cannot set the submodule without a target name!")
        above = self.get_submodule(path)
        if strict and not isinstance(getattr(above, name, None), Tree):
            raise AttributeError(f"{type(above).__name__} has no submodule {name!r} to replace")
        setattr(above, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path.  Errors: AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        found = getattr(self.get_submodule(path), name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"{target!r} is not a parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path.  Errors: AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if name not in module._buffer_names:
            raise AttributeError(f"{target!r} is not a buffer")
        return getattr(module, name)


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
