"""Clipping, weights as a vector, and the L2 penalty."""

from __future__ import annotations

import math

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.nn import utils
from npnn.testing import gradcheck
from tests.parity import random_input, requires_torch, torch

SHAPES = [(3, 4), (5,), (2, 3, 2, 2), ()]


def parameters(scale=1.0, dtype="float64"):
    """Parameters with gradients; the last has none."""
    made = [nn.Parameter(np.asarray(random_input(shape, dtype), dtype)) for shape in [*SHAPES, (2,)]]
    for i, p in enumerate(made[:-1]):
        p.grad = npnn.tensor(np.asarray(scale * random_input(p.shape, dtype, seed=i + 9), dtype))
    return made


def as_torch(made):
    theirs = [torch.nn.Parameter(torch.tensor(p.array)) for p in made]
    for p, q in zip(made, theirs, strict=True):
        q.grad = None if p.grad is None else torch.tensor(p.grad.array)
    return theirs


@requires_torch
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("norm_type", [2.0, 1, 3.5, math.inf, 0])
@pytest.mark.parametrize("max_norm", [0.7, 1000.0])
def test_clip_grad_norm(max_norm, norm_type, dtype):
    ours = parameters(3.0, dtype)
    theirs = as_torch(ours)
    norm = utils.clip_grad_norm_(iter(ours), max_norm, norm_type, foreach=False)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(norm.array, expected.numpy(), rtol=tolerance)
    assert norm.dtype == dtype
    for p, q in zip(ours[:-1], theirs[:-1], strict=True):
        np.testing.assert_allclose(p.grad.array, q.grad.numpy(), rtol=tolerance)
        assert p.grad.dtype == dtype
    assert ours[-1].grad is None


def test_the_clipped_norm_is_the_limit():
    made = parameters(10.0)
    assert utils.clip_grad_norm_(made, 2.0).item() > 2
    assert utils.clip_grad_norm_(made, 2.0).item() == pytest.approx(2, rel=1e-6)


def test_one_parameter_or_none_at_all():
    p = parameters(3.0)[0]
    before = np.linalg.norm(p.grad.array)
    assert utils.clip_grad_norm_(p, 0.5).item() == pytest.approx(before)
    assert np.linalg.norm(p.grad.array) == pytest.approx(0.5, rel=1e-5)
    assert utils.clip_grad_norm_([], 1.0).item() == 0
    assert utils.clip_grad_norm_([nn.Parameter(np.ones(2))], 1.0).item() == 0
    empty = nn.Parameter(np.ones((0, 3)))
    empty.grad = npnn.tensor(np.ones((0, 3)))
    assert utils.clip_grad_norm_(empty, 1.0, math.inf).item() == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_norm_that_is_not_finite(bad):
    made = parameters()
    made[1].grad.array[2] = bad
    before = made[0].grad.array.copy()
    with pytest.raises(RuntimeError, match=f"norm of the gradients is {bad}"):
        utils.clip_grad_norm_(made, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(made[0].grad.array, before)
    assert not math.isfinite(utils.clip_grad_norm_(made, 1.0).item())
    expected = np.full(before.shape, np.nan) if np.isnan(bad) else np.zeros(before.shape)
    np.testing.assert_array_equal(made[0].grad.array, expected)  # what torch does: nobody can overlook it


@requires_torch
def test_clip_grad_value():
    ours = parameters(3.0)
    theirs = as_torch(ours)
    assert utils.clip_grad_value_(ours, 0.4, foreach=None) is None
    torch.nn.utils.clip_grad_value_(theirs, 0.4)
    for p, q in zip(ours[:-1], theirs[:-1], strict=True):
        np.testing.assert_array_equal(p.grad.array, q.grad.numpy())
    utils.clip_grad_value_(ours[0], 0.1)
    assert np.abs(ours[0].grad.array).max() == 0.1


def test_parameters_as_one_vector():
    made = parameters()
    vector = utils.parameters_to_vector(made)
    np.testing.assert_array_equal(vector.array, np.concatenate([p.array.ravel() for p in made]))
    (vector * vector).sum().backward()
    np.testing.assert_allclose(made[2].grad.array - random_input(made[2].shape, seed=11), 2 * made[2].array)
    utils.vector_to_parameters(npnn.tensor(np.arange(vector.numel(), dtype=float)), iter(made))
    assert made[0].array[1, 2] == 6
    assert made[1].array[0] == 12
    assert utils.parameters_to_vector(made).tolist() == list(range(vector.numel()))


def test_vectors_ignore_the_memory_order():
    p = nn.Parameter(np.asfortranarray(random_input((3, 4))))
    np.testing.assert_array_equal(utils.parameters_to_vector([p]).array, p.array.ravel())
    utils.vector_to_parameters(npnn.tensor(np.arange(12.0)), [p])
    np.testing.assert_array_equal(p.array, np.arange(12.0).reshape(3, 4))
    assert p.array.flags.f_contiguous


def test_a_vector_of_another_length():
    made = parameters()
    before = made[0].array.copy()
    for n in (37, 45):
        with pytest.raises(ShapeError, match=rf"expected a vector of 44 elements, got shape \({n},\)"):
            utils.vector_to_parameters(npnn.tensor(np.zeros(n)), made)
    np.testing.assert_array_equal(made[0].array, before)


# ---- the L2 penalty


def test_l2_penalty():
    arrays = [random_input(shape) for shape in [(3, 4), (5,)]]
    assert utils.l2_penalty([npnn.tensor(a) for a in arrays]).item() == pytest.approx(
        sum((a**2).sum() for a in arrays) / 2
    )
    gradcheck(lambda a, b: utils.l2_penalty([a, b]), *arrays)
    gradcheck(utils.l2_penalty, arrays[0])
    assert utils.l2_penalty(nn.Linear(3, 4).parameters()).dtype == np.float32
    with pytest.raises(ValueError, match="no parameters"):
        utils.l2_penalty([])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_weight_decay_is_the_l2_penalty_for_sgd(dtype):
    """Ten steps with weight_decay=λ, and ten with λ/2 Σ‖w‖² added to the loss, end at the same weights."""
    decay, x, y = 0.1, random_input((16, 3), dtype), np.arange(16) % 2
    weights = []
    for in_the_loss in (False, True):
        npnn.manual_seed(2)
        model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)).to(dtype)
        optimizer = npnn.optim.SGD(model.parameters(), lr=0.5, weight_decay=0 if in_the_loss else decay)
        for _ in range(10):
            optimizer.zero_grad()
            loss = nn.CrossEntropyLoss()(model(npnn.tensor(x)), npnn.tensor(y))
            if in_the_loss:
                loss = loss + decay * utils.l2_penalty(model.parameters())
            loss.backward()
            optimizer.step()
        weights.append(utils.parameters_to_vector(model.parameters()).array)
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-12 if dtype == "float64" else 1e-5, atol=1e-6)
    assert np.linalg.norm(weights[0]) > 0.1
