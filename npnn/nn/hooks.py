"""Hooks of modules: functions that see, and may replace, what goes into a layer and comes out of it, and the gradients.

A module without hooks pays one attribute look-up for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from npnn.function import Function
from npnn.hooks import Handle
from npnn.modes import is_grad_enabled
from npnn.tensor import Tensor, of_array

__all__ = ["Hooks"]


class Gate(Function):
    """y = x, several at once.   dx = what ``seen`` makes of all dy, or dy"""

    def forward(self, *arrays: Any, seen: Callable[[tuple[Any, ...]], Any]) -> Any:
        self.seen = seen
        return tuple([a[...] for a in arrays])

    def backward(self, *grads: Any) -> Any:
        tensors = tuple([None if g is None else of_array(g) for g in grads])
        replaced = self.seen(tensors)
        if replaced is None:
            return grads
        replaced = replaced if isinstance(replaced, tuple) else (replaced,)
        return tuple([r.array if isinstance(r, Tensor) else r for r in replaced])

    def derivative(self, *grads: Any) -> Any:
        replaced = self.seen(grads)
        return grads if replaced is None else replaced


def _through_gate(values: Any, seen: Callable[[tuple[Any, ...]], Any]) -> Any:
    """The values with their tensors sent through one gate."""
    single = not isinstance(values, tuple)
    items = [values] if single else list(values)
    places = [i for i, v in enumerate(items) if isinstance(v, Tensor) and v.requires_grad]
    if places:
        passed = Gate.apply(*[items[i] for i in places], seen=seen)
        for i, v in zip(places, passed, strict=True):
            items[i] = v
    return items[0] if single else tuple(items)


class Hooks:
    """The hooks of one module, by kind, in the order of their registration."""

    KINDS = ("forward_pre", "forward", "full_backward_pre", "full_backward")

    def __init__(self) -> None:
        self.of: dict[str, dict[int, tuple[Callable[..., Any], dict[str, Any]]]] = {kind: {} for kind in self.KINDS}
        self.count = 0

    def add(self, kind: str, hook: Callable[..., Any], prepend: bool, options: dict[str, Any]) -> Handle:
        self.count += 1
        key = -self.count if prepend else self.count
        self.of[kind][key] = hook, options
        if prepend:
            self.of[kind] = dict(sorted(self.of[kind].items()))
        return Handle(self.of[kind], key)

    def run(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """module.forward with all hooks around it."""
        for hook, options in list(self.of["forward_pre"].values()):
            given = hook(module, args, kwargs) if options.get("with_kwargs") else hook(module, args)
            if given is not None and options.get("with_kwargs"):
                args, kwargs = given
            elif given is not None:
                args = given if isinstance(given, tuple) else (given,)
        watched = (self.of["full_backward"] or self.of["full_backward_pre"]) and is_grad_enabled()
        received: list[Any] = [None]
        if watched and self.of["full_backward"]:
            args = _through_gate(args, lambda grads: self._backward(module, grads, received[0]))
        result = module.forward(*args, **kwargs)
        for hook, options in list(self.of["forward"].values()):
            given = hook(module, args, kwargs, result) if options.get("with_kwargs") else hook(module, args, result)
            result = result if given is None else given
        if watched:
            inputs_need = any(isinstance(a, Tensor) and a.requires_grad for a in args)

            def outputs_seen(grads: tuple[Any, ...]) -> Any:
                for hook, _ in list(self.of["full_backward_pre"].values()):
                    replaced = hook(module, grads)
                    grads = grads if replaced is None else replaced if isinstance(replaced, tuple) else (replaced,)
                received[0] = grads
                if not inputs_need and self.of["full_backward"]:  # no gate at the inputs will tell
                    self._backward(module, (None,) * len(args), grads)
                return grads

            result = _through_gate(result, outputs_seen)
        return result

    def _backward(self, module: Any, grad_input: tuple[Any, ...], grad_output: Any) -> Any:
        changed = None
        for hook, _ in list(self.of["full_backward"].values()):
            replaced = hook(module, grad_input, grad_output)
            if replaced is not None:
                changed = grad_input = replaced if isinstance(replaced, tuple) else (replaced,)
        return changed
