"""The functions that torch has both as torch.NAME and as torch.nn.functional.NAME, with other arguments."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn.nn import native
from tests.parity import torch

needs_torch = pytest.mark.skipif(torch is None, reason="needs torch")


def values(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape)


X, W, B = values(4, 6), values(6), values(6) + 1
IMAGE = values(2, 6, 5)
CALLS = {
    "dropout": lambda lib, t: lib.dropout(t(X), 0.5, train=False) + lib.dropout(t(X), 0.0, True),
    "alpha_dropout": lambda lib, t: lib.alpha_dropout(t(X), p=0.5, train=False),
    "embedding": lambda lib, t: lib.embedding(t(X), lib.tensor([3, 0, 3])),
    "embedding_bag": lambda lib, t: lib.embedding_bag(t(X), lib.tensor([3, 0, 1]), lib.tensor([0, 2]), mode=1)[0],
    "batch_norm": lambda lib, t: lib.batch_norm(t(X), t(W), t(B), None, None, True, 0.1, 1e-5, False),
    "instance_norm": lambda lib, t: lib.instance_norm(t(IMAGE), t(W), t(B), None, None, True, 0.1, 1e-5, False),
    "group_norm": lambda lib, t: lib.group_norm(t(IMAGE), 3, t(W), t(B), 1e-5, False),
    "layer_norm": lambda lib, t: lib.layer_norm(t(X), (6,), t(W), t(B), 1e-5, False),
    "cosine_embedding_loss": lambda lib, t: lib.cosine_embedding_loss(t(X), t(X[::-1]), t(np.sign(X[:, 0])), 0.1, 2),
    "hinge_embedding_loss": lambda lib, t: lib.hinge_embedding_loss(t(X), t(np.sign(X)), 1.0, 0),
    "kl_div": lambda lib, t: lib.kl_div(t(X), t(np.exp(X)), 1),
    "margin_ranking_loss": lambda lib, t: lib.margin_ranking_loss(t(X), t(X[::-1]), t(np.sign(X)), 0.1, reduction=2),
    "poisson_nll_loss": lambda lib, t: lib.poisson_nll_loss(t(X), t(np.exp(X)), True, True, 1e-8, 1),
}


def test_each_has_a_case():
    assert set(CALLS) == set(native.__all__)


@needs_torch
@pytest.mark.parametrize("name", CALLS)
def test_values_and_gradients_are_those_of_torch(name):
    found = []
    for lib in (npnn, torch):
        leaves = []

        def leaf(a, lib=lib, leaves=leaves):
            leaves.append(lib.tensor(np.ascontiguousarray(a), requires_grad=True))
            return leaves[-1]

        y = CALLS[name](lib, leaf)
        (y * lib.tensor(np.random.default_rng(5).standard_normal(tuple(y.shape)))).sum().backward()
        found.append([y.detach().numpy(), *(x.grad.numpy() for x in leaves if x.grad is not None)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_a_reduction_is_a_number():
    with pytest.raises(ValueError, match="0 is none, 1 the mean, 2 the sum"):
        npnn.kl_div(npnn.ones(2), npnn.ones(2), reduction=3)
    with pytest.raises(ValueError, match="mode must be"):
        npnn.embedding_bag(npnn.ones(2, 2), npnn.tensor([0]), npnn.tensor([0]), mode=4)
