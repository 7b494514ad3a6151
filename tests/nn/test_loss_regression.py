"""MSE, L1, smooth L1 and Huber losses against torch."""

from __future__ import annotations

import math

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.nn import functional as F
from tests.parity import assert_function_matches_torch, random_input, requires_torch, torch

FUNCTIONS = [
    ("mse_loss", {}),
    ("l1_loss", {}),
    ("smooth_l1_loss", {}),
    ("smooth_l1_loss", {"beta": 0.3}),
    ("smooth_l1_loss", {"beta": 0}),
    ("huber_loss", {}),
    ("huber_loss", {"delta": 2.5}),
]
NAMES = ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"]


def both(name, weight=None, **options):
    def ours(x, t):
        return getattr(F, name)(x, t, **options, **({} if weight is None else {"weight": npnn.tensor(weight)}))

    def theirs(x, t):
        fn = getattr(torch.nn.functional, name)
        return fn(x, t, **options, **({} if weight is None else {"weight": torch.tensor(weight)}))

    return ours, theirs


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 3, 4), ()])
@pytest.mark.parametrize(("name", "options"), FUNCTIONS)
def test_matches_torch(name, options, shape, reduction, dtype):
    ours, theirs = both(name, reduction=reduction, **options)
    x, t = 2 * random_input(shape, dtype), random_input(shape, dtype, seed=1)
    assert_function_matches_torch(ours, np.asarray(x, dtype), np.asarray(t, dtype), torch_fn=theirs)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights(name, reduction):
    """A mean is divided by the sum of the weights, but for Huber's loss: torch's rule."""
    ours, theirs = both(name, weight=np.linspace(0.5, 2, 12).reshape(4, 3), reduction=reduction)
    assert_function_matches_torch(ours, random_input((4, 3)), random_input((4, 3), seed=1), torch_fn=theirs)


def test_the_gradient_of_l1_is_zero_where_both_are_equal():
    x = npnn.tensor(np.array([1.0, 2.0]), requires_grad=True)
    F.l1_loss(x, npnn.tensor(np.array([1.0, 0.0]))).backward()
    np.testing.assert_array_equal(x.grad.array, [0, 0.5])


def test_huber_and_smooth_l1_agree_up_to_their_scale():
    x, t = npnn.tensor(random_input((9,))), npnn.tensor(random_input((9,), seed=1))
    assert F.huber_loss(x, t, delta=0.7).item() == pytest.approx(0.7 * F.smooth_l1_loss(x, t, beta=0.7).item())


def test_memory_layouts():
    x = random_input((2, 4, 5, 3)).transpose(0, 3, 1, 2)
    ours, theirs = both("mse_loss")
    assert_function_matches_torch(ours, x, np.ascontiguousarray(random_input(x.shape, seed=1)), torch_fn=theirs)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("a", "b"), [((4,), (4, 1)), ((4, 1), (4,)), ((1, 4), (4, 1))])
def test_the_shapes_must_agree(name, a, b):
    with pytest.raises(ShapeError, match=r"expected a target of the input's shape .*; .* reshape one of them"):
        getattr(F, name)(npnn.tensor(np.zeros(a)), npnn.tensor(np.zeros(b)))
    with pytest.raises(ShapeError, match=r"shape \(4, 3\), got \(3,\)$"):
        getattr(F, name)(npnn.tensor(np.zeros((4, 3))), npnn.tensor(np.zeros(3)))


@pytest.mark.parametrize("name", NAMES)
def test_empty_batch(name):
    x = npnn.tensor(np.zeros((0, 3)), requires_grad=True)
    target = npnn.tensor(np.zeros((0, 3)))
    loss = getattr(F, name)(x, target)
    assert math.isnan(loss.item())
    loss.backward()
    assert x.grad.shape == (0, 3)
    assert getattr(F, name)(x, target, reduction="sum").item() == 0


def test_the_result_has_the_dtype_of_the_input():
    x = npnn.tensor(random_input((4,), "float32"), requires_grad=True)
    for target in (np.zeros(4), np.zeros(4, np.int64), np.zeros(4, np.float32)):
        for reduction in ("mean", "sum", "none"):
            loss = F.mse_loss(x, npnn.tensor(target), reduction=reduction, weight=npnn.tensor(np.ones(4)))
            assert loss.dtype == np.float32
    loss.sum().backward()
    assert x.grad.dtype == np.float32
    with pytest.raises(RuntimeError, match="floating-point input, got int64"):
        F.mse_loss(npnn.tensor(np.zeros(4, np.int64)), npnn.tensor(np.zeros(4)))


def test_bad_arguments():
    x = npnn.tensor(np.zeros(4))
    with pytest.raises(RuntimeError, match="beta must not be negative, got -1"):
        F.smooth_l1_loss(x, x, beta=-1)
    with pytest.raises(RuntimeError, match="delta must be positive, got 0"):
        F.huber_loss(x, x, delta=0)
    for name in NAMES:
        with pytest.raises(ValueError, match="reduction must be none, mean, sum, got 'batchmean'"):
            getattr(F, name)(x, x, reduction="batchmean")
    with pytest.raises(ShapeError, match=r"a weight that broadcasts to the input's \(4,\), got \(3,\)"):
        F.mse_loss(x, x, weight=npnn.tensor(np.ones(3)))


@requires_torch
@pytest.mark.parametrize(
    ("name", "options"),
    [("MSELoss", {}), ("L1Loss", {}), ("SmoothL1Loss", {"beta": 0.4}), ("HuberLoss", {"delta": 0.4})],
)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_modules_pass_their_options_on(name, options, reduction):
    x, t = random_input((5, 2)), random_input((5, 2), seed=1)
    ours = getattr(nn, name)(reduction=reduction, **options)
    theirs = getattr(torch.nn, name)(reduction=reduction, **options)
    assert ours(npnn.tensor(x), npnn.tensor(t)).item() == pytest.approx(theirs(torch.tensor(x), torch.tensor(t)).item())
    assert repr(ours) == repr(theirs)
