"""Every activation against torch: values, gradients, dtypes, memory orders, extreme inputs and printing."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.nn import functional as F
from npnn.testing import assert_close
from tests.parity import (
    assert_function_matches_torch,
    assert_module_matches_torch,
    random_input,
    requires_torch,
    skip_without_torch,
    torch,
)

LAYERS = {
    "ReLU": lambda nn: nn.ReLU(),
    "ReLU6": lambda nn: nn.ReLU6(),
    "LeakyReLU": lambda nn: nn.LeakyReLU(),
    "LeakyReLU(0.3)": lambda nn: nn.LeakyReLU(0.3),
    "LeakyReLU(-2)": lambda nn: nn.LeakyReLU(-2.0),
    "ELU": lambda nn: nn.ELU(),
    "ELU(0.4)": lambda nn: nn.ELU(0.4, inplace=False),
    "ELU(-0.5)": lambda nn: nn.ELU(alpha=-0.5),
    "SELU": lambda nn: nn.SELU(),
    "Hardswish": lambda nn: nn.Hardswish(),
    "PReLU": lambda nn: nn.PReLU(),
    "PReLU(3)": lambda nn: nn.PReLU(3, 0.1),
    "Sigmoid": lambda nn: nn.Sigmoid(),
    "Tanh": lambda nn: nn.Tanh(),
    "Softplus": lambda nn: nn.Softplus(),
    "Softplus(2, 1)": lambda nn: nn.Softplus(beta=2.0, threshold=1.0),
    "SiLU": lambda nn: nn.SiLU(),
    "Mish": lambda nn: nn.Mish(),
    "GELU": lambda nn: nn.GELU(),
    "GELU(tanh)": lambda nn: nn.GELU(approximate="tanh"),
}
SMOOTH = ["sigmoid", "tanh", "softplus", "silu", "mish", "gelu", "elu", "selu"]
PIECEWISE = ["relu", "relu6", "leaky_relu", "hardswish"]


def away_from_kinks(x):
    """No value so near to -3, 0, 3 or 6 that a finite difference would step across."""
    kinks = np.array([-3.0, 0.0, 3.0, 6.0])
    nearest = kinks[np.abs(x[..., None] - kinks).argmin(-1)]
    return np.where(np.abs(x - nearest) < 1e-3, nearest + 0.01, x)


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    build = LAYERS[name]
    for shape in [(4, 3), (2, 3, 5), (2, 3, 4, 5), (0, 3)]:
        x = away_from_kinks(3 * random_input(shape))
        assert_module_matches_torch(build, x, check_gradient=x.size > 0)
    assert_module_matches_torch(build, 3 * random_input((40, 3, 5), "float32"), dtype="float32")


@pytest.mark.parametrize("name", [n for n in LAYERS if n != "PReLU(3)"])
def test_single_numbers_and_vectors(name):
    for shape in [(), (1,), (7,)]:
        assert_module_matches_torch(LAYERS[name], away_from_kinks(random_input(shape)))
        assert_module_matches_torch(LAYERS[name], random_input(shape, "float32"), dtype="float32")


@pytest.mark.parametrize("name", LAYERS)
def test_memory_orders(name):
    x = away_from_kinks(2 * random_input((2, 3, 4, 5)))
    channels_last = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    for view in (np.asfortranarray(x), channels_last, np.repeat(x, 2, axis=-1)[..., ::2], x[:, :, ::-1]):
        assert_module_matches_torch(LAYERS[name], view)
    y = LAYERS[name](nn)(npnn.tensor(channels_last.astype(np.float32)))
    assert y.dtype == npnn.float32
    assert y.array.strides == channels_last.astype(np.float32).strides


@requires_torch
@pytest.mark.parametrize("name", [*SMOOTH, *PIECEWISE])
def test_extreme_values(name):
    values = np.array([np.nan, 0.0, -0.0, 1e-30, -1e-30, 5.0, -5.0, 30.0, -30.0, 200.0, -200.0, 1e30, -1e30])
    for dtype in ("float32", "float64"):
        x = values.astype(dtype)
        ours, theirs = npnn.tensor(x, requires_grad=True), torch.from_numpy(x.copy()).requires_grad_()
        y, expected = getattr(F, name)(ours), getattr(torch.nn.functional, name)(theirs)
        y.sum().backward()
        expected.sum().backward()
        assert_close(y, expected, rtol=1e-5, atol=1e-6)
        # where the input is a NaN, torch's gradients follow from how each comparison is written
        assert_close(ours.grad.array[1:], theirs.grad[1:], rtol=1e-4, atol=1e-6)


@requires_torch
def test_tanh_gelu_far_out():
    x = np.array([-1e30, -200.0, -5.0, 0.0, 5.0, 200.0, 1e30], np.float32)
    ours = npnn.tensor(x, requires_grad=True)
    y = F.gelu(ours, approximate="tanh")
    y.sum().backward()
    assert_close(y, torch.nn.functional.gelu(torch.from_numpy(x), approximate="tanh"), rtol=1e-5, atol=1e-6)
    assert_close(ours.grad.array[[0, 1, 3, 5, 6]], [0, 0, 0.5, 1, 1])


@requires_torch
@pytest.mark.parametrize("name", PIECEWISE)
def test_infinities(name):
    x = np.array([np.inf, 3.0], np.float32)
    assert_close(getattr(F, name)(npnn.tensor(x)), getattr(torch.nn.functional, name)(torch.from_numpy(x)))


def test_relu_of_nan_and_of_integers():
    x = npnn.tensor(np.array([np.nan, -1.0, 2.0]), requires_grad=True)
    y = F.relu(x)
    y.sum().backward()
    np.testing.assert_array_equal(y.array, [np.nan, 0, 2])
    np.testing.assert_array_equal(x.grad.array, [1, 0, 1])  # as in torch: not (y <= 0)
    assert F.relu(npnn.tensor(np.array([-1, 2]))).tolist() == [0, 2]


@pytest.mark.parametrize("name", ["leaky_relu", "elu", "selu", "hardswish", "softplus", "silu", "mish", "gelu", "glu"])
def test_integers_are_refused(name):
    with pytest.raises(RuntimeError, match=rf"{name}: expected a floating-point input, got int64; x.float\(\) casts"):
        getattr(F, name)(npnn.tensor(np.array([1, 2])))


@pytest.mark.parametrize("dim", [-1, 0, 1, -2])
def test_glu(dim):
    x = random_input((4, 6, 2))
    assert_module_matches_torch(lambda nn: nn.GLU(dim), x if dim != -2 else x.transpose(0, 2, 1))
    assert_module_matches_torch(lambda nn: nn.GLU(dim), random_input((0, 2, 2)), check_gradient=False)


def test_errors():
    x = npnn.tensor(random_input((2, 3, 4), "float32"))
    with pytest.raises(ShapeError, match=r"even number of elements along dim=1, got \(2, 3, 4\)"):
        F.glu(x, 1)
    with pytest.raises(IndexError, match="dim must be from -3 to 2, got 3"):
        F.glu(x, 3)
    with pytest.raises(RuntimeError, match="approximate must be 'none' or 'tanh', got 'fast'"):
        F.gelu(x, approximate="fast")
    with pytest.raises(ShapeError, match=r"1 weight or one for each of 3 channels, got \(2,\)"):
        F.prelu(x, npnn.tensor(np.ones(2, np.float32)))
    with pytest.raises(RuntimeError, match=r"the input is float32 but the weight is float64: cast .* x.double\(\)"):
        F.prelu(x, npnn.tensor(np.ones(3)))


def test_functions_take_torchs_arguments():
    x = random_input((3, 4))
    for ours, theirs in (
        (lambda x: F.leaky_relu(x, 0.2), lambda x: torch.nn.functional.leaky_relu(x, 0.2)),
        (lambda x: F.elu(x, 0.3), lambda x: torch.nn.functional.elu(x, 0.3)),
        (lambda x: F.softplus(x, 3, 2), lambda x: torch.nn.functional.softplus(x, 3, 2)),
        (lambda x: F.gelu(x, approximate="tanh"), lambda x: torch.nn.functional.gelu(x, approximate="tanh")),
        (lambda x: F.hardswish(x), lambda x: torch.nn.functional.hardswish(x)),
        (lambda x: F.relu6(x), lambda x: torch.nn.functional.relu6(x)),
        (lambda x: F.glu(x), lambda x: torch.nn.functional.glu(x)),
    ):
        assert_function_matches_torch(ours, x, torch_fn=theirs)


def test_printed_as_in_torch():
    skip_without_torch()
    for build in [*LAYERS.values(), lambda nn: nn.GLU(1), lambda nn: nn.Mish(True), lambda nn: nn.Hardswish(True),
                  lambda nn: nn.ReLU(inplace=True), lambda nn: nn.ReLU6(True), lambda nn: nn.LeakyReLU(0.3, True),
                  lambda nn: nn.ELU(0.4, True), lambda nn: nn.SELU(True), lambda nn: nn.SiLU(True)]:  # fmt: skip
        assert repr(build(nn)) == repr(build(torch.nn))
