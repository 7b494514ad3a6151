"""Modules that hold modules: in a row, in a list, in a dict."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from itertools import groupby
from textwrap import indent
from typing import Any, overload

from npnn.nn.module import Module
from npnn.tensor import Tensor

__all__ = ["DataParallel", "ModuleDict", "ModuleList", "Sequential"]


class _Row(Module):
    """What Sequential and ModuleList share: children named "0", "1", ... (or as given), used like a list."""

    def _children(self) -> dict[str, Any]:
        """Name -> child, in order; a module that was given twice appears twice."""
        return {name: m for name, m in vars(self).items() if isinstance(m, Module) or (m is None and name.isdigit())}

    def _checked(self, module: Any) -> Any:
        return _checked(module)

    def _replace(self, modules: Iterable[Module]) -> None:
        """Hold these modules instead, numbered afresh."""
        modules = [self._checked(m) for m in modules]
        for name in self._children():
            delattr(self, name)
        for i, module in enumerate(modules):
            setattr(self, str(i), module)

    def _name(self, index: int) -> str:
        names = list(self._children())
        if not -len(names) <= index < len(names):
            raise IndexError(f"index {index} is out of range for {len(names)} modules")
        return names[index]

    def __len__(self) -> int:
        return len(self._children())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._children().values())

    def __contains__(self, module: Any) -> bool:
        return any(m is module for m in self)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Any: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._of(list(self._children().items())[index])
        return vars(self)[self._name(index)]

    def _of(self, items: list[tuple[str, Module]]) -> Any:
        raise NotImplementedError

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name(index), self._checked(module))

    def __delitem__(self, index: int | slice) -> None:
        kept = list(self)
        if isinstance(index, int):
            self._name(index)
        del kept[index]
        self._replace(kept)

    def append(self, module: Module) -> Any:
        """Add a module at the end."""
        setattr(self, str(len(self)), self._checked(module))
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add several modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Put a module before the one at ``index``; the later ones move up by one."""
        modules = list(self)
        modules.insert(index, module)
        self._replace(modules)
        return self

    def pop(self, key: int | slice) -> Any:
        """Take a module out and return it."""
        module = self[key]
        del self[key]
        return module

    def __iadd__(self, modules: Iterable[Module]) -> Any:
        return self.extend(modules)

    def __add__(self, modules: Iterable[Module]) -> Any:
        return type(self)().extend([*self, *modules])


class Sequential(_Row):
    """Each module's output is the next one's input: Sequential(a, b)(x) = b(a(x)).

    Takes modules, or one OrderedDict of names and modules.  A slice is a Sequential of the same modules.
    """

    def __init__(self, *args: Any):
        named = args[0].items() if len(args) == 1 and isinstance(args[0], Mapping) else enumerate(args)
        for name, module in named:
            self.add_module(str(name), _checked(module))

    def forward(self, input: Tensor) -> Tensor:
        for module in vars(self).values():
            if isinstance(module, Module):
                input = module(input)
        return input

    def _of(self, items: list[tuple[str, Module]]) -> Sequential:
        return type(self)(OrderedDict(items))

    def __mul__(self, times: int) -> Sequential:
        """The same modules (not copies) several times in a row."""
        if not isinstance(times, int) or times < 1:
            raise ValueError(f"a Sequential can be repeated 1, 2, ... times, not {times!r}")
        return Sequential(*list(self) * times)

    __rmul__ = __mul__


class ModuleList(_Row):
    """A list of modules that belong to the model.  It has no forward: the owner decides how to call them.

    None may stand for a module that is not there.
    """

    def _checked(self, module: Any) -> Any:
        return None if module is None else _checked(module)

    def __init__(self, modules: Iterable[Module] | None = None):
        self.extend(modules or ())

    def _of(self, items: list[tuple[str, Module]]) -> ModuleList:
        return type(self)([module for _, module in items])

    def __repr__(self) -> str:
        """As every module, but with equal neighbours on one line: (0-2): 3 x Linear(...)."""
        lines, first = [], 0
        for text, group in groupby(map(repr, self)):
            n = len(list(group))
            label = f"({first}): " if n == 1 else f"({first}-{first + n - 1}): {n} x "
            lines.append(indent(label + text, "  "))
            first += n
        return "\n".join([f"{self._get_name()}(", *lines, ")"]) if lines else f"{self._get_name()}()"


class ModuleDict(Module):
    """A dict of modules that belong to the model.  It has no forward: the owner decides how to call them."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None):
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add the modules of a dict, or of (name, module) pairs; names that exist are replaced."""
        for name, module in modules.items() if isinstance(modules, (Mapping, ModuleDict)) else modules:
            self[name] = module

    def items(self) -> ItemsView[str, Module]:
        return {name: m for name, m in vars(self).items() if isinstance(m, Module)}.items()

    def keys(self) -> KeysView[str]:
        return dict(self.items()).keys()

    def values(self) -> ValuesView[Module]:
        return dict(self.items()).values()

    def __getitem__(self, key: str) -> Module:
        return dict(self.items())[key]

    def __setitem__(self, key: str, module: Module) -> None:
        if hasattr(type(self), key):
            raise KeyError(f"a ModuleDict cannot hold a module named {key!r}: a method has that name")
        setattr(self, key, _checked(module))

    def __delitem__(self, key: str) -> None:
        self[key]  # KeyError unless there
        delattr(self, key)

    def __len__(self) -> int:
        return len(self.items())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: Any) -> bool:
        return key in self.keys()

    def clear(self) -> None:
        """Take all modules out."""
        for name in list(self.keys()):
            delattr(self, name)

    def pop(self, key: str) -> Module:
        """Take a module out and return it."""
        module = self[key]
        del self[key]
        return module


def _checked(module: Any) -> Module:
    if not isinstance(module, Module):
        raise TypeError(f"expected a Module, got {type(module).__name__}")
    return module


class DataParallel(Module):
    """The module itself, as in a PyTorch without CUDA: there is no device to share the batch with."""

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0):
        super().__init__()
        self.module = module
        self.device_ids: list[int] = []

    def forward(self, *inputs: Any, **options: Any) -> Any:
        return self.module(*inputs, **options)
