"""Between the frameworks: whole models, made of layers that both have.

Layers have the same names, arguments and state_dicts on both sides, so that one walk through the tree
serves both directions: the arguments are read from the layer's attributes, where each framework
keeps them under their names, and the weights are copied.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from npnn import nn
from npnn.io.torch_interop import from_torch, to_torch
from npnn.nn.module import Module
from npnn.tensor import of_array

__all__ = ["from_torch_module", "to_torch_module"]

CONTAINERS = ("Sequential", "ModuleList", "ModuleDict")
HARMLESS = {"__init__", "extra_repr", "reset_parameters"}  # what a subclass may define and still compute the same


def from_torch_module(module: Any) -> Any:
    """The npnn model that computes what a torch model does: layers, weights, buffers, dtypes, modes.

    Sequential, ModuleList and ModuleDict are taken apart, however deeply nested; weights and layers that are
    shared stay so.  The new model's memory is its own.

    Errors: NotImplementedError that lists, with its path, every layer that npnn does not have or cannot make with
    these arguments, and every module whose forward is code of its own: that has to be
    written for npnn, too, and its weights then come with load_state_dict(from_torch(state_dict)).
    """
    import torch

    return _Conversion("torch", torch.nn, "npnn", nn, from_torch).run(module)


def to_torch_module(module: Module) -> Any:
    """The torch model that computes what an npnn model does: see from_torch_module, of which this is the reverse."""
    import torch

    return _Conversion("npnn", nn, "torch", torch.nn, to_torch).run(module)


@dataclass
class _Conversion:
    """From layers of the package ``source`` to those of ``target``; ``convert`` turns one's arrays into the other's."""

    here: str
    source: Any
    there: str
    target: Any
    convert: Callable[[Any], Any]
    made: dict[int, Any] = field(default_factory=dict)  # modules and parameters, by the identity of their originals
    problems: list[str] = field(default_factory=list)

    def run(self, module: Any) -> Any:
        if not isinstance(module, self.source.Module):
            raise TypeError(f"expected a module of {self.here}, got {type(module).__name__}")
        new = self.module(module, "")
        if self.problems:
            raise NotImplementedError(f"no {self.there} model is like this one:\n  " + "\n  ".join(self.problems))
        return new

    def module(self, old: Any, path: str) -> Any:
        """The twin of one module and all below it; None, and an entry in ``problems``, if there is none."""
        if id(old) in self.made:
            return self.made[id(old)]
        new = None
        try:
            kind = self.kind(old)
            if kind in CONTAINERS:
                children = {name: self.module(m, f"{path}.{name}".strip(".")) for name, m in _children(old).items()}
                new = getattr(self.target, kind)()
                for name, child in children.items():
                    setattr(new, name, child)
            else:
                new = getattr(self.target, kind)(**self.arguments(old, kind))
                self.copy(old, new)
            new.training = old.training
        except NotImplementedError as error:
            self.problems.append(f"{path}: {error}" if path else str(error))
        except (ValueError, TypeError, RuntimeError) as error:
            self.problems.append(f"{path or 'the model'}: {self.there} refuses its arguments: {error}")
        self.made[id(old)] = new
        return new

    def kind(self, old: Any) -> str:
        """The name of the class that both frameworks have and that says what the module computes."""
        name = type(old).__name__
        base = next((c for c in type(old).__mro__ if getattr(self.source, c.__name__, None) is c), self.source.Module)
        if base is self.source.Module:
            raise NotImplementedError(
                f"{name} has a forward of its own, which cannot be converted: write the class for {self.there}, too, "
                f"and load its weights with load_state_dict({self.convert.__name__}(state_dict))"
            )
        if not hasattr(self.target, base.__name__):
            raise NotImplementedError(f"{self.there} has no {name}")
        if base.__name__ not in CONTAINERS and _children(old):
            raise NotImplementedError(f"this {name} has modules inside it, {', '.join(_children(old))}")
        for c in type(old).__mro__[: type(old).__mro__.index(base)]:
            own = [key for key, value in vars(c).items() if callable(value) and hasattr(base, key)]
            changed = [key for key in own if key not in HARMLESS]
            if changed:
                raise NotImplementedError(f"{name} is a {base.__name__} that changes {', '.join(changed)}")
        if "forward" in vars(old) or any(getattr(old, f"_forward_{kind}", None) for kind in ("hooks", "pre_hooks")):
            raise NotImplementedError(f"this {name} has hooks, which are not converted")
        if base.__name__ in CONTAINERS and _tensors(old):
            raise NotImplementedError(f"this {name} has weights of its own, {', '.join(_tensors(old))}")
        return base.__name__

    def arguments(self, old: Any, kind: str) -> dict[str, Any]:
        """The constructor's arguments, as the layer's attributes tell them.  The constructors are npnn's or like it."""
        found = {}
        for p in inspect.signature(getattr(nn, kind)).parameters.values():
            if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or p.name.startswith("_") or p.name in ("device", "dtype"):
                continue
            value = getattr(old, p.name, p.default)  # npnn has no attribute for what it only refuses
            if p.annotation == "bool" and not isinstance(value, bool):
                value = value is not None  # bias is then the vector itself
            value = self.convert(value)
            found[p.name] = of_array(value) if isinstance(value, np.ndarray) else value
        return found

    def copy(self, old: Any, new: Any) -> None:
        """Give the new layer the old one's numbers, in their dtype."""
        tensors = _tensors(old)
        kinds = {str(t.dtype).removeprefix("torch.") for t in tensors.values()} - {"int64"}
        if kinds - {"float32", "float64"}:
            raise NotImplementedError(f"its weights are {', '.join(sorted(kinds))}: convert module.float() instead")
        if "float64" in kinds:
            new.double()
        new.load_state_dict(self.convert({name: t.detach() for name, t in tensors.items()}))
        for name, p in old.named_parameters(recurse=False):
            if id(p) in self.made:
                setattr(new, name, self.made[id(p)])
            else:
                self.made[id(p)] = getattr(new, name).requires_grad_(p.requires_grad)


def _children(module: Any) -> dict[str, Any]:
    """Name -> module, in order, those that are there several times as often."""
    known = module._modules if hasattr(module, "_modules") else vars(module)
    return {name: m for name, m in known.items() if hasattr(m, "named_modules")}


def _tensors(module: Any) -> dict[str, Any]:
    """The module's own parameters and buffers."""
    return {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
