"""Layers and losses written out in operations of tensors give what the ready-made ones give: values and gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

import npnn
from npnn.nn import functional as F

EPS = 1e-5


def normalised(x, dims):
    return (x - x.mean(dims, keepdim=True)) / (x.var(dims, unbiased=False, keepdim=True) + EPS).sqrt()


def softmax(x):
    e = (x - x.max(-1, keepdim=True).values).exp()
    return e / e.sum(-1, keepdim=True)


def attention(q, k, v):
    return softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])) @ v


def huber(x, y):
    d = (x - y).abs()
    return npnn.where(d < 1, 0.5 * d**2, d - 0.5).mean()


INDEX = npnn.tensor([[1, 0, 3], [2, 1, 1]])
PADDING = npnn.tensor([[False], [True], [False], [False]])

# name: (written out, ready-made, shapes of the inputs for a shape of two to four axes)
PAIRS = {
    "batch_norm": (
        lambda x: normalised(x, [i for i in range(x.ndim) if i != 1]),
        lambda x: F.batch_norm(x, None, None, training=True),
        lambda s: [s],
    ),
    "layer_norm": (lambda x: normalised(x, [-1]), lambda x: F.layer_norm(x, x.shape[-1:]), lambda s: [s]),
    "instance_norm": (
        lambda x: normalised(x, list(range(2, x.ndim))),
        lambda x: F.instance_norm(x),
        lambda s: [(*s[:2], 4, *s[2:])],
    ),
    "variance by squares": (
        lambda x: (x.square().mean(0) - x.mean(0) ** 2) * (x.shape[0] / (x.shape[0] - 1)),
        lambda x: x.var(0),
        lambda s: [s],
    ),
    "std": (lambda x: x.var(-1).sqrt(), lambda x: x.std(-1), lambda s: [s]),
    "softmax": (softmax, lambda x: F.softmax(x, dim=-1), lambda s: [s]),
    "attention": (attention, F.scaled_dot_product_attention, lambda s: [s, s, s]),
    "linear": (lambda x, w, b: x @ w.T + b, F.linear, lambda s: [s, (3, s[-1]), (3,)]),
    "mse": (lambda x, y: ((x - y) ** 2).mean(), F.mse_loss, lambda s: [s, s]),
    "huber": (huber, F.smooth_l1_loss, lambda s: [s, s]),
    "cosine": (
        lambda x, y: (x * y).sum(1) / (x.square().sum(1).sqrt() * (y * y).sum(1).sqrt()),
        lambda x, y: F.cosine_similarity(x, y, dim=1),
        lambda s: [s, s],
    ),
    "gelu": (lambda x: x * (1 + (x / math.sqrt(2)).erf()) / 2, F.gelu, lambda s: [s]),
    "silu": (lambda x: x / (1 + (-x).exp()), F.silu, lambda s: [s]),
    "softplus": (lambda x: (1 + x.exp()).log(), F.softplus, lambda s: [s]),
    "tanh": (lambda x: 1 - 2 / ((2 * x).exp() + 1), npnn.tanh, lambda s: [s]),
    "average pooling": (
        lambda x: x.unflatten(-1, (-1, 2)).mean(-1),
        lambda x: F.avg_pool1d(x, 2),
        lambda s: [(s[0], s[1], 2 * s[-1])],
    ),
    "embedding": (
        lambda w: npnn.where(PADDING, w.detach(), w)[INDEX],
        lambda w: F.embedding(INDEX, w, padding_idx=1),
        lambda s: [(4, s[-1])],
    ),
    "glu": (lambda x: x[:, ::2] * x[:, 1::2].sigmoid(), lambda x: F.glu(x[:, [0, 2, 4, 1, 3, 5]], 1), lambda s: [(s[0], 6)]),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", PAIRS)
def test_written_out_it_is_the_same(name, seed):
    by_hand, ready, shapes = PAIRS[name]
    rng = np.random.default_rng([seed, len(name)])
    inputs = [rng.standard_normal(shape) for shape in shapes(tuple(rng.integers(2, 6, rng.integers(2, 5))))]
    results = []
    dy = None
    for f in (by_hand, ready):
        x = [npnn.tensor(a, requires_grad=True) for a in inputs]
        y = f(*x)
        dy = rng.standard_normal(y.shape) if dy is None else dy
        y.backward(npnn.tensor(dy))
        results.append([y.detach().numpy(), *(a.grad.numpy() for a in x)])
    for ours, expected in zip(*results, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-7, atol=1e-9)
