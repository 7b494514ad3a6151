"""Lazy layers: from the first input on they are the layer itself, with the weights it would have had."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import npnn
from npnn import nn, optim
from npnn.nn.lazy import Lazy
from tests.parity import random_input, requires_torch

RNG = np.random.default_rng(7)


def draw(name):
    """Arguments, options, an input's shape and its width, for a lazy layer; two groups divide the width."""
    width, size = 2 * int(RNG.integers(1, 6)), [int(n) for n in RNG.integers(4, 9, 3)]
    batch, outputs = int(RNG.integers(2, 5)), 2 * int(RNG.integers(1, 4))
    if name == "LazyLinear":
        return (outputs,), {"bias": bool(RNG.integers(2))}, (batch, *size[: RNG.integers(3)], width), width
    space = size[: int(name[-2])]
    if "Norm" in name:
        return (), {"affine": bool(RNG.integers(2)), "momentum": 0.3}, (batch, width, *space), width
    options = {"stride": int(RNG.integers(1, 3)), "groups": int(RNG.integers(1, 3)), "bias": bool(RNG.integers(2))}
    return (outputs, int(RNG.integers(1, 4))), options, (batch, width, *space), width


NAMES = sorted(kind.__name__ for kind in vars(nn).values() if isinstance(kind, type) and issubclass(kind, Lazy))
CASES = [(name, *draw(name)) for name in NAMES for _ in range(6)]


def lazy_and_whole(framework, name, args, options, width):
    """Both layers, each made after the same seed; the whole one of InstanceNorm with the lazy one's defaults."""
    if "InstanceNorm" in name:
        options = {"track_running_stats": True, **options}
    framework.manual_seed(3)
    lazy = getattr(framework.nn, name)(*args, **options)
    return lazy, getattr(framework.nn, name.removeprefix("Lazy"))(width, *args, **options)


def test_there_is_a_lazy_layer_of_each_kind():
    assert len(NAMES) == 13


@pytest.mark.parametrize(("name", "args", "options", "shape", "width"), CASES)
def test_a_lazy_layer_becomes_the_layer_itself(name, args, options, shape, width):
    x = npnn.tensor(random_input(shape, "float32"))
    lazy, whole = lazy_and_whole(npnn, name, args, options, width)
    before = list(lazy.parameters())
    npnn.manual_seed(3)
    y = lazy(x)
    np.testing.assert_array_equal(y.detach().numpy(), whole(x).detach().numpy())
    assert type(lazy) is type(whole)
    assert repr(lazy) == repr(whole)
    assert all(a is b for a, b in zip(before, lazy.parameters(), strict=True))
    assert list(vars(lazy)) == list(vars(whole))
    if before:
        y.sum().backward()
    assert all(p.grad is not None for p in before)


@requires_torch
@pytest.mark.parametrize(("name", "args", "options", "shape", "width"), CASES)
def test_a_lazy_layer_is_torchs_from_one_seed(name, args, options, shape, width):
    import torch

    x, found = random_input(shape, "float32"), []
    for framework in (npnn, torch):
        framework.manual_seed(3)
        layer = getattr(framework.nn, name)(*args, **options)
        first = repr(layer)
        layer(framework.tensor(x))
        found.append((first, repr(layer), {k: np.asarray(v) for k, v in layer.state_dict().items()}))
    (before, after, ours), (torch_before, torch_after, theirs) = found
    assert (before, after) == (torch_before, torch_after)
    assert list(ours) == list(theirs)
    for key in ours:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-5, atol=1e-6, err_msg=key)


@pytest.mark.parametrize(("name", "args", "options", "shape", "width"), CASES)
def test_weights_that_are_loaded_tell_the_width_too(name, args, options, shape, width):
    lazy, whole = lazy_and_whole(npnn, name, args, options, width)
    if not whole.state_dict():
        return
    assert lazy.load_state_dict(whole.state_dict()) == ([], [])
    assert repr(lazy) == repr(whole)
    x = npnn.tensor(random_input(shape, "float32"))
    np.testing.assert_array_equal(lazy(x).detach().numpy(), whole(x).detach().numpy())


def network():
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))


def test_an_optimiser_made_before_the_first_input_trains_the_network():
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    x = npnn.tensor(random_input((5, 2, 6, 6), "float32"))
    loss = nn.CrossEntropyLoss()(model(x), npnn.tensor([0, 1, 2, 0, 1]))
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    loss.backward()
    optimizer.step()
    changed = {name for name, p in model.named_parameters() if not np.array_equal(p.detach(), start[name])}
    assert changed >= {"0.weight", "1.weight", "4.weight", "4.bias"}


def test_what_was_set_before_the_first_input_stays():
    model = network().double().requires_grad_(False).eval()
    model(npnn.ones(2, 3, 5, 5, dtype=npnn.float64))
    assert not any(p.requires_grad for p in model.parameters())
    assert {p.dtype for p in model.parameters()} == {npnn.float64}
    assert not any(m.training for m in model.modules())


@pytest.mark.parametrize(
    "use",
    [
        lambda p: p + 1, lambda p: p.shape, lambda p: p.numel(), lambda p: nn.init.normal_(p), copy.deepcopy,
    ],
)  # fmt: skip
def test_weights_that_are_not_there_yet_say_so(use):
    p = nn.LazyLinear(3).weight
    assert repr(p) == "<UninitializedParameter>"
    assert (p.dtype, p.requires_grad, p.grad) == (npnn.float32, True, None)
    with pytest.raises(ValueError, match="no shape yet"):
        use(p)


def test_what_is_written_before_the_first_input_is_lost_and_a_warning_says_so():
    layer = nn.LazyLinear(3)
    state = npnn.get_rng_state()
    with pytest.warns(UserWarning, match="is lost"):
        layer.weight.data.normal_(0, 1)
    assert np.array_equal(npnn.get_rng_state(), state)
    assert layer(npnn.ones(2, 4)).shape == (2, 3)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.LazyLinear(3), ()), (nn.LazyConv2d(3, 2), (3, 3)), (nn.LazyBatchNorm1d(), (3,)), (nn.LazyConv1d(1, 1), (2,))],
)
def test_an_input_without_that_axis_is_refused_and_the_layer_stays_lazy(layer, shape):
    with pytest.raises(ValueError, match="cannot read a width from an input of shape"):
        layer(npnn.ones(shape))
    assert isinstance(layer, Lazy)


def test_wrong_arguments_are_told_when_the_layer_is_made():
    with pytest.raises(TypeError, match="out_features"):
        nn.LazyLinear()
