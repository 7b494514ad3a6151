"""Transposed convolutions against torch, and what they say about bad inputs."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn.errors import ShapeError
from npnn.nn import functional as F
from npnn.nn.convolution.transpose import ConvTranspose1d, ConvTranspose2d
from tests.parity import assert_module_matches_torch, random_input, requires_torch

CASES_2D = [  # (C, O, kernel_size), options, input shape
    ((3, 4, 3), {}, (2, 3, 5, 6)),
    ((3, 4, 2), {"stride": 2}, (2, 3, 5, 6)),
    ((3, 4, 3), {"stride": 2, "padding": 1, "output_padding": 1}, (2, 3, 4, 5)),
    ((3, 4, 3), {"stride": 2, "output_padding": 1}, (2, 3, 4, 5)),
    ((3, 4, 4), {"stride": (2, 3), "padding": (1, 2), "bias": False}, (2, 3, 4, 5)),
    ((3, 4, 3), {"dilation": 3, "output_padding": (2, 1)}, (2, 3, 4, 5)),
    ((3, 4, 3), {"dilation": (1, 3), "padding": (0, 2), "output_padding": (0, 2)}, (2, 3, 4, 5)),
    ((4, 6, 3), {"groups": 2, "stride": 2, "padding": 1}, (2, 4, 5, 5)),
    ((4, 4, 3), {"groups": 4, "stride": 2, "padding": 1, "output_padding": 1}, (2, 4, 3, 3)),
    ((1, 1, 1), {"stride": 3, "output_padding": 2}, (1, 1, 2, 3)),
    ((2, 3, 1), {"stride": 5, "padding": 2, "output_padding": 4}, (1, 2, 1, 1)),
    ((16, 32, 3), {"padding": 1}, (2, 16, 4, 4)),
    ((3, 4, 3), {"padding": 1}, (3, 6, 6)),
    ((3, 4, 3), {"stride": 2}, (0, 3, 6, 6)),
    ((3, 4, 3), {"padding": 2}, (1, 3, 3, 5)),
]
CASES_1D = [
    ((3, 4, 3), {}, (2, 3, 8)),
    ((3, 4, 4), {"stride": 2, "padding": 1, "output_padding": 1}, (2, 3, 6)),
    ((4, 6, 3), {"groups": 2, "dilation": 2, "bias": False}, (2, 4, 5)),
    ((3, 4, 3), {"stride": 3}, (3, 5)),
    ((3, 4, 3), {}, (0, 3, 8)),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("args", "options", "shape"), CASES_2D)
def test_conv_transpose2d_matches_torch(args, options, shape, dtype):
    assert_module_matches_torch(lambda nn: nn.ConvTranspose2d(*args, **options), random_input(shape), dtype=dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("args", "options", "shape"), CASES_1D)
def test_conv_transpose1d_matches_torch(args, options, shape, dtype):
    assert_module_matches_torch(lambda nn: nn.ConvTranspose1d(*args, **options), random_input(shape), dtype=dtype)


def test_it_is_the_convolutions_gradient():
    x, w = npnn.tensor(random_input((2, 3, 9, 8)), requires_grad=True), npnn.tensor(random_input((4, 3, 3, 2)))
    options = {"stride": (2, 3), "padding": 1, "dilation": (1, 2)}
    y = F.conv2d(x, w, **options)
    dy = npnn.tensor(random_input(y.shape))
    y.backward(dy)
    again = F.conv_transpose2d(dy, w, **options, output_padding=(0, 1))
    np.testing.assert_allclose(again.array, x.grad.array, rtol=1e-12)


SIZES = [(9, 11), (10, 12), (2, 4, 10, 12)]


@pytest.mark.parametrize("size", SIZES)
def test_the_output_size_can_be_asked_for(size):
    def build(nn):
        class Sized(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1)

            def forward(self, x):
                return self.layer(x, output_size=size)

        return Sized()

    assert_module_matches_torch(build, random_input((2, 3, 5, 6)))
    x = npnn.tensor(random_input((2, 3, 5, 6), "float32"))
    assert ConvTranspose2d(3, 4, 3, stride=2, padding=1)(x, output_size=size).shape[2:] == size[-2:]


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((8, 11), r"sizes from \[9, 11\] to \[10, 12\], not \(8, 11\)"),
        ((9, 13), r"not \(9, 13\)"),
        ((9,), "output_size must have 2 or 4 elements"),
    ],
)
def test_sizes_that_cannot_be(size, message):
    x = npnn.zeros(2, 3, 5, 6)
    with pytest.raises(ValueError, match=message):
        ConvTranspose2d(3, 4, 3, stride=2, padding=1)(x, output_size=size)


@pytest.mark.parametrize("layout", ["F", "channels_last", "sliced"])
def test_any_memory_layout_is_accepted(layout):
    x = random_input((2, 3, 6, 5))
    layer = ConvTranspose2d(3, 4, 3, stride=2).double()
    expected = layer(npnn.tensor(x)).array
    if layout == "F":
        given = np.asfortranarray(x)
    elif layout == "channels_last":
        given = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    else:
        given = np.zeros((2, 3, 12, 15))[:, :, ::2, ::3]
        given[...] = x
    np.testing.assert_array_equal(layer(npnn.tensor(given)).array, expected)


def test_results_and_gradients_are_channels_last_in_memory():
    layer = ConvTranspose2d(3, 4, 3, padding=1, stride=2, output_padding=1)
    x = npnn.tensor(random_input((2, 3, 6, 5), "float32"), requires_grad=True)
    y = layer(x)
    y.sum().backward()
    for array in (y.array, x.grad.array, layer.weight.array, layer.weight.grad.array):
        assert array.dtype == np.float32
        assert array.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
def test_only_wanted_gradients_are_computed(wanted):
    arrays = random_input((2, 3, 6, 5)), random_input((3, 4, 3, 3)), random_input((4,))
    every = [npnn.tensor(a, requires_grad=True) for a in arrays]
    some = [npnn.tensor(a, requires_grad=w) for a, w in zip(arrays, wanted, strict=True)]
    for tensors in (every, some):
        (F.conv_transpose2d(*tensors) * npnn.tensor(random_input((2, 4, 8, 7)))).sum().backward()
    for full, single, w in zip(every, some, wanted, strict=True):
        if w:
            np.testing.assert_array_equal(single.grad.array, full.grad.array)
        else:
            assert single.grad is None


def test_initial_weights_are_uniform_within_one_over_root_fan_in():
    npnn.manual_seed(0)
    layer = ConvTranspose2d(8, 64, 3, groups=2)
    bound = 1 / np.sqrt(32 * 9)
    assert layer.weight.shape == (8, 32, 3, 3)
    for p in (layer.weight.array, layer.bias.array):
        assert 0.9 * bound < np.abs(p).max() <= bound


@requires_torch
@pytest.mark.parametrize(
    ("args", "options"),
    [
        ((3, 4, 3), {}),
        ((4, 4, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2, "dilation": 2, "bias": False}),
    ],
)
def test_repr_is_torchs(args, options):
    import torch

    assert repr(ConvTranspose2d(*args, **options)) == repr(torch.nn.ConvTranspose2d(*args, **options))
    assert repr(ConvTranspose1d(*args, **options)) == repr(torch.nn.ConvTranspose1d(*args, **options))


@pytest.mark.parametrize(
    ("layer", "args", "shape", "message"),
    [
        (ConvTranspose2d, (3, 4, 3), (2, 8, 8, 3), r"looks like \(N, H, W, C\): .* x.permute\(0, 3, 1, 2\)"),
        (ConvTranspose2d, (3, 4, 3), (2, 4, 8, 8), r"\(N, C, H, W\) with C = 3, got \(2, 4, 8, 8\)$"),
        (ConvTranspose1d, (3, 4, 3), (2, 4, 8), r"\(N, C, L\) with C = 3"),
        (ConvTranspose2d, (3, 4, 3, 1, 3), (2, 3, 4, 4), r"nothing is left of an input of shape \(2, 3, 4, 4\)"),
        (ConvTranspose2d, (3, 4, 3), (2, 3, 0, 4), "nothing is left"),
        (ConvTranspose2d, (3, 4, 3, 2, 0, 2), (2, 3, 4, 4), "output_padding must be smaller than the stride"),
    ],
)
def test_wrong_inputs_are_explained(layer, args, shape, message):
    with pytest.raises(ShapeError, match=message):
        layer(*args)(npnn.tensor(np.zeros(shape, np.float32)))


@pytest.mark.parametrize(
    ("args", "options", "error", "message"),
    [
        ((3, 4, 3), {"groups": 2}, ValueError, "in_channels must be divisible by groups=2 and not negative, got 3"),
        ((4, 3, 3), {"groups": 2}, ValueError, "out_channels .* got 3"),
        ((3, 4, 3), {"padding_mode": "reflect"}, ValueError, "only the padding_mode 'zeros', got 'reflect'"),
        ((3, 4, 3), {"padding": "same"}, TypeError, "integer"),
        ((3, 4, 3), {"output_padding": -1}, ValueError, "output_padding must be 2 whole numbers of at least 0"),
    ],
)
def test_bad_arguments_are_refused_when_the_layer_is_made(args, options, error, message):
    with pytest.raises(error, match=message):
        ConvTranspose2d(*args, **options)


def test_functional_checks_its_weights():
    x, w = npnn.zeros(1, 4, 8, 8), npnn.zeros(4, 2, 3, 3)
    with pytest.raises(ShapeError, match=r"weight of shape \(C, O/groups, K\), got \(4, 2, 3, 3\)"):
        F.conv_transpose1d(x, w)
    with pytest.raises(ShapeError, match="divisible by groups=3 and not negative, got 4"):
        F.conv_transpose2d(x, w, groups=3)
    with pytest.raises(ShapeError, match=r"bias of shape \(4,\), got \(2,\)"):
        F.conv_transpose2d(x, w, npnn.zeros(2), groups=2)
    with pytest.raises(RuntimeError, match=r"input is float64, the weight float32.*model.double\(\)"):
        F.conv_transpose2d(x.double(), w)
