"""The network that is looked at, whatever it came as: its layers by name, what they give, and gradients.

All that the other files of this room know of a framework is here, so that they see arrays only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npnn.train.backend import backend_of, mode

__all__ = ["BATCH", "Layer", "Subject", "subject"]

BATCH = 250  # pictures at once


@dataclass(frozen=True)
class Layer:
    """A part of the network that has no parts: its name in the model, its kind ("Conv2d"), its place among all."""

    name: str
    kind: str
    place: int
    module: Any

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"

    def weight(self) -> NDArray[Any]:
        """Errors: ValueError for a layer that has none."""
        found = getattr(self.module, "weight", None)
        if found is None:
            raise ValueError(f"the layer {self} has no weights")
        return found.detach().numpy()


class _Reached(Exception):
    """The layer that was asked for has answered: what comes after it need not be computed."""


class Subject:
    """A model of npnn or torch.  It is left as it was: mode, gradients, weights."""

    def __init__(self, model: Any):
        self.model, self.backend = model, backend_of(model)
        parts = [(name, module) for name, module in model.named_modules() if not list(module.children())]
        self.layers = [Layer(name or "model", type(m).__name__, i, m) for i, (name, m) in enumerate(parts)]

    # ---- layers

    def find(self, which: Any, kinds: Sequence[str] = ()) -> Layer:
        """A layer by its name ("features.0"), its place among those of ``kinds``, or its kind (the first of it);
        None is the first.  ``kinds`` are beginnings: "Conv" is any convolution.

        Errors: ValueError that lists the layers there are.
        """
        layers = self.of_kind(*kinds) if kinds else self.layers
        if isinstance(which, Layer):
            return which
        found: Iterable[Layer] = ()
        if which is None:
            found = layers[:1]
        elif isinstance(which, int) and not isinstance(which, bool):
            found = layers[which:][:1] if -len(layers) <= which else ()
        elif isinstance(which, str):
            found = [layer for layer in layers if layer.name == which] or [x for x in layers if x.kind == which]
        elif which in [layer.module for layer in layers]:
            found = [layer for layer in layers if layer.module is which]
        for layer in found:
            return layer
        there = ", ".join(map(str, layers or self.layers))
        what = f"no layer {which!r}" if layers and which is not None else f"no layer of the kind {' or '.join(kinds)}"
        raise ValueError(f"there is {what} in this model; it has {there}")

    def of_kind(self, *kinds: str) -> list[Layer]:
        return [layer for layer in self.layers if layer.kind.startswith(kinds)]

    # ---- running it

    @property
    def dtype(self) -> Any:
        """Of the first weight."""
        return next((p.detach().numpy().dtype for p in self.model.parameters()), np.dtype(np.float32))

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """Inside the block the model is in evaluation mode, and no layer writes over what it is given."""
        changed = [m for m in self.model.modules() if getattr(m, "inplace", False) is True]
        for module in changed:
            module.inplace = False
        try:
            with mode(self.model, False):
                yield
        finally:
            for module in changed:
                module.inplace = True

    def input(self, x: ArrayLike) -> NDArray[Any]:
        """As the model wants it: floats of the weights' dtype; indices stay whole numbers."""
        found = np.asarray(x.detach().numpy() if hasattr(x, "detach") else x)
        return found if found.dtype.kind in "iu" else np.ascontiguousarray(found, self.dtype)

    def tensor(self, x: NDArray[Any], grad: bool = False) -> Any:
        tensor = self.backend.tensor(x.copy())
        return tensor.requires_grad_() if grad else tensor

    def outputs(self, x: ArrayLike) -> NDArray[Any]:
        """The model's outputs, a batch at a time."""
        return self.activations(x, [])[""]

    def activations(self, x: ArrayLike, layers: Sequence[Any], batch: int = BATCH) -> dict[str, NDArray[Any]]:
        """What layers give for inputs (N, ...), by their names in the order of computation; the model itself is "".

        The pass ends where the last of them has answered; without any, with the outputs.
        """
        parts: dict[str, list[NDArray[Any]]] = {}
        for given in self._batches(x, batch):
            for name, value in self.answers(given, layers).items():
                parts.setdefault(name, []).append(value)
        return {name: np.concatenate(values) for name, values in parts.items()}

    def answers(self, x: NDArray[Any], layers: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """activations, of one batch."""
        found: dict[str, NDArray[Any]] = {}
        wanted = [self.find(layer) for layer in layers]

        def keep(layer: Layer) -> Callable[..., None]:
            def hook(module: Any, inputs: Any, output: Any) -> None:
                found[layer.name] = _first(output).detach().numpy().copy()
                if wanted and len(found) == len(wanted):
                    raise _Reached

            return hook

        hooks = self.hooks({layer: keep(layer) for layer in wanted})
        with contextlib.suppress(_Reached), self.still(), self.backend.no_grad(), hooks:
            found[""] = _first(self.model(self.tensor(x))).detach().numpy()
        return found

    @contextlib.contextmanager
    def hooks(self, hooks: Mapping[Layer, Callable[..., Any]]) -> Iterator[None]:
        """Forward hooks inside the block."""
        handles = [layer.module.register_forward_hook(hook) for layer, hook in hooks.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def gradients(
        self, x: NDArray[Any], score: Callable[[Any], Any], layer: Layer | None = None, at: Layer | None = None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """The gradient of a sum of scores with respect to the inputs, or to what the layer ``at`` gives.

        score   of the output (a tensor (N, ...)) of ``layer``, or of the model: a tensor of one value an input
        Returns the gradient, the values it was taken at, and the scores (N,).
        """
        given = self.tensor(x, grad=x.dtype.kind == "f")
        seen: dict[str, Any] = {}

        def keep(name: str) -> Callable[..., None]:
            def hook(module: Any, inputs: Any, output: Any) -> None:
                seen[name] = _first(output)
                if name == "layer":
                    raise _Reached

            return hook

        asked: dict[Layer, Callable[..., Any]] = {}
        if at is not None:
            asked[at] = keep("at")
        if layer is not None:
            asked[layer] = keep("layer")
        with self.still(), self.hooks(asked):
            with contextlib.suppress(_Reached):
                seen["layer"] = _first(self.model(given))
            scores = score(seen["layer"])
            place = seen["at"] if at is not None else given
            gradient = self.backend.grad(scores.sum(), place)
        return gradient.detach().numpy(), place.detach().numpy(), scores.detach().numpy()

    def _batches(self, x: ArrayLike, batch: int) -> Iterator[NDArray[Any]]:
        whole = self.input(x)
        if not len(whole):
            raise ValueError("there are no inputs to look at")
        return (whole[i : i + batch] for i in range(0, len(whole), batch))


def _first(output: Any) -> Any:
    """Of a recurrent layer's pair, what it gives at each step."""
    return output[0] if isinstance(output, tuple) else output


def subject(model: Any) -> Subject:
    """The network of a model of npnn or torch, of a fitted estimator, or of a file that a run wrote.

    Errors: TypeError for something else; CheckpointError and UserError for a file that does not hold a model.
    """
    if isinstance(model, Subject):
        return model
    if isinstance(model, str | os.PathLike):
        from npnn.experiment.results import restored

        return Subject(restored(model).model)
    return Subject(getattr(model, "model_", model))
