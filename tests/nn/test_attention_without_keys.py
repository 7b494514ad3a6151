"""A query that may see no key: attention gives 0 for it, and finite gradients, as in torch."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from tests.parity import requires_torch, torch


@requires_torch
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(5))
def test_it_gets_nothing(dtype, seed):
    rng = np.random.default_rng(seed)
    mask, arrays = rng.random((2, 7, 6)) < 0.4, [rng.standard_normal((2, n, 4)).astype(dtype) for n in (7, 6, 6)]
    mask[:, seed] = False
    results = []
    for lib in (npnn, torch):
        q, k, v = (lib.tensor(a, requires_grad=True) for a in arrays)
        y = lib.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=lib.tensor(mask))
        (y * y).sum().backward()
        results.append([y.detach(), q.grad, k.grad, v.grad])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-5)
