"""The small problems that the tests of the estimators share."""

from __future__ import annotations

import numpy as np

ENDLESS = {"n_iter_no_change": np.inf, "random_state": 0}  # exactly max_iter epochs


def classes(n=120, dtype=np.float64, seed=0):
    """Three clouds in four dimensions."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return (rng.standard_normal((n, 4)) + 2 * np.eye(3, 4)[y]).astype(dtype), y


def numbers(n=120, outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 4))
    y = np.tanh(X @ rng.standard_normal((4, outputs))) + 0.1 * rng.standard_normal((n, outputs))
    return X, y[:, 0] if outputs == 1 else y


def same(a, b):
    """Equal networks, bit for bit."""
    ours, theirs = a.model_.state_dict(), b.model_.state_dict()
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[k].array, theirs[k].array) for k in ours)
