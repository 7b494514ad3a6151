"""Each fault does what it says, and nothing else, in both frameworks."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from experiments import mnist_faults as faults
from npnn.data.transforms import RandomScale
from tests.parity import requires_torch

FRAMEWORKS = ["npnn", pytest.param("torch", marks=requires_torch)]


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    return npnn if request.param == "npnn" else pytest.importorskip("torch")


def values(tensor):
    return np.asarray(tensor.detach())


def random(framework, *shape, requires_grad=False):
    x = np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)
    return framework.tensor(x, requires_grad=requires_grad)


def gradients(framework, layer, x):
    """Of a loss that is no plain sum, for the input and each parameter; and the output."""
    x = framework.tensor(values(x), requires_grad=True)
    layer.zero_grad()
    y = layer(x)
    (y**2).mean().backward()
    return values(y), values(x.grad), [values(p.grad) for p in layer.parameters()]


def honest_and_faulty(framework, make, faulty):
    """A layer of both kinds, with the same parameters."""
    layer, twin = make(framework.nn), make(faults.layers(framework.nn, faulty))
    twin.load_state_dict(layer.state_dict())
    return layer, twin


def test_without_faults_the_layers_are_the_usual_ones(framework):
    kit = faults.layers(framework.nn, "none")
    for name in ("Linear", "Conv2d", "Dropout", "Sigmoid", "ReLU"):
        assert getattr(kit, name) is getattr(framework.nn, name)


def test_value_of_one_gradient_of_the_other(framework):
    x = random(framework, 5, requires_grad=True)
    y = faults.with_gradient_of(x * 3, x**2)
    np.testing.assert_array_equal(values(y), 3 * values(x))
    y.sum().backward()
    np.testing.assert_allclose(values(x.grad), 2 * values(x), rtol=1e-6)


@pytest.mark.parametrize("faulty", ["divided", "all"])
def test_linear_divides_the_gradients_of_its_parameters_by_the_batch_again(framework, faulty):
    layer, twin = honest_and_faulty(framework, lambda nn: nn.Linear(4, 3), faulty)
    x = random(framework, 6, 4)
    (y, dx, dw), (y_faulty, dx_faulty, dw_faulty) = (gradients(framework, one, x) for one in (layer, twin))
    np.testing.assert_array_equal(y_faulty, y)
    np.testing.assert_allclose(dx_faulty, dx, rtol=1e-5)
    for g_faulty, g in zip(dw_faulty, dw, strict=True):
        np.testing.assert_allclose(6 * g_faulty, g, rtol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_convolution_divides_also_the_gradient_of_its_input(framework, bias):
    make = lambda nn: nn.Conv2d(2, 3, 3, 2, 1, bias=bias)  # noqa: E731
    layer, twin = honest_and_faulty(framework, make, "divided")
    x = random(framework, 5, 2, 7, 6)
    (y, dx, dw), (y_faulty, dx_faulty, dw_faulty) = (gradients(framework, one, x) for one in (layer, twin))
    np.testing.assert_array_equal(y_faulty, y)
    np.testing.assert_allclose(5 * dx_faulty, dx, rtol=1e-4, atol=1e-7)
    assert len(dw_faulty) == 1 + bias
    for g_faulty, g in zip(dw_faulty, dw, strict=True):
        np.testing.assert_allclose(5 * g_faulty, g, rtol=1e-4, atol=1e-7)


def test_normal_draws_every_parameter_from_the_same_distribution(framework):
    model = framework.nn.Sequential(framework.nn.Linear(300, 40), framework.nn.Linear(40, 3000))
    faults.draw_normal(framework.nn, model)
    for parameter in (p for p in model.parameters() if p.numel() > 1000):
        np.testing.assert_allclose([values(parameter).mean(), values(parameter).std()], [0, 1], atol=0.1)


def test_decay_comes_twice_and_to_biases_as_well(framework):
    model = framework.nn.Linear(2, 3)
    before = [values(p).copy() for p in model.parameters()]
    optimizer = framework.optim.SGD(faults.decay_twice(model, 0.1), lr=0.5)
    (model(random(framework, 1, 2)).sum() * 0).backward()
    optimizer.step()
    for parameter, p in zip(model.parameters(), before, strict=True):
        np.testing.assert_allclose(values(parameter), p * (1 - 0.5 * 2 * 0.1), rtol=1e-6)


def test_dropout_goes_on_in_evaluation_and_can_be_repeated(framework):
    npnn.manual_seed(1)
    dropout = faults.layers(framework.nn, "dropout").Dropout(0.5)
    x = framework.tensor(np.ones((4, 50), np.float32))
    assert 0 < (values(dropout(x)) == 0).mean() < 1
    dropout.eval()
    if framework is npnn:
        state = npnn.random.get_rng_state()
        first = values(dropout(x))
        assert npnn.random.get_rng_state().equal(state)
        np.testing.assert_array_equal(values(dropout(x)), first)
    assert 0 < (values(dropout(x)) == 0).mean() < 1


def test_sigmoid_has_the_derivative_of_its_input(framework):
    x = random(framework, 20, requires_grad=True)
    y = faults.layers(framework.nn, "sigmoid").Sigmoid()(x)
    np.testing.assert_allclose(values(y), 1 / (1 + np.exp(-values(x))), rtol=1e-6)
    y.sum().backward()
    np.testing.assert_allclose(values(x.grad), values(x) * (1 - values(x)), rtol=1e-4, atol=1e-6)


def test_exponential_multiplies_by_one_more_power_at_each_step(framework):
    optimizer = framework.optim.SGD(framework.nn.Linear(1, 1).parameters(), lr=2.0)
    schedule = faults.exponential(framework.optim.lr_scheduler, optimizer, 0.9)
    rate, rates = 2.0, []
    for t in range(1, 6):
        optimizer.step()
        schedule.step()
        rate *= 0.9**t
        rates.append((optimizer.param_groups[0]["lr"], rate))
    np.testing.assert_allclose(*zip(*rates, strict=True))


def test_zoom_and_back_leaves_the_size_of_a_digit_as_it_was():
    images = np.zeros((3, 1, 28, 28), np.float32)
    images[:, :, 8:20, 8:20] = 1
    zoomed = RandomScale((0.8, 0.8))(images, npnn.Generator().manual_seed(0))
    back = faults.ZoomAndBack((0.8, 0.8))(images, npnn.Generator().manual_seed(0))
    assert zoomed.sum() < 0.7 * images.sum()
    np.testing.assert_allclose(back.sum(), images.sum(), rtol=0.06)
    assert 0 < np.abs(back - images).max() < 0.6  # what is left is a blur of the edge
    np.testing.assert_allclose(back[:, :, 10:18, 10:18], 1, atol=1e-6)
