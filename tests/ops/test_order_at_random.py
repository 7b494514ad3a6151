"""Largest, middle and running largest elements of random tensors, equal ones, nan and inf among them, beside torch's."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from tests.parity import requires_torch


def draw(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 30, int(rng.integers(1, 4))))
    x = rng.integers(0, 6, shape).astype(rng.choice(["float32", "float64", "int64"]))
    for value in (np.nan, np.inf):
        if x.dtype.kind == "f" and rng.random() < 0.3:
            x[rng.random(shape) < 0.1] = value
    axis = int(rng.integers(len(shape)))
    return x, axis, int(rng.integers(shape[axis] + 1))


@requires_torch
@pytest.mark.parametrize("seed", range(100))
def test_values_are_torchs_and_places_hold_them(seed):
    import torch

    x, axis, k = draw(seed)
    for call in (
        lambda t: t.cummax(axis), lambda t: t.cummin(axis), lambda t: t.median(axis, True), lambda t: t.topk(k, axis),
        lambda t: t.topk(k, axis, False),
    ):  # fmt: skip
        ours, theirs = call(npnn.tensor(x)), call(torch.tensor(x))
        np.testing.assert_array_equal(ours[0].numpy(), theirs[0].numpy())
        np.testing.assert_array_equal(np.take_along_axis(x, ours[1].numpy(), axis), ours[0].numpy())


@requires_torch
@pytest.mark.parametrize("seed", range(40))
def test_running_products_with_zeros_have_torchs_gradients(seed):
    import torch

    rng = np.random.default_rng(seed)
    x = rng.standard_normal(tuple(int(n) for n in rng.integers(1, 7, int(rng.integers(1, 4)))))
    x[rng.random(x.shape) < 0.2] = 0
    axis, found = int(rng.integers(x.ndim)), []
    dy = rng.standard_normal(x.shape)
    for lib in (npnn, torch):
        t = lib.tensor(x, requires_grad=True)
        (t.cumprod(axis) * lib.tensor(dy)).sum().backward()
        (t.logcumsumexp(axis) * lib.tensor(dy)).sum().backward()
        t.prod(axis).sum().backward()
        found.append(t.grad.numpy())
    np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-12)


@requires_torch
@pytest.mark.parametrize("rows", [3, 40])
@pytest.mark.parametrize("away", [0.0, 100.0])
def test_distances_between_close_points_far_from_zero(rows, away):
    import torch

    rng, found = np.random.default_rng(0), []
    a, b = rng.standard_normal((2, rows, 4)) + away, rng.standard_normal((2, rows + 2, 4)) + away
    w = rng.standard_normal((2, rows, rows + 2))
    for lib in (npnn, torch):
        p, q = lib.tensor(a, requires_grad=True), lib.tensor(b, requires_grad=True)
        y = lib.cdist(p, q)
        (y * lib.tensor(w)).sum().backward()
        found.append([y.detach().numpy(), p.grad.numpy(), q.grad.numpy()])
    exact = np.linalg.norm(a[:, :, None] - b[:, None], axis=-1)
    np.testing.assert_allclose(found[0][0], exact, rtol=1e-10)
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)
    with pytest.raises(ValueError, match="compute_mode"):
        npnn.cdist(npnn.ones(2, 2), npnn.ones(2, 2), compute_mode="fast")


@requires_torch
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [3, 40])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_point_that_is_nowhere_spoils_its_own_distances_only(rows, value):
    import torch

    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((rows, 4)), rng.standard_normal((rows, 4))
    b[1, 2] = value
    ours, theirs = (lib.cdist(lib.tensor(a), lib.tensor(b)).numpy() for lib in (npnn, torch))
    np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs))
    np.testing.assert_allclose(np.delete(ours, 1, 1), np.delete(theirs, 1, 1), rtol=1e-9)
