"""The small problem that the tests of training share, in either framework."""

from __future__ import annotations

import numpy as np

import npnn
from npnn import nn, optim
from npnn.train import Trainer
from tests.parity import torch

FRAMEWORKS = ["npnn", "torch"] if torch is not None else ["npnn"]


def data(n=40, seed=0):
    """Two classes that a line through the origin does not separate."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2)).astype(np.float32)
    return X, (X[:, 0] * X[:, 1] > 0).astype(np.int64)


def batches(n=40, size=16):
    """A list of pairs: a loader without surprises, whose last batch is smaller."""
    X, y = data(n)
    return [(X[i : i + size], y[i : i + size]) for i in range(0, n, size)]


def framework(name):
    """The layers and the optimisers of npnn or torch."""
    return (nn, optim) if name == "npnn" else (torch.nn, torch.optim)


def seed(number=0):
    npnn.manual_seed(number)
    if torch is not None:
        torch.manual_seed(number)


def build(layers, dropout=0.0):
    """A 2-8-2 network with the same weights in both frameworks."""
    model = layers.Sequential(layers.Linear(2, 8), layers.ReLU(), layers.Dropout(dropout), layers.Linear(8, 2))
    rng = np.random.default_rng(1)
    weights = {k: rng.uniform(-0.7, 0.7, tuple(v.shape)).astype(np.float32) for k, v in model.state_dict().items()}
    model.load_state_dict(weights if layers is nn else {k: torch.from_numpy(v) for k, v in weights.items()})
    return model


def trainer(name="npnn", lr=0.1, dropout=0.0, model=None, optimizer=None, **options):
    """A silent trainer of that network."""
    layers, optimizers = framework(name)
    model = build(layers, dropout) if model is None else model
    make = optimizer or (lambda optimizers, p: optimizers.SGD(p, lr=lr))
    options.setdefault("progress", False)
    return Trainer(model, layers.CrossEntropyLoss(), make(optimizers, model.parameters()), **options)


def weights(model):
    return {name: np.asarray(t.detach()).copy() for name, t in model.state_dict().items()}


def assert_same_weights(a, b):
    """Bit for bit."""
    ours, theirs = weights(a), weights(b)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
