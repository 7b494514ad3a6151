"""Covariances, choices, powers, and functions of signs and whole numbers, beside torch's."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from tests.parity import requires_torch


def both(call, *arrays, grad=True):
    import torch

    results = []
    for lib in (npnn, torch):
        tensors = [lib.tensor(a, requires_grad=grad and a.dtype.kind == "f") for a in arrays]
        y = call(lib, *tensors)
        found = [y.detach().numpy()]
        if y.requires_grad:
            (y * lib.tensor(np.random.default_rng(9).standard_normal(tuple(y.shape)))).sum().backward()
            found += [t.grad.numpy() for t in tensors if t.grad is not None]
        results.append(found)
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
        assert ours.dtype == theirs.dtype


@requires_torch
@pytest.mark.parametrize("shape", [(3, 7), (1, 5), (6,), (4, 1)])
@pytest.mark.parametrize("correction", [0, 1, 2])
@pytest.mark.filterwarnings("ignore:cov")
def test_covariances(shape, correction):
    x = np.random.default_rng(1).standard_normal(shape)
    grad = shape[-1] > 1  # of what is divided by 0 there is none
    both(lambda lib, x: lib.cov(x, correction=correction), x, grad=grad)
    f, a = np.array([1, 3, 2, 1, 4, 1, 2])[: shape[-1]], np.linspace(0.5, 2, 7)[: shape[-1]]
    both(lambda lib, x: x.cov(correction=correction, fweights=lib.tensor(f), aweights=lib.tensor(a)), x, grad=grad)


@requires_torch
@pytest.mark.parametrize("shape", [(3, 7), (2, 3), (5,)])
def test_correlations(shape):
    both(lambda lib, x: x.corrcoef(), np.random.default_rng(2).standard_normal(shape))


@requires_torch
def test_choices_and_powers():
    rng = np.random.default_rng(3)
    a, b, c = (rng.standard_normal(n) for n in (3, 4, 2))
    both(lambda lib, *rows: lib.cartesian_prod(*rows), a, b, c)
    both(lambda lib, row: lib.cartesian_prod(row), a)
    for r, again in ((2, False), (3, True), (1, False), (5, False)):
        both(lambda lib, row, r=r, again=again: lib.combinations(row, r, again), b)
    for N, up in ((None, False), (3, True), (0, False)):
        both(lambda lib, row, N=N, up=up: lib.vander(row, N, increasing=up), a, grad=False)
    assert npnn.broadcast_shapes((3, 1), (4,), 1) == (3, 4)
    with pytest.raises(RuntimeError, match="do not broadcast"):
        npnn.broadcast_shapes((3,), (4,))


@requires_torch
def test_signs_and_divisors():
    a = np.array([1.5, -2.0, 0.0, -0.0, 3.0])
    both(lambda lib, x, y: lib.copysign(x, y), a, np.array([-1.0, 1.0, -0.0, 2.0, -3.0]))
    both(lambda lib, x: lib.copysign(x, -2.0), a)
    both(lambda lib, x, y: lib.heaviside(x, y), a, np.full(5, 0.5), grad=False)
    whole = np.array([12, -18, 0, 7]), np.array([8, 12, 5, 0])
    for name in ("gcd", "lcm"):
        both(lambda lib, x, y, name=name: getattr(lib, name)(x, y), *whole)
    with pytest.raises(RuntimeError, match="whole numbers"):
        npnn.gcd(npnn.ones(2), npnn.ones(2))
    with pytest.raises(RuntimeError, match="dtype"):
        npnn.heaviside(npnn.ones(2), npnn.ones(2, dtype=npnn.float64))


@pytest.mark.parametrize(("call", "match"), [
    (lambda: npnn.cov(npnn.ones(2, 2, 2)), "a matrix"), (lambda: npnn.combinations(npnn.ones(2, 2)), "one row"),
    (lambda: npnn.vander(npnn.ones(2, 2)), "one row"),
])  # fmt: skip
def test_other_shapes_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
