"""The space of the last layer: where pictures lie that the network takes for alike."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npnn.look.subject import BATCH, Layer, Subject, _first, subject

__all__ = ["Space", "space"]


@dataclass(frozen=True)
class Space:
    """N pictures as the last layer is given them.

    features   (N, F)
    points     (N, 2), drawn so that near ones are near
    explained  the share of the variance that two principal components keep; None with t-SNE
    predicted  (N,) the classes that the model says
    labels     (N,) the right ones, or None
    """

    layer: str
    features: NDArray[Any]
    points: NDArray[Any]
    explained: float | None
    predicted: NDArray[Any]
    labels: NDArray[Any] | None

    @cached_property
    def mistakes(self) -> NDArray[Any]:
        """Which of them are wrong."""
        return np.flatnonzero(self.predicted != self.labels) if self.labels is not None else np.array([], int)

    def neighbours(self, which: int, count: int = 8) -> NDArray[Any]:
        """The pictures nearest to one, by the angle between their features, nearest first; not itself."""
        size = np.linalg.norm(self.features, axis=1)
        alike = self.features @ self.features[which] / np.maximum(size * size[which], 1e-12)
        alike[which] = -np.inf
        return np.argsort(-alike, kind="stable")[:count]


def space(
    model: Any,
    images: ArrayLike,
    labels: ArrayLike | None = None,
    method: str = "pca",
    layer: Any = None,
    seed: int = 0,
) -> Space:
    """What a layer is given for each picture, by default the last linear one, and a plane to see it in.

    method   "pca": the two main directions; "tsne": t-SNE, in which clusters are true and distances between them are
             not.  Both are scikit-learn's.
    """
    if method not in ("pca", "tsne"):
        raise ValueError(f"method must be 'pca' or 'tsne', got {method!r}")
    net = subject(model)
    target = net.find(-1, ("Linear",)) if layer is None else net.find(layer)
    features, outputs = _given(net, target, net.input(images))
    right = None if labels is None else np.asarray(labels)
    try:
        from sklearn.decomposition import PCA
        from sklearn.manifold import TSNE
    except ImportError:
        raise ImportError("npnn.look.space needs scikit-learn: pip install 'npnn[experiments]'") from None
    plane = PCA(2, random_state=seed)
    points = plane.fit_transform(features)
    explained: float | None = float(plane.explained_variance_ratio_.sum())
    if method == "tsne":
        perplexity = min(30.0, (len(features) - 1) / 3)
        points, explained = TSNE(2, perplexity=perplexity, random_state=seed, init="pca").fit_transform(features), None
    return Space(str(target), features, points, explained, outputs.argmax(axis=1), right)


def _given(net: Subject, target: Layer, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The inputs of a layer, flat, and the outputs of the model."""
    kept: list[NDArray[Any]] = []

    def keep(module: Any, inputs: Any, output: Any) -> None:
        value = _first(inputs).detach().numpy()
        kept.append(value.reshape(len(value), -1).copy())

    batches = (x[i : i + BATCH] for i in range(0, len(x), BATCH))
    with net.still(), net.backend.no_grad(), net.hooks({target: keep}):
        outputs = [_first(net.model(net.tensor(batch))).detach().numpy() for batch in batches]
    return np.concatenate(kept), np.concatenate(outputs)
