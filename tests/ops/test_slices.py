"""Many slices of one tensor: their gradients go into one array, whoever else uses the tensor, and in any order."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn.engine import Part
from tests.parity import requires_torch


def draw_index(rng, shape):
    kind = int(rng.integers(6))
    n = shape[0]
    if kind == 0:
        return int(rng.integers(-n, n))
    if kind == 1:
        return slice(int(rng.integers(n)), n, int(rng.integers(1, 3)))
    if kind == 2:
        return (slice(None), int(rng.integers(shape[1])))
    if kind == 3:
        return rng.integers(-n, n, int(rng.integers(1, 6))).tolist()  # places may come twice
    if kind == 4:
        return (..., rng.random(shape[-1]) < 0.5)
    return (rng.integers(0, n, 4), rng.integers(0, shape[1], 4))


def total(lib, x, indices, weights, dense):
    """A sum over slices, with uses of the whole tensor between them where ``dense`` says so."""
    result = 0
    for i, (index, w) in enumerate(zip(indices, weights, strict=True)):
        given = (
            tuple(lib.tensor(p) if isinstance(p, np.ndarray) else p for p in index)
            if isinstance(index, tuple)
            else index
        )
        result = result + (x[given] * w).sum()
        if dense[i]:
            result = result + (x * x).sum()
    return result


@requires_torch
@pytest.mark.parametrize("seed", range(60))
def test_the_gradient_of_many_slices_is_torchs(seed):
    import torch

    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(2, 6, 3))
    values = rng.standard_normal(shape)
    count = int(rng.integers(1, 7))
    indices = [draw_index(rng, shape) for _ in range(count)]
    weights, dense = rng.standard_normal(count).tolist(), (rng.random(count) < 0.3).tolist()
    middle, hook, again = rng.random(3) < 0.5
    found = []
    for lib in (npnn, torch):
        leaf = lib.tensor(values, requires_grad=True)
        seen = []
        if hook:
            leaf.register_hook(lambda g, seen=seen: seen.append(g.numpy().copy()))
        x = leaf * 2 if middle else leaf
        loss = total(lib, x, indices, weights, dense)
        (alone,) = lib.autograd.grad(loss, leaf, retain_graph=True)
        for _ in range(1 + again):
            loss.backward(retain_graph=True)
        found.append([alone.numpy(), leaf.grad.numpy(), *seen])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_loop_over_slices_makes_one_array():
    made = []
    whole = Part.whole

    def counted(self):
        made.append(self)
        return whole(self)

    x = npnn.randn(3, 50, 4, requires_grad=True)
    y = x * 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Part, "whole", counted)
        sum((t * t).sum() for t in y.unbind(1)).backward()
    assert len(made) == 1
    np.testing.assert_allclose(x.grad, 2 * x.detach())


def test_a_gradient_that_others_hold_is_not_written_into():
    x = npnn.ones(3, requires_grad=True)
    y = x * 1
    loss = y.sum() + y[0] * 5 + y[1] * 7  # the gradient of the sum is one number, spread out
    loss.backward()
    assert x.grad.tolist() == [6.0, 8.0, 1.0]
