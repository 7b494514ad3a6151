"""A copy of a model, its loss and its optimiser, which may be run and spoiled, with one batch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.train.backend import Backend

__all__ = ["Patient", "looking_at_outputs"]


class Patient:
    """A copy to examine.   x, y: the batch as tensors;  ``axis`` of x has the items, None if that cannot be told"""

    def __init__(self, model: Any, loss: Any, optimizer: Any, x: Any, y: Any, backend: Backend):
        self.model, self.loss, self.optimizer, self.x, self.y, self.backend = model, loss, optimizer, x, y, backend
        sizes, items = tuple(x.shape), len(y)
        self.axis = next((a for a in (0, 1) if len(sizes) > a and sizes[a] == items), None)

    def array(self, tensor: Any) -> NDArray[Any]:
        return np.asarray(self.backend.array(tensor))

    def outputs(self, x: Any = None) -> Any:
        """What the model returns, without anything recorded."""
        with self.backend.no_grad():
            return self.model(self.x if x is None else x)

    def take(self, tensor: Any, index: NDArray[np.int64], axis: int = 0) -> Any:
        """Some items of a batch."""
        return self.backend.tensor(np.ascontiguousarray(self.array(tensor).take(index, axis)))

    @property
    def weights(self) -> list[tuple[str, Any]]:
        """Parameters of two axes or more: matrices, kernels, embeddings."""
        return [(name, p) for name, p in self.model.named_parameters() if p.ndim > 1 and p.requires_grad]


@contextlib.contextmanager
def looking_at_outputs(model: Any, look: Callable[[str, Any, Any], None]) -> Iterator[None]:
    """Inside the block ``look(name, module, output)`` is called for each module that has no modules in it."""
    leaves = {name: m for name, m in model.named_modules() if not list(m.children())}

    def watched(name: str, module: Any, forward: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            result = forward(*args, **kwargs)
            look(name, module, result)
            return result

        return run

    own = {name: vars(m)["forward"] for name, m in leaves.items() if "forward" in vars(m)}
    for name, module in leaves.items():
        module.forward = watched(name, module, module.forward)
    try:
        yield
    finally:
        for name, module in leaves.items():
            del module.forward
            if name in own:
                module.forward = own[name]
