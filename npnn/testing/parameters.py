"""Where a layer in plain NumPy keeps its parameters and their gradients: dictionaries, lists, or attributes.

    params["W"], grads["W"]      params["W1"], grads["dW1"]      self.W, self.dW      self.w, self.grad_w
    self.params = [W, b], self.grads = [dW, db]                  self.W.data, self.W.grad

Layers inside a layer are looked through as well; their parameters are named by the path to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Slot", "find_parameters", "held_arrays", "set_double", "sounds_like_a_parameter"]

PARAMETERS = ("params", "parameters", "weights", "_params", "theta")
GRADIENTS = ("grads", "gradients", "dparams", "d_params", "grad", "_grads")
VALUES = ("data", "value", "val", "w", "W")
STATE = ("running", "moving", "mask", "cache", "momentum", "velocity")  # arrays that are no parameters
NAMED_SO = (
    "w",
    "b",
    "u",
    "v",
    "weights",
    "gamma",
    "beta",
    "wx",
    "wh",
    "bx",
    "bh",
    "wq",
    "wk",
    "wv",
    "wo",
    "theta",
    "alpha",
)
DEPTH = 3  # of layers in layers


@dataclass
class Slot:
    """One parameter: its array, and how to read and clear its gradient."""

    name: str
    array: NDArray[Any]
    read: Callable[[], Any]  # the gradient, None if there is none
    write: Callable[[Any], None]  # a new array as the parameter

    def has_gradient(self) -> bool:
        return isinstance(self.read(), np.ndarray) or np.isscalar(self.read())

    def gradient(self) -> NDArray[Any]:
        return np.array(self.read())

    def clear(self) -> None:
        gradient = self.read()
        if isinstance(gradient, np.ndarray) and gradient.flags.writeable:
            gradient[...] = 0

    def spellings(self) -> list[str]:
        return [self.name, *_spellings(self.name.rsplit(".", 1)[-1])]


def _spellings(name: str) -> list[str]:
    """Under which names the gradient of a parameter is kept."""
    short = {"weight": "W", "weights": "W", "bias": "b", "biases": "b", "w": "W", "kernel": "W", "gamma": "g"}.get(name)
    names = []
    for n in dict.fromkeys([name, name.lower(), name.upper(), *([short, short.lower()] if short else [])]):
        names += [f"d{n}", f"d_{n}", f"grad_{n}", f"grad{n}", f"{n}_grad", f"g{n}", f"g_{n}", f"{n}grad", f"delta_{n}",
                  f"{n}_gradient", f"gradient_{n}", f"grads_{n}", f"D{n}", f"del_{n}", f"nabla_{n}"]  # fmt: skip
    return names


def _is_parameter(name: str, value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and not any(word in name.lower() for word in STATE)


def find_parameters(layer: Any) -> list[Slot]:
    """The parameters of a layer, each once."""
    found: dict[int, Slot] = {}
    for slot in _slots(layer, "", DEPTH):
        found.setdefault(id(slot.array), slot)
    return list(found.values())


def held_arrays(layer: Any) -> list[Slot]:
    """The arrays of floats that a layer has before it was ever called, as if they were parameters without a gradient."""
    attributes = vars(layer) if hasattr(layer, "__dict__") else {}
    return [
        Slot(name, value, lambda: None, _attribute_setter(layer, name))
        for name, value in attributes.items()
        if _is_parameter(name, value) and value.ndim and not _is_gradient(name, attributes)
    ]


def _is_gradient(name: str, attributes: Any) -> bool:
    return any(name in _spellings(other) for other in attributes if other != name)


def sounds_like_a_parameter(name: str) -> bool:
    """True for W, weight, bias, gamma, Wx, U, kernel, b1 and their like."""
    return name.lower().rstrip("0123456789_") in NAMED_SO or name.lower().startswith(("w_", "weight", "bias", "kernel"))


def _slots(layer: Any, path: str, depth: int) -> Iterator[Slot]:
    attributes = vars(layer) if hasattr(layer, "__dict__") else {}
    grads = next(
        (attributes[n] for n in GRADIENTS if isinstance(attributes.get(n), (MutableMapping, list, tuple))), None
    )
    for name in PARAMETERS:
        kept = attributes.get(name)
        if isinstance(kept, MutableMapping):
            yield from _of_mapping(layer, kept, path)
        elif isinstance(kept, MutableSequence):
            for i, value in enumerate(kept):
                if _is_parameter("", value):
                    owner = [n for n, v in attributes.items() if v is value]  # self.W is params[0]
                    yield Slot(
                        path + (owner[0] if owner else f"{name}[{i}]"),
                        value,
                        _reader(layer, grads, i, owner),
                        _setter(kept, i),
                    )
    for name, value in list(attributes.items()):
        if _is_parameter(name, value):
            partner = next((n for n in _spellings(name) if n in attributes), None)
            if partner is not None or _mapped(grads, name) is not None:
                yield Slot(path + name, value, _attribute(layer, partner, grads, name), _attribute_setter(layer, name))
        elif depth and name not in (*PARAMETERS, *GRADIENTS):
            yield from _inside(value, path + name, depth)


def _inside(value: Any, path: str, depth: int) -> Iterator[Slot]:
    """Parameters of an object that holds an array and its gradient, of a layer, or of a list or dict of them."""
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _inside(item, f"{path}.{i}", depth)
    elif isinstance(value, MutableMapping):
        for key, item in value.items():
            yield from _inside(item, f"{path}.{key}", depth)
    elif (
        hasattr(value, "__dict__")
        and not isinstance(value, (type, np.ndarray))
        and not callable(getattr(value, "rvs", None))
    ):
        own = next((n for n in VALUES if _is_parameter(n, vars(value).get(n))), None)
        if own is not None and any(n in vars(value) for n in ("grad", "gradient", "g", "diff")):
            partner = next(n for n in ("grad", "gradient", "g", "diff") if n in vars(value))
            yield Slot(path, vars(value)[own], lambda: getattr(value, partner), _attribute_setter(value, own))
        elif hasattr(value, "backward") or any(n in vars(value) for n in PARAMETERS):
            yield from _slots(value, f"{path}.", depth - 1)


def _of_mapping(layer: Any, kept: MutableMapping[Any, Any], path: str) -> Iterator[Slot]:
    for key, value in kept.items():
        if _is_parameter(str(key), value):

            def read(key: Any = key) -> Any:
                grads = next(
                    (vars(layer)[n] for n in GRADIENTS if isinstance(vars(layer).get(n), MutableMapping)), None
                )
                found = _mapped(grads, key)
                if found is None:
                    found = next((vars(layer)[n] for n in _spellings(str(key)) if n in vars(layer)), None)
                return _mapped(kept, f"d{key}") if found is None else found

            yield Slot(f"{path}{key}", value, read, _setter(kept, key))
        elif isinstance(value, MutableMapping) and {"val", "grad"} <= value.keys():
            yield Slot(f"{path}{key}", value["val"], partial(value.get, "grad"), _setter(value, "val"))
        elif hasattr(value, "__dict__"):
            yield from _inside(value, f"{path}{key}", DEPTH)


def _mapped(grads: Any, name: Any) -> Any:
    if not isinstance(grads, MutableMapping):
        return None
    return next((grads[n] for n in (name, *_spellings(str(name))) if n in grads), None)


def _reader(layer: Any, grads: Any, i: int, owner: list[str]) -> Callable[[], Any]:
    def read() -> Any:
        now = next((vars(layer)[n] for n in GRADIENTS if isinstance(vars(layer).get(n), (list, tuple))), grads)
        if now is not None and i < len(now):
            return now[i]
        return next((vars(layer)[n] for o in owner for n in _spellings(o) if n in vars(layer)), None)

    return read


def _attribute(layer: Any, partner: str | None, grads: Any, name: str) -> Callable[[], Any]:
    return lambda: (
        getattr(layer, partner)
        if partner is not None
        else _mapped(next((vars(layer)[n] for n in GRADIENTS if n in vars(layer)), grads), name)
    )


def _setter(container: Any, key: Any) -> Callable[[Any], None]:
    def write(value: Any) -> None:
        container[key] = value

    return write


def _attribute_setter(owner: Any, name: str) -> Callable[[Any], None]:
    return lambda value: setattr(owner, name, value)


def set_double(layer: Any, depth: int = DEPTH, seen: dict[int, Any] | None = None) -> None:
    """Give every float array that a layer holds another one in float64; what was one array stays one."""
    seen = {} if seen is None else seen

    def doubled(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.dtype != np.float64:
            return seen.setdefault(id(value), (value, value.astype(np.float64)))[1]
        return value

    attributes = vars(layer) if hasattr(layer, "__dict__") else {}
    for name, value in list(attributes.items()):
        if isinstance(value, np.ndarray):
            attributes[name] = doubled(value)
        elif isinstance(value, MutableMapping):
            for key, item in list(value.items()):
                value[key] = doubled(item)
        elif isinstance(value, MutableSequence):
            value[:] = [doubled(item) for item in value]
        items = value.values() if isinstance(value, MutableMapping) else value if isinstance(value, list) else [value]
        if depth:
            for item in items:
                if hasattr(item, "__dict__") and not isinstance(item, type) and id(item) not in seen:
                    seen[id(item)] = (item, item)
                    set_double(item, depth - 1, seen)
