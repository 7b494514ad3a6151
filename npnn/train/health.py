"""Is the network still sound?  Copies of good weights, and the search for what went bad first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.train.backend import Backend

__all__ = ["all_finite", "copy_weights", "first_bad", "load_weights"]


def copy_weights(model: Any, backend: Backend) -> dict[str, NDArray[Any]]:
    """The model's weights and buffers as arrays of their own."""
    return {name: backend.array(t).copy(order="K") for name, t in model.state_dict().items()}


def load_weights(model: Any, backend: Backend, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Put copied weights back into the model."""
    model.load_state_dict(backend.state(arrays))


def all_finite(arrays: Iterable[NDArray[Any]]) -> bool:
    return all(np.isfinite(array).all() for array in arrays)


def first_bad(model: Any, backend: Backend, x: Any) -> tuple[str | None, str]:
    """What became nan or infinite first: the layer's path (None if it was none), and words for what.

    Asked in the order of time: the gradients of the latest backward, which runs from the loss to the
    input, so that the last layer with a bad one was the first; the weights; the batch ``x``; then
    each layer's output for it.  Runs the model once, in the mode it is in.
    """
    for name, p in reversed(list(model.named_parameters())):
        if p.grad is not None and not all_finite([backend.array(p.grad)]):
            return name.rpartition(".")[0], f"the gradient of {name}"
    for name, t in model.state_dict().items():
        if not all_finite([backend.array(t)]):
            return name.rpartition(".")[0], name
    if x is None:
        return None, "unknown"
    if not all_finite([backend.array(x)]):
        return None, "the batch of inputs"
    layer = _first_bad_output(model, backend, x)
    return layer, "the loss itself" if layer is None else f"the output of {layer or 'the model'}"


def _first_bad_output(model: Any, backend: Backend, x: Any) -> str | None:
    """Run the model with every layer's forward replaced by one that looks at the result."""
    bad: list[str] = []

    def watched(name: str, forward: Any) -> Any:
        def look(*args: Any, **kwargs: Any) -> Any:
            result = forward(*args, **kwargs)
            outputs = result if isinstance(result, (tuple, list)) else [result]
            if not all_finite(backend.array(y) for y in outputs if hasattr(y, "detach")):
                bad.append(name)
            return result

        return look

    modules = dict(model.named_modules())
    own = {name: vars(module)["forward"] for name, module in modules.items() if "forward" in vars(module)}
    for name, module in modules.items():
        module.forward = watched(name, module.forward)  # on the instance, where it hides the class's
    try:
        with backend.no_grad():
            model(x)
    finally:
        for name, module in modules.items():
            del module.forward
            if name in own:  # somebody had replaced it before us
                module.forward = own[name]
    return bad[0] if bad else None
