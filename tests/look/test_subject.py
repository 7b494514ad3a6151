"""Whatever a network comes as: its layers are found, what they give is right, and it is left as it was."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import look, nn
from npnn.errors import CheckpointError
from npnn.experiment.config import UserError
from tests.look.networks import SEEDS, SHAPE, chain, pictures, residual, same, twins


@SEEDS
def test_what_layers_give_is_the_network_up_to_there(seed):
    x, found = pictures(7, seed), []
    for model in twins(chain, seed):
        net = look.subject(model)
        values = net.activations(x, net.layers, batch=3)
        assert list(values) == [layer.name for layer in net.layers] + [""] or list(values) == [
            n.name for n in net.layers
        ]
        model.eval()
        for k in range(len(net.layers)):
            with net.backend.no_grad():
                direct = model[: k + 1](net.tensor(x)).detach().numpy()
            np.testing.assert_allclose(values[net.layers[k].name], direct, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(net.outputs(x), values[net.layers[-1].name], rtol=1e-5, atol=1e-5)
        found.append(values[net.layers[-2].name])
    same(found)


def test_layers_are_found_by_name_place_kind_and_themselves():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    net = look.subject(model)
    assert net.find("2").name == net.find(-1, ("Conv",)).name == net.find(1, ("Conv2d",)).name == "2"
    assert net.find(model[2]).name == net.find(net.layers[2]).name == "2"
    assert net.find("Conv2d").name == net.find(None).name == net.find(None, ("Conv",)).name == "0"
    for wrong, kinds in (("fc", ()), (9, ()), (-9, ()), (2, ("Conv",))):
        with pytest.raises(ValueError, match=r"there is no layer .* it has 0 \(Conv2d\)"):
            net.find(wrong, kinds)
    with pytest.raises(ValueError, match=r"no layer of the kind LSTM in this model; it has 0 \(Conv2d\), 1 \(ReLU\)"):
        net.find(None, ("LSTM",))
    assert str(look.subject(nn.Linear(2, 2)).layers[0]) == "model (Linear)"


def test_a_network_is_left_as_it_was():
    x = pictures(4)
    for model in twins(residual):
        net = look.subject(model)
        model.train()
        model.head.eval()
        (model(net.tensor(x)) ** 2).sum().backward()
        before = [(p.detach().numpy().copy(), p.grad.detach().numpy().copy()) for p in model.parameters()]
        look.exciting(model, "conv", x)
        look.visualize(model, "conv", [0], x, steps=2)
        look.stages(model, x[0])
        look.measured_field(model, "conv", SHAPE, 3, 3)
        look.guided_grad_cam(model, x)
        look.surface(model, lambda outputs, y: (outputs**2).mean(), x, np.zeros(4), resolution=3)
        with pytest.raises(ValueError, match="and not maps"):
            look.grad_cam(model, x, layer="head")
        assert model.training
        assert model.stem.training
        assert not model.head.training
        assert model.act.inplace
        for p, (weight, gradient) in zip(model.parameters(), before, strict=True):
            np.testing.assert_array_equal(p.detach().numpy(), weight)
            np.testing.assert_array_equal(p.grad.detach().numpy(), gradient)
        hooks = [m._forward_hooks for m in model.modules() if hasattr(m, "_forward_hooks")]
        assert not any(hooks)


def test_an_estimator_and_a_file():
    sklearn = pytest.importorskip("npnn.sklearn", reason="scikit-learn is not installed")
    X = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    estimator = sklearn.NeuralNetClassifier((7,), max_iter=2, n_iter_no_change=np.inf).fit(X, (X[:, 0] > 0).astype(int))
    assert look.kernels(estimator, shape=(5, 1, 1)).weight.shape == (7, 5, 1, 1)
    found = look.kernels("best_models/cnn_digits-dropout.safetensors")
    assert found.weight.shape == (64, 1, 3, 3)


def test_files_that_hold_no_network(tmp_path):
    npnn.io.save_file({"w": np.ones(3)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="does not say which experiment"):
        look.kernels(tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"\x01\x02")
    with pytest.raises(CheckpointError):
        look.kernels(tmp_path / "broken.safetensors")
    with pytest.raises(TypeError, match=r"must be an npnn\.nn\.Module or a torch\.nn\.Module, got int"):
        look.kernels(3)


def test_the_model_is_not_run_further_than_needed():
    class Stop(nn.Module):
        def forward(self, x):
            raise AssertionError("this layer was not asked for")

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), Stop())
    net = look.subject(model)
    assert list(net.activations(pictures(2), ["0", "1"])) == ["0", "1"]
    gradient, _, scores = net.gradients(pictures(2), lambda out: out.sum((1, 2, 3)), net.find("1"))
    assert gradient.shape == (2, *SHAPE)
    assert scores.shape == (2,)
