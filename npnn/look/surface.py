"""The loss around a solution, on a plane through it: flat or steep, and the way that the optimiser took.

    L(a, b) = loss(w + a d1 + b d2)

Random directions are filter-normalised (Li, Xu, Taylor, Studer & Goldstein, Visualizing the loss landscape of neural
nets, 2018): each filter of d is scaled to the length of that filter of w, so that networks whose weights differ in size
can be compared; what has one axis (biases, normalisation) stays.  Where a path is given the plane holds its two main
directions, as random ones are at right angles to any path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npnn.generator import Generator
from npnn.look.subject import Subject, subject
from npnn.train.callbacks import Callback

__all__ = ["Path", "Surface", "surface"]


@dataclass(frozen=True)
class Surface:
    """Losses on a grid around a solution.

    a, b       the steps along both directions; 0, 0 is the solution
    loss       (len(b), len(a))
    path       (K, 2), where the optimiser came by, or None
    explained  the share of the path's variance that lies in this plane, or None
    """

    a: NDArray[Any]
    b: NDArray[Any]
    loss: NDArray[Any]
    path: NDArray[Any] | None
    explained: float | None


class Path(Callback):
    """Keeps a copy of the weights every so many steps: what ``surface`` draws as the way to the solution."""

    def __init__(self, every: int = 1):
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        self.every, self.points = every, []  # type: ignore[var-annotated]

    def on_train_begin(self, trainer: Any) -> None:
        if not self.points:
            self.points.append(_flat(trainer.model))

    def on_step_end(self, trainer: Any) -> None:
        if trainer.run.step % self.every == 0:
            self.points.append(_flat(trainer.model))

    def state_dict(self) -> dict[str, Any]:
        return {"points": np.array(self.points)} if self.points else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.points = list(state["points"]) if "points" in state else []


def surface(
    model: Any,
    loss: Callable[[Any, Any], Any],
    x: ArrayLike,
    y: ArrayLike,
    span: float = 1.0,
    resolution: int = 21,
    path: Sequence[ArrayLike] | None = None,
    margin: float = 0.3,
    seed: int = 0,
) -> Surface:
    """The loss of data (x, y) on a plane through the model's weights.

    loss        called with (outputs, targets), of the model's framework
    span        how far the grid goes in both directions; 1 is as far as each filter is long.  With a path the grid
                holds it, and ``margin`` of its extent around it
    path        the weights on the way, of Path.points
    """
    net = subject(model)
    weights = _flat(net.model)
    seen, explained = None, None
    if path is not None:
        steps = np.array([np.asarray(p, np.float64) for p in path]) - weights
        first, second, explained = _main_directions(steps)
        seen = steps @ np.stack([first, second]).T  # (K, 2)
        low, high = np.minimum(seen.min(axis=0), 0), np.maximum(seen.max(axis=0), 0)
        room = np.maximum(margin * (high - low), 0.1 * max(*(high - low), 1e-6))
        a, b = (np.linspace(lo - r, hi + r, resolution) for lo, hi, r in zip(low, high, room, strict=True))
    else:
        first, second = _random_directions(net, weights, seed)
        a = b = np.linspace(-span, span, resolution)
    given, targets = net.input(x), np.asarray(y)
    found = np.empty((len(b), len(a)))
    try:
        with net.still(), net.backend.no_grad():
            for j, i in np.ndindex(found.shape):
                _set(net, weights + a[i] * first + b[j] * second)
                outputs = net.model(net.tensor(given))
                found[j, i] = float(loss(outputs, net.tensor(targets)).detach().numpy())
    finally:
        _set(net, weights)
    return Surface(a, b, found, seen, explained)


def _flat(model: Any) -> NDArray[Any]:
    return np.concatenate([p.detach().numpy().astype(np.float64).ravel() for p in model.parameters()])


def _set(net: Subject, flat: NDArray[Any]) -> None:
    """Write weights into the model, in place."""
    begin = 0
    for p in net.model.parameters():
        values = net.backend.array(p)
        values[...] = flat[begin : begin + values.size].reshape(values.shape)
        begin += values.size


def _random_directions(net: Subject, weights: NDArray[Any], seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    generator = Generator().manual_seed(seed)
    directions = []
    for _ in range(2):
        parts = []
        for p in net.model.parameters():
            value = p.detach().numpy().astype(np.float64)
            drawn = np.zeros(value.shape)
            if value.ndim > 1:
                drawn = generator.randn(*value.shape, dtype=np.float64)
                axes = tuple(range(1, value.ndim))
                length = np.sqrt((value**2).sum(axis=axes, keepdims=True))
                drawn *= length / np.sqrt((drawn**2).sum(axis=axes, keepdims=True))
            parts.append(drawn.ravel())
        directions.append(np.concatenate(parts))
    return directions[0], directions[1]


def _main_directions(steps: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Two directions at right angles of length 1 that the path's points, less the solution, mostly lie in."""
    _, sizes, directions = np.linalg.svd(steps, full_matrices=False)
    if len(directions) < 2 or sizes[1] == 0:
        raise ValueError("a path needs three points at least that lie on no line")
    share = float((sizes[:2] ** 2).sum() / (sizes**2).sum())
    signs = [1.0 if d[np.abs(d).argmax()] > 0 else -1.0 for d in directions[:2]]
    return signs[0] * directions[0], signs[1] * directions[1], share
