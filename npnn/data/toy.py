"""Toy problems: a few hundred points that a small network learns in seconds, made by scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.data._optional import require
from npnn.data.dataset import TensorDataset, TrainTest, random_split
from npnn.generator import Generator

__all__ = ["TOY_SETS", "make_toy"]

_TWO_FEATURES = {"n_features": 2, "n_informative": 2, "n_redundant": 0, "n_clusters_per_class": 1}

#: name: the function of sklearn.datasets that makes it, and its settings
TOY_SETS: dict[str, tuple[str, dict[str, Any]]] = {
    "moons": ("make_moons", {"noise": 0.1}),
    "moons-clean": ("make_moons", {"noise": 0.05}),
    "circles": ("make_circles", {"noise": 0.1}),
    "blobs": ("make_blobs", {"centers": 2, "cluster_std": 3.0}),
    "quantiles": ("make_gaussian_quantiles", {"n_features": 2, "n_classes": 2}),
    "classification": ("make_classification", _TWO_FEATURES),
    "hastie": ("make_hastie_10_2", {}),
    "multiclass": ("make_classification", {**_TWO_FEATURES, "n_classes": 4}),
}


def make_toy(
    name: str,
    n_samples: int = 1000,
    test_size: float = 0.2,
    standardize: bool = False,
    seed: int = 0,
    **settings: Any,
) -> TrainTest:
    """One of TOY_SETS, X float32 (N, features), y int64, split with equal class shares on both sides.

    All sets have two features and two classes, but for "hastie" (ten features) and "multiclass" (four
    classes).  ``settings`` replace those of the table (``make_toy("moons", noise=0.3)``).  With
    ``standardize`` every feature has mean 0 and standard deviation 1 on the training part.
    The set depends on ``seed`` alone, so that runs from different initial weights see the same data.

    Errors: ValueError for an unknown name, ImportError without scikit-learn.
    """
    if name not in TOY_SETS:
        raise ValueError(f"no toy set is called {name!r}; there are {', '.join(TOY_SETS)}")
    function, defaults = TOY_SETS[name]
    datasets = require("sklearn.datasets", f"the toy set {name!r}", "experiments")
    x, y = getattr(datasets, function)(n_samples=n_samples, random_state=seed, **{**defaults, **settings})
    classes, y = np.unique(y, return_inverse=True)  # Hastie's labels are -1 and 1
    parts = random_split(TensorDataset(x, y), [1 - test_size, test_size], Generator().manual_seed(seed), stratify=y)
    train_x, test_x = (x[part.indices] for part in parts)
    train_y, test_y = (y[part.indices].astype(np.int64) for part in parts)
    if standardize:
        mean, std = train_x.mean(axis=0), train_x.std(axis=0)
        train_x, test_x = (train_x - mean) / std, (test_x - mean) / std
    names = tuple(str(k) for k in range(len(classes)))
    return TrainTest(train_x.astype(np.float32), train_y, test_x.astype(np.float32), test_y, names)
