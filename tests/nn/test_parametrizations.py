"""Weights that are computed from others, against torch: values, gradients, keys, trainings, and the way back."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest

import npnn
from tests.parity import equal_modules, random_input, requires_torch, torch

pytestmark = requires_torch

LAYERS = {
    "linear": (lambda nn: nn.Linear(4, 3), (5, 4)),
    "conv": (lambda nn: nn.Conv2d(2, 3, 3), (2, 2, 5, 5)),
    "transposed": (lambda nn: nn.ConvTranspose2d(2, 3, 3), (2, 2, 4, 4)),
}
NORMS = {
    "weight_norm": lambda u, m: u.weight_norm(m),
    "weight_norm in one": lambda u, m: u.weight_norm(m, dim=None),
    "weight_norm of columns": lambda u, m: u.weight_norm(m, dim=1),
    "spectral_norm": lambda u, m: u.spectral_norm(m, n_power_iterations=3),
    "spectral_norm of columns": lambda u, m: u.spectral_norm(m, dim=1),
    "parametrizations.weight_norm": lambda u, m: u.parametrizations.weight_norm(m),
    "parametrizations.weight_norm of the bias": lambda u, m: u.parametrizations.weight_norm(m, "bias"),
    "parametrizations.spectral_norm": lambda u, m: u.parametrizations.spectral_norm(m),
    "parametrizations.spectral_norm, 3": lambda u, m: u.parametrizations.spectral_norm(m, n_power_iterations=3, dim=0),
}


def made(lib, layer, norm):
    lib.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return NORMS[norm](lib.nn.utils, LAYERS[layer][0](lib.nn).double())


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("norm", NORMS)
def test_training_follows_torch(layer, norm):
    losses, states = [], []
    for lib, model in zip((npnn, torch), equal_modules(lambda lib: made(lib, layer, norm)), strict=True):
        optimizer = lib.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        x = lib.tensor(random_input(LAYERS[layer][1]))
        losses.append([])
        for _ in range(5):
            optimizer.zero_grad()
            loss = model(x).sin().square().sum()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
        model.eval()
        losses[-1].append(model(x).sum().item())
        states.append({key: value.numpy() for key, value in model.state_dict().items()})
    np.testing.assert_allclose(*losses, rtol=1e-6)  # the normal numbers of spectral_norm agree to the last bits only
    assert list(states[0]) == list(states[1])
    for key, value in states[0].items():
        np.testing.assert_allclose(value, states[1][key], rtol=1e-5, atol=1e-7, err_msg=key)


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
def test_states_move_both_ways(norm):
    ours, theirs = made(npnn, "linear", f"parametrizations.{norm}"), made(torch, "linear", f"parametrizations.{norm}")
    other = NORMS[f"parametrizations.{norm}"](npnn.nn.utils, npnn.nn.Linear(4, 3).double())
    other.load_state_dict(npnn.io.from_torch(theirs.state_dict()))
    ours.eval(), other.eval(), theirs.eval()
    x = random_input((2, 4))
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(other(npnn.tensor(x)).detach().numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(copy.deepcopy(other)(npnn.tensor(x)).detach().numpy(), expected, rtol=1e-12)
    theirs.load_state_dict(npnn.io.to_torch(ours.state_dict()))
    expected = ours(npnn.tensor(x)).detach().numpy()
    np.testing.assert_allclose(theirs(torch.tensor(x)).detach().numpy(), expected, rtol=1e-12)


def test_what_a_parametrized_layer_looks_like():
    layer = made(npnn, "linear", "parametrizations.weight_norm")
    assert type(layer).__name__ == "ParametrizedLinear"
    assert repr(layer).startswith(
        "ParametrizedLinear(\n  in_features=4, out_features=3, bias=True\n  (parametrizations)"
    )
    assert [name for name, _ in layer.named_parameters()] == [
        "bias", "parametrizations.weight.original0", "parametrizations.weight.original1",
    ]  # fmt: skip
    assert not layer.weight.is_leaf
    layer.weight = npnn.ones(3, 4, dtype=npnn.float64)
    np.testing.assert_allclose(layer.weight.detach().numpy(), np.ones((3, 4)))


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("older", [False, True])
def test_the_way_back(norm, older):
    utils = npnn.nn.utils
    layer = made(npnn, "linear", norm if older else f"parametrizations.{norm}").eval()
    layer(npnn.ones(1, 4, dtype=npnn.float64))
    before = layer.weight.detach().numpy().copy()
    if older:
        getattr(utils, f"remove_{norm}")(layer)
        with pytest.raises(ValueError, match="not found"):
            getattr(utils, f"remove_{norm}")(layer)
    else:
        utils.parametrize.remove_parametrizations(layer, "weight")
        with pytest.raises(ValueError, match="no parametrization"):
            utils.parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is npnn.nn.Linear
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    assert isinstance(layer.weight, npnn.nn.Parameter)
    np.testing.assert_allclose(layer.weight.detach().numpy(), before)


def test_steps_of_ones_own():
    class Symmetric(npnn.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).t()

    class Twice(npnn.nn.Module):
        def forward(self, x):
            return 2 * x

    register = npnn.nn.utils.parametrize.register_parametrization
    layer = register(npnn.nn.Linear(3, 3), "weight", Symmetric())
    w = layer.weight.detach().numpy()
    np.testing.assert_array_equal(w, w.T)
    register(layer, "weight", Twice())
    np.testing.assert_allclose(layer.weight.detach().numpy(), 2 * w)
    with pytest.raises(RuntimeError, match="no right_inverse"):
        layer.weight = npnn.ones(3, 3)
    with pytest.raises(ValueError, match="has no parameter 'weights'"):
        register(layer, "weights", Twice())
    with pytest.raises(ValueError, match="makes weight of shape"):
        register(
            npnn.nn.Linear(3, 2), "weight", type("Flat", (npnn.nn.Module,), {"forward": lambda self, x: x.flatten()})()
        )
    with pytest.raises(ValueError, match="at least 1"):
        npnn.nn.utils.spectral_norm(npnn.nn.Linear(2, 2), n_power_iterations=0)
    with pytest.raises(RuntimeError, match="by a hook already"):
        npnn.nn.utils.weight_norm(npnn.nn.utils.weight_norm(npnn.nn.Linear(2, 2)), "weight")
