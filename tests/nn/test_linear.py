"""Linear and Identity against torch, and what they say about bad inputs."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.nn import functional as F
from tests.parity import assert_function_matches_torch, assert_module_matches_torch, random_input, requires_torch, torch


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (1, 3), (3,), (2, 4, 3), (2, 1, 2, 3), (0, 3), (2, 0, 3)])
def test_matches_torch(shape, bias, dtype):
    assert_module_matches_torch(lambda nn: nn.Linear(3, 4, bias=bias), random_input(shape), dtype=dtype)


@pytest.mark.parametrize(("features", "outputs"), [(1, 1), (1, 5), (5, 1), (17, 33)])
def test_sizes(features, outputs):
    assert_module_matches_torch(lambda nn: nn.Linear(features, outputs), random_input((7, features)))


@pytest.mark.parametrize("shape", [(40, 90), (3, 20, 90)])
def test_products_shared_between_threads(num_threads, shape):
    assert_module_matches_torch(lambda nn: nn.Linear(90, 70), random_input(shape), check_gradient=False)


@pytest.mark.parametrize("layout", ["F", "sliced", "reversed", "broadcast"])
def test_any_memory_layout(layout):
    x = random_input((6, 3))
    if layout == "F":
        given = np.asfortranarray(x)
    elif layout == "sliced":
        given = np.zeros((12, 9))[::2, ::3]
        given[...] = x
    elif layout == "reversed":
        given = x[::-1].copy()[::-1]
    else:
        given = np.broadcast_to(x[:1], (6, 3))
    weight, bias = random_input((4, 3), seed=1), random_input((4,), seed=2)
    assert_module_matches_torch(lambda nn: nn.Linear(3, 4), given)
    np.testing.assert_allclose(
        F.linear(npnn.tensor(given), npnn.tensor(np.asfortranarray(weight)), npnn.tensor(bias)).array,
        given @ weight.T + bias,
        rtol=1e-12,
    )


def test_gradient_through_a_transposed_image():
    """(N, C, H, W) in channels-last memory, as a pointwise layer over channels sees it."""
    weight = random_input((5, 3), seed=1)
    image = np.ascontiguousarray(random_input((2, 4, 6, 3))).transpose(0, 3, 1, 2)
    assert_function_matches_torch(
        lambda x, w: F.linear(x.permute(0, 2, 3, 1), w),
        image,
        weight,
        torch_fn=lambda x, w: torch.nn.functional.linear(x.permute(0, 2, 3, 1), w),
    )


def test_functional_without_bias():
    assert_function_matches_torch(
        lambda x, w: F.linear(x, w),
        random_input((5, 3)),
        random_input((2, 3)),
        torch_fn=lambda x, w: torch.nn.functional.linear(x, w),
    )


def test_no_gradient_is_computed_that_nobody_wants():
    layer = nn.Linear(3, 4)
    y = layer(npnn.tensor(random_input((5, 3), "float32")))
    assert not hasattr(y.grad_fn, "weight"), "the first layer needs no input gradient, so it keeps no weight"
    layer.weight.requires_grad_(False)
    y = layer(npnn.tensor(random_input((5, 3), "float32")))
    y.sum().backward()
    assert layer.weight.grad is None
    np.testing.assert_array_equal(layer.bias.grad.array, np.full(4, 5, np.float32))


def test_float32_stays_float32():
    layer = nn.Linear(3, 4)
    y = layer(npnn.tensor(random_input((5, 3), "float32"), requires_grad=True))
    y.sum().backward()
    assert {y.dtype, layer.weight.grad.dtype, layer.bias.grad.dtype} == {np.dtype("float32")}


def test_default_initialisation():
    layer = nn.Linear(400, 300)
    for values in (layer.weight.array, layer.bias.array):
        assert np.abs(values).max() <= 1 / 20
    assert layer.weight.array.var() == pytest.approx(1 / (3 * 400), rel=0.02)
    assert layer.bias.array.var() == pytest.approx(1 / (3 * 400), rel=0.3)
    before = layer.weight.array.copy()
    layer.reset_parameters()
    assert not np.array_equal(before, layer.weight.array)


def test_the_seed_decides():
    npnn.manual_seed(3)
    a = nn.Linear(4, 5).weight.array.copy()
    npnn.manual_seed(3)
    np.testing.assert_array_equal(a, nn.Linear(4, 5).weight.array)


def test_no_inputs_or_outputs():
    assert nn.Linear(0, 3)(npnn.tensor(np.zeros((2, 0), np.float32))).shape == (2, 3)
    assert nn.Linear(3, 0)(npnn.tensor(np.zeros((2, 3), np.float32))).shape == (2, 0)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 2), r"expected an input of shape \(\*, 3\), got \(5, 2\)"),
        ((3, 5), r"got \(3, 5\); is the input transposed\?"),
        ((2, 1, 3, 1), r"got \(2, 1, 3, 1\); put nn.Flatten\(\) before this layer"),
        ((), r"got \(\)"),
    ],
)
def test_wrong_shape(shape, message):
    with pytest.raises(ShapeError, match=message):
        nn.Linear(3, 4)(npnn.tensor(np.zeros(shape, np.float32)))


def test_the_error_names_the_layer():
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Identity(), nn.Linear(5, 4)))
    with pytest.raises(
        ShapeError,
        match=r"in layer 1\.1: Linear\(in_features=5, .*\): expected an input of shape \(\*, 5\), got \(2, 4\)",
    ):
        model(npnn.tensor(np.zeros((2, 3), np.float32)))


def test_wrong_dtype():
    with pytest.raises(
        RuntimeError, match=r"input is float64 but the weight is float32: .*x\.float\(\) or model\.double"
    ):
        nn.Linear(3, 4)(npnn.tensor(np.zeros((2, 3))))
    with pytest.raises(
        RuntimeError, match=r"input is float32 but the weight is float64: .*x\.double\(\) or model\.float"
    ):
        nn.Linear(3, 4).double()(npnn.tensor(np.zeros((2, 3), np.float32)))
    with pytest.raises(RuntimeError, match=r"input is int64 but the weight is float32: .*x\.float\(\)"):
        nn.Linear(3, 4)(npnn.tensor(np.zeros((2, 3), np.int64)))
    zeros = npnn.tensor(np.zeros((3, 3), np.float32))
    with pytest.raises(RuntimeError, match=r"input is float32 but the bias is float64"):
        F.linear(zeros, zeros, npnn.tensor(np.zeros(3)))


@pytest.mark.parametrize(("weight", "bias"), [((4, 3), (3,)), ((4, 3), (1,)), ((4, 3), (4, 1)), ((4, 3, 3), None)])
def test_wrong_parameters(weight, bias):
    tensors = [npnn.tensor(np.zeros(shape)) for shape in ((2, 3), weight, bias) if shape is not None]
    with pytest.raises(ShapeError, match=r"a weight of shape \(O, I\) and a bias of shape \(O,\), got"):
        F.linear(*tensors)


@requires_torch
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 0, 3)])
def test_one_output_without_an_axis(shape):
    x, w = random_input(shape), random_input((3,))
    assert_function_matches_torch(F.linear, x, w, torch_fn=torch.nn.functional.linear)
    np.testing.assert_array_equal(
        F.linear(npnn.tensor(x), npnn.tensor(w), npnn.tensor(2.0).double()).array,
        F.linear(npnn.tensor(x), npnn.tensor(w)).array + 2,
    )
    with pytest.raises(ShapeError, match="expected an input of shape"):
        F.linear(npnn.zeros(2, 4), npnn.zeros(3))


def test_nan_passes_through():
    x = np.zeros((2, 3), np.float32)
    x[0, 0] = np.nan
    y = nn.Linear(3, 4)(npnn.tensor(x)).array
    assert np.isnan(y[0]).all()
    assert np.isfinite(y[1]).all()


@requires_torch
def test_repr():
    for args in ((3, 4), (3, 4, False)):
        assert repr(nn.Linear(*args)) == repr(torch.nn.Linear(*args))


def test_identity():
    x = npnn.tensor(random_input((2, 3)), requires_grad=True)
    layer = nn.Identity(54, unused=0.1)
    assert layer(x) is x
    assert repr(layer) == "Identity()"
    assert list(layer.parameters()) == []
