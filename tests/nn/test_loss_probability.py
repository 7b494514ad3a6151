"""Binary cross-entropy and the Kullback-Leibler divergence against torch."""

from __future__ import annotations

import math

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.nn import functional as F
from npnn.testing import gradcheck
from tests.parity import assert_function_matches_torch, random_input, requires_torch, torch

SHAPE = (4, 3)
PROBABILITY = np.random.default_rng(0).uniform(0.05, 0.95, SHAPE)
TARGET = np.random.default_rng(1).uniform(0.05, 0.95, SHAPE)


def same(name, x, t, differentiable_target=True, **options):
    """F.name in both frameworks, with the gradient of the target where torch has one."""
    arrays = {k: v for k, v in options.items() if isinstance(v, np.ndarray)}
    plain = {k: v for k, v in options.items() if not isinstance(v, np.ndarray)}

    def run(functional, tensor):
        fn, extra = getattr(functional, name), {k: tensor(v) for k, v in arrays.items()}
        if differentiable_target:
            return lambda x, t: fn(x, t, **plain, **extra)
        return lambda x: fn(x, tensor(t), **plain, **extra)

    inputs = (x, t) if differentiable_target else (x,)
    theirs = run(torch.nn.functional, torch.tensor) if torch is not None else None
    assert_function_matches_torch(run(F, npnn.tensor), *inputs, torch_fn=theirs)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weight", [None, np.linspace(0.5, 2, 12).reshape(SHAPE), np.array([0.5, 1, 2])])
@pytest.mark.parametrize("pos_weight", [None, np.array([0.5, 1, 3]), np.array(2.0)])
def test_with_logits(reduction, weight, pos_weight):
    options = {k: v for k, v in (("weight", weight), ("pos_weight", pos_weight)) if v is not None}
    same("binary_cross_entropy_with_logits", random_input(SHAPE), TARGET, reduction=reduction, **options)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weight", [None, np.linspace(0.5, 2, 12).reshape(SHAPE), np.array([0.5, 1, 2])])
def test_with_probabilities(reduction, weight):
    options = {} if weight is None else {"weight": weight}
    same("binary_cross_entropy", PROBABILITY, TARGET, differentiable_target=False, reduction=reduction, **options)


def test_the_gradient_of_the_target():
    """torch has none here; ours is held against finite differences."""
    gradcheck(F.binary_cross_entropy, PROBABILITY, TARGET)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.parametrize("reduction", ["none", "sum", "batchmean"])
def test_kl_div(reduction, log_target, dtype):
    x, t = np.log(PROBABILITY).astype(dtype), TARGET.astype(dtype)
    same("kl_div", x, np.log(t) if log_target else t, reduction=reduction, log_target=log_target)


@pytest.mark.filterwarnings("ignore:reduction")  # torch advises against it
def test_kl_div_averaged_over_elements():
    same("kl_div", np.log(PROBABILITY), TARGET)


def test_kl_div_where_the_target_is_zero():
    x = npnn.tensor(np.log([0.25, 0.25, 0.5]), requires_grad=True)
    loss = F.kl_div(x, npnn.tensor(np.array([0.0, 0.5, 0.5])), reduction="sum")
    assert loss.item() == pytest.approx(0.5 * math.log(2))
    loss.backward()
    np.testing.assert_array_equal(x.grad.array, [0, -0.5, -0.5])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_logits(dtype):
    x = npnn.tensor(np.array([1e30, -1e30, 1e30, -1e30], dtype), requires_grad=True)
    losses = F.binary_cross_entropy_with_logits(x, npnn.tensor(np.array([1, 0, 0, 1], dtype)), reduction="none")
    np.testing.assert_allclose(losses.array, [0, 0, 1e30, 1e30], rtol=1e-6)
    losses.sum().backward()
    np.testing.assert_array_equal(x.grad.array, [0, 0, 1, -1])


@requires_torch
def test_certain_probabilities():
    """log 0 counts as -100, and the gradient there is finite."""
    x, t = np.array([0.0, 1, 0, 1]), np.array([0.0, 1, 1, 0])
    ours, theirs = npnn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    a = F.binary_cross_entropy(ours, npnn.tensor(t), reduction="none")
    b = torch.nn.functional.binary_cross_entropy(theirs, torch.tensor(t), reduction="none")
    np.testing.assert_array_equal(a.array, b.detach().numpy())
    a.sum().backward()
    b.sum().backward()
    np.testing.assert_allclose(ours.grad.array, theirs.grad.numpy())


def test_integer_targets_are_cast():
    x = npnn.tensor(random_input(SHAPE, "float32"), requires_grad=True)
    labels = npnn.tensor((TARGET > 0.5).astype(np.int64))
    loss = F.binary_cross_entropy_with_logits(x, labels, pos_weight=npnn.tensor(np.array(2.0)))
    assert loss.dtype == np.float32
    loss.backward()
    assert x.grad.dtype == np.float32


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.nan])
def test_not_a_probability(bad):
    x = PROBABILITY.copy()
    x[0, 0] = bad
    with pytest.raises(RuntimeError, match=r"probabilities between 0 and 1.*binary_cross_entropy_with_logits"):
        F.binary_cross_entropy(npnn.tensor(x), npnn.tensor(TARGET))


def test_a_target_that_is_no_probability():
    with pytest.raises(RuntimeError, match=r"a target with values from 0.0 to 2.0$"):
        F.binary_cross_entropy(npnn.tensor(np.full(2, 0.5)), npnn.tensor([0.0, 2.0]))
    assert math.isnan(F.kl_div(npnn.zeros(2), npnn.tensor([0.5, -0.5])).item())


def test_certainties():
    """x = 0 and x = 1: the loss is limited to 100, the slope along the target is not."""
    x, t = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])
    assert_function_matches_torch(
        lambda x, t: F.binary_cross_entropy(x, t, reduction="none"),
        x,
        t,
        torch_fn=lambda x, t: torch.nn.functional.binary_cross_entropy(x, t, reduction="none"),
        check_gradient=False,
        rtol=1e-8,  # torch's smallest divisor is 1e-12 in float32
    )


def test_a_batch_of_one_number():
    x = npnn.tensor(-1.5)
    assert F.kl_div(x, npnn.tensor(0.5), reduction="batchmean").item() == F.kl_div(x, npnn.tensor(0.5)).item()


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div"])
def test_shapes_must_agree(name):
    with pytest.raises(ShapeError, match=r"shape \(4, 1\), got \(4,\); .*reshape one of them"):
        getattr(F, name)(npnn.tensor(np.zeros((4, 1))), npnn.tensor(np.zeros(4)))


def test_weights_must_fit():
    x, t = npnn.tensor(PROBABILITY), npnn.tensor(TARGET)
    with pytest.raises(ShapeError, match=r"pos_weight that broadcasts to the input's \(4, 3\), got \(5, 4, 3\)"):
        F.binary_cross_entropy_with_logits(x, t, pos_weight=npnn.tensor(np.ones((5, 4, 3))))
    with pytest.raises(ShapeError, match=r"pos_weight that broadcasts to the input's \(4, 3\), got \(4,\)"):
        F.binary_cross_entropy_with_logits(x, t, pos_weight=npnn.tensor(np.ones(4)))
    with pytest.raises(ShapeError, match=r"a weight that broadcasts to the input's \(4, 3\), got \(5, 4, 3\)"):
        F.binary_cross_entropy(x, t, npnn.tensor(np.ones((5, 4, 3))))


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div"])
def test_empty_batch(name):
    x, t = npnn.tensor(np.zeros((0, 3))), npnn.tensor(np.zeros((0, 3)))
    assert math.isnan(getattr(F, name)(x, t).item())
    assert getattr(F, name)(x, t, reduction="sum").item() == 0


@requires_torch
@pytest.mark.parametrize(
    ("name", "options", "weights"),
    [
        ("BCELoss", {"reduction": "sum"}, ("weight",)),
        ("BCEWithLogitsLoss", {"reduction": "sum"}, ("weight", "pos_weight")),
        ("KLDivLoss", {"reduction": "batchmean", "log_target": True}, ()),
    ],
)
def test_modules_pass_their_options_on(name, options, weights):
    arrays = {w: np.linspace(0.5, 2, 3) * (i + 1) for i, w in enumerate(weights)}
    ours = getattr(nn, name)(**options, **{k: npnn.tensor(v) for k, v in arrays.items()})
    theirs = getattr(torch.nn, name)(**options, **{k: torch.tensor(v) for k, v in arrays.items()})
    expected = theirs(torch.tensor(PROBABILITY), torch.tensor(TARGET)).item()
    assert ours(npnn.tensor(PROBABILITY), npnn.tensor(TARGET)).item() == pytest.approx(expected, rel=1e-12)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
