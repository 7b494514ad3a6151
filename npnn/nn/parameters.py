"""Parameters in a list or a dict, which belong to the model: ParameterList and ParameterDict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any

from npnn.nn.module import Module, Parameter
from npnn.tensor import Tensor

__all__ = ["ParameterDict", "ParameterList"]


def _parameter(value: Any) -> Any:
    """A tensor becomes a Parameter; anything else stays as it is."""
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _printed(items: Iterable[tuple[Any, Any]], name: str, dtype: Any) -> str:
    lines = []
    for key, value in items:
        if isinstance(value, Tensor):
            size = "x".join(map(str, value.shape))
            said = f"{'Parameter' if isinstance(value, Parameter) else 'Tensor'} containing: [{dtype(value)} of size {size}]"
        else:
            said = f"Object of type: {type(value).__name__}"
        lines.append(f"    ({key}): {said}")
    return "\n".join([f"{name}(", *lines, ")"]) if lines else f"{name}()"


class ParameterList(Module, MutableSequence):  # type: ignore[type-arg]
    """A list whose tensors are Parameters of the model, named "0", "1", ... in its state_dict."""

    def __init__(self, values: Iterable[Any] | None = None):
        self._size = 0
        self.extend(values or ())

    def _place(self, index: int) -> str:
        if not -self._size <= index < self._size:
            raise IndexError(f"index {index} is out of range")
        return str(index % self._size)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)([vars(self)[str(i)] for i in range(*index.indices(self._size))])
        return vars(self)[self._place(index)]

    def __setitem__(self, index: Any, value: Any) -> None:
        setattr(self, self._place(index), _parameter(value))

    def __delitem__(self, index: Any) -> None:
        values = list(self)
        del values[index]
        for i in range(self._size):
            delattr(self, str(i))
        self._size = 0
        self.extend(values)

    def insert(self, index: int, value: Any) -> None:
        """Put a value before the one at ``index``."""
        values = list(self)
        values.insert(index, value)
        self._size = len(values)
        for i, each in enumerate(values):
            setattr(self, str(i), _parameter(each))

    def append(self, value: Any) -> ParameterList:  # type: ignore[override]
        """Add a value at the end."""
        self._size += 1
        self[-1] = value
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:  # type: ignore[override]
        """Add several values at the end."""
        for value in list(values):
            self.append(value)
        return self

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:  # type: ignore[misc,override]
        return self.extend(values)

    def __repr__(self) -> str:
        return _printed(enumerate(self), self._get_name(), lambda p: p.dtype)

    __hash__ = Module.__hash__


class ParameterDict(Module, MutableMapping):  # type: ignore[type-arg]
    """A dict whose tensors are Parameters of the model, under their keys in its state_dict."""

    def __init__(self, parameters: Any = None):
        self._keys: dict[str, None] = {}
        self.update(parameters if isinstance(parameters, Mapping) else dict(parameters or {}))

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        return vars(self)[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"the keys of a ParameterDict are strings, got {type(key).__name__}")
        self._keys[key] = None
        setattr(self, key, _parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __repr__(self) -> str:
        return _printed(self.items(), self._get_name(), lambda p: p.type())

    __hash__ = Module.__hash__
    __eq__ = Module.__eq__
