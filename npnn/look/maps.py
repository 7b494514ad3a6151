"""One picture on its way through the network: the maps of each layer, and what each pooling leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npnn.look.subject import Layer, _first, subject

__all__ = ["Stage", "stages"]


@dataclass(frozen=True)
class Stage:
    """What one layer gives for one picture.

    values   (C, H, W), or (F,) where there are no places any more
    silent   the share of the values that are zero
    lost     of a pooling: the share of what it was given, x, that cannot be told from what it gives, y: the least
             |x - s up(y)|^2 / |x|^2, where up repeats each value over its window and s is a number for each channel;
             None for other layers
    """

    name: str
    kind: str
    values: NDArray[Any]
    silent: float
    lost: float | None


def stages(model: Any, picture: ArrayLike) -> list[Stage]:
    """All layers in the order in which one picture, (C, H, W) or (1, C, H, W), passes them."""
    net = subject(model)
    x = net.input(picture)
    x = x[None] if x.ndim == 3 else x
    if x.ndim != 4 or len(x) != 1:
        raise ValueError(f"expected one picture (C, H, W), got shape {x.shape}")
    found: list[Stage] = []

    def keep(layer: Layer) -> Any:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            values = _first(output).detach().numpy()[0].copy()
            lost = _lost(_first(inputs).detach().numpy()[0], values) if "Pool" in layer.kind else None
            found.append(Stage(layer.name, layer.kind, values, float((values == 0).mean()), lost))

        return hook

    with net.still(), net.backend.no_grad(), net.hooks({layer: keep(layer) for layer in net.layers}):
        net.model(net.tensor(x))
    return found


def _lost(before: NDArray[Any], after: NDArray[Any]) -> float | None:
    """Of maps (C, H, W) and what a pooling made of them, (C, h, w)."""
    if before.ndim != 3 or after.ndim != 3 or not before.any():
        return None
    rows = np.minimum(np.arange(before.shape[1]) * after.shape[1] // before.shape[1], after.shape[1] - 1)
    columns = np.minimum(np.arange(before.shape[2]) * after.shape[2] // before.shape[2], after.shape[2] - 1)
    x, y = (maps.reshape(len(maps), -1).astype(np.float64) for maps in (before, after[:, rows][:, :, columns]))
    told = (x * y).sum(axis=1) ** 2 / np.maximum((y**2).sum(axis=1), 1e-30)
    return float(1 - told.sum() / (x**2).sum())
