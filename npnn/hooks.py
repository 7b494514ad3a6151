"""Functions that see a gradient on its way: of a tensor in the middle of the graph, and of a leaf.

They are methods of Tensor, lent from here.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from npnn.tensor import Tensor, _from_array

__all__ = ["Handle"]


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


def retain_grad(self: Tensor) -> None:
    """Keep the gradient of this intermediate tensor, too, when backward passes through it."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if self._node is not None:
        me = weakref.ref(self)

        def keep(gradient: Any) -> Any:
            tensor = me()
            if tensor is not None and isinstance(gradient, Tensor):
                tensor._accumulate_recorded(gradient)
            elif tensor is not None:
                tensor._accumulate(gradient.copy("K"))
            return gradient

        _watch(self, keep, last=True)


def _watch(self: Tensor, watcher: Callable[[Any], Any], last: bool = False) -> tuple[list[Any], Any]:
    """Let ``watcher`` see this tensor's gradient in backward, and return what is to go on in its place.

    The gradient is an array, or a tensor of the graph where the walk back is recorded.  What is kept is what all hooks
    leave, whenever they were registered: ``last``.
    """
    node, index = self._node  # type: ignore[misc]
    if node.watchers is None:
        node.watchers = []
    entry = index, watcher
    if last:
        node.watchers.append(entry)
    else:
        keepers = [i for i, (_, other) in enumerate(node.watchers) if other.__name__ == "keep"]
        node.watchers.insert(keepers[0] if keepers else len(node.watchers), entry)
    return node.watchers, entry


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> Handle:
    """Call ``hook(gradient)`` when this tensor's gradient is known; what it returns, if not None, replaces it."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")

    def watcher(gradient: Any) -> Any:
        if isinstance(gradient, Tensor):
            replaced = hook(gradient)
            return gradient if replaced is None else replaced
        replaced = hook(_from_array(gradient))
        return gradient if replaced is None else np.asarray(replaced, gradient.dtype)

    if self._node is not None:
        return Handle(*_watch(self, watcher))
    self._hooks = self._hooks or []
    self._hooks.append(watcher)
    return Handle(self._hooks, watcher)


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], None]) -> Handle:
    """Call ``hook(tensor)`` each time that backward has added to this leaf's gradient."""
    if self._node is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    self._hooks = self._hooks or []
    entry = _AfterAccumulation(hook)
    self._hooks.append(entry)
    return Handle(self._hooks, entry)


def _through_hooks(self: Tensor, gradient: Any) -> Any:
    for hook in list(self._hooks or ()):
        if not isinstance(hook, _AfterAccumulation):
            gradient = hook(gradient)
    return gradient


def _accumulate_through_hooks(self: Tensor, gradient: Any) -> None:
    after = [hook for hook in self._hooks or () if isinstance(hook, _AfterAccumulation)]
    gradient = self._through_hooks(gradient)  # type: ignore[attr-defined]
    (self._accumulate_recorded if isinstance(gradient, Tensor) else self._accumulate)(gradient)
    for hook in after:
        hook.function(self)


for _method in (
    retain_grad, register_hook, register_post_accumulate_grad_hook, _through_hooks, _accumulate_through_hooks,
):  # fmt: skip
    setattr(Tensor, _method.__name__, _method)
