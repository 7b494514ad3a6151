"""Convolution layers against torch, and what they say about bad inputs."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn.errors import ShapeError
from npnn.nn.convolution.conv import Conv1d, Conv2d, conv1d, conv2d
from tests.parity import assert_module_matches_torch, random_input, requires_torch

EVEN_SAME = pytest.mark.filterwarnings("ignore:Using padding")  # torch warns that it copies

CASES_2D = [  # (C, O, kernel_size), options, input shape
    ((3, 4, 3), {}, (2, 3, 8, 8)),
    ((3, 4, 3), {"padding": 1}, (2, 3, 5, 7)),
    ((1, 16, 3), {}, (2, 1, 9, 9)),
    ((4, 2, 1), {}, (2, 4, 3, 5)),
    ((4, 2, 1), {"stride": 2, "padding": 1}, (2, 4, 3, 5)),
    ((3, 4, (2, 3)), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}, (2, 3, 7, 8)),
    ((3, 4, 5), {"stride": 2, "padding": 2}, (2, 3, 11, 10)),
    ((3, 5, 3), {"padding": 2, "bias": False}, (2, 3, 6, 6)),
    ((3, 5, 3), {"padding": 3}, (1, 3, 2, 2)),
    ((4, 6, 3), {"groups": 2, "padding": 1}, (2, 4, 5, 5)),
    ((4, 4, 3), {"groups": 4, "stride": 2}, (2, 4, 7, 7)),
    ((4, 8, 3), {"groups": 4, "dilation": 2, "padding": "same"}, (2, 4, 7, 7)),
    pytest.param((3, 4, (4, 3)), {"padding": "same"}, (2, 3, 6, 7), marks=EVEN_SAME),
    ((3, 4, 2), {"padding": "valid"}, (2, 3, 6, 7)),
    ((3, 4, 3), {"padding": 1}, (2, 3, 1, 1)),
    ((3, 4, 3), {"padding": 1}, (2, 3, 2, 2)),
    ((3, 4, 3), {"padding": 1}, (2, 3, 4, 4)),
    ((3, 4, 3), {"padding": 1}, (3, 6, 6)),
    ((3, 4, 3), {"padding": 1}, (0, 3, 6, 6)),
    ((3, 4, 3), {"padding": 2, "padding_mode": "reflect"}, (2, 3, 5, 6)),
    ((3, 4, (3, 5)), {"padding": (1, 0), "padding_mode": "replicate", "stride": 2}, (3, 6, 6)),
    ((4, 4, 3), {"padding": (3, 6), "padding_mode": "circular", "groups": 2}, (2, 4, 3, 6)),
    ((3, 4, (2, 3)), {"padding": "same", "padding_mode": "reflect", "dilation": (1, 2)}, (2, 3, 5, 6)),
    ((3, 4, 3), {"padding": "valid", "padding_mode": "circular"}, (2, 3, 5, 6)),
]

CASES_1D = [
    ((3, 4, 3), {}, (2, 3, 8)),
    ((3, 4, 4), {"stride": 2, "padding": 1, "dilation": 2}, (2, 3, 11)),
    ((4, 6, 3), {"groups": 2, "padding": "same", "bias": False}, (2, 4, 5)),
    pytest.param((3, 4, 2), {"padding": "same"}, (2, 3, 6), marks=EVEN_SAME),
    ((3, 4, 3), {}, (3, 8)),
    ((3, 4, 3), {}, (0, 3, 8)),
    ((3, 4, 3), {"padding": 2, "padding_mode": "circular"}, (2, 3, 8)),
    ((3, 4, 4), {"padding": "same", "padding_mode": "replicate"}, (3, 8)),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("args", "options", "shape"), CASES_2D)
def test_conv2d_matches_torch(args, options, shape, dtype):
    assert_module_matches_torch(lambda nn: nn.Conv2d(*args, **options), random_input(shape), dtype=dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("args", "options", "shape"), CASES_1D)
def test_conv1d_matches_torch(args, options, shape, dtype):
    assert_module_matches_torch(lambda nn: nn.Conv1d(*args, **options), random_input(shape), dtype=dtype)


@pytest.mark.parametrize("layout", ["C", "F", "channels_last", "sliced", "reversed"])
def test_any_memory_layout_is_accepted(layout):
    x = random_input((2, 3, 6, 5))
    conv = Conv2d(3, 4, 3, padding=1).double()
    expected = conv(npnn.tensor(x)).array
    if layout == "F":
        given = np.asfortranarray(x)
    elif layout == "channels_last":
        given = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    elif layout == "sliced":
        given = np.zeros((2, 3, 12, 15))[:, :, ::2, ::3]
        given[...] = x
    elif layout == "reversed":
        given = x[:, :, ::-1].copy()[:, :, ::-1]
    else:
        given = x.copy()
    np.testing.assert_array_equal(conv(npnn.tensor(given)).array, expected)


def is_channels_last(array):
    return array.transpose(0, 2, 3, 1).flags.c_contiguous


def test_results_and_gradients_are_channels_last_in_memory():
    conv = Conv2d(3, 4, 3, padding=1)
    x = npnn.tensor(random_input((2, 3, 6, 5), "float32"), requires_grad=True)
    y = conv(x)
    y.sum().backward()
    for array in (y.array, x.grad.array, conv.weight.array, conv.weight.grad.array):
        assert array.dtype == np.float32
        assert is_channels_last(array)


def test_a_weight_of_any_memory_layout_is_accepted():
    x, w = random_input((2, 3, 6, 5)), random_input((4, 3, 3, 3))
    last = np.ascontiguousarray(w.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(
        conv2d(npnn.tensor(x), npnn.tensor(w)).array, conv2d(npnn.tensor(x), npnn.tensor(last)).array
    )


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
def test_only_wanted_gradients_are_computed(wanted):
    arrays = random_input((2, 3, 6, 5)), random_input((4, 3, 3, 3)), random_input((4,))
    every = [npnn.tensor(a, requires_grad=True) for a in arrays]
    some = [npnn.tensor(a, requires_grad=w) for a, w in zip(arrays, wanted, strict=True)]
    for tensors in (every, some):
        (conv2d(*tensors) * npnn.tensor(random_input((2, 4, 4, 3)))).sum().backward()
    for full, single, w in zip(every, some, wanted, strict=True):
        if w:
            np.testing.assert_allclose(single.grad.array, full.grad.array, rtol=1e-14)
        else:
            assert single.grad is None


def test_arguments_are_left_as_they_were():
    arrays = random_input((2, 3, 6, 5)), random_input((4, 3, 3, 3)), random_input((4,))
    before = [a.copy() for a in arrays]
    conv2d(*[npnn.tensor(a, requires_grad=True) for a in arrays], padding=1).sum().backward()
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_initial_weights_are_uniform_within_one_over_root_fan_in():
    npnn.manual_seed(0)
    conv = Conv2d(8, 64, 3, groups=2)
    bound = 1 / np.sqrt(4 * 9)
    for p in (conv.weight.array, conv.bias.array):
        assert p.dtype == np.float32
        assert 0.9 * bound < np.abs(p).max() <= bound
    assert abs(conv.weight.array.std() - bound / np.sqrt(3)) < 0.05 * bound
    npnn.manual_seed(0)
    np.testing.assert_array_equal(Conv2d(8, 64, 3, groups=2).weight.array, conv.weight.array)


REPRS = [
    ((3, 4, 3), {}),
    ((3, 4, (3, 5)), {"stride": 2, "padding": (1, 2), "dilation": 2, "bias": False}),
    ((4, 4, 3), {"padding": "same", "groups": 2}),
    ((3, 4, 3), {"padding": 1, "padding_mode": "reflect"}),
]


@requires_torch
@pytest.mark.parametrize(("args", "options"), REPRS)
def test_repr_is_torchs(args, options):
    import torch

    assert repr(Conv2d(*args, **options)) == repr(torch.nn.Conv2d(*args, **options))
    if all(isinstance(v, (int, str)) for v in (*args, *options.values())):
        assert repr(Conv1d(*args, **options)) == repr(torch.nn.Conv1d(*args, **options))


BAD_SHAPES = [
    (Conv2d, (1, 4, 3), (64, 28, 28, 1), r"C = 1, got \(64, 28, 28, 1\).*channels first with x.permute\(0, 3, 1, 2\)"),
    (Conv2d, (1, 4, 3), (64, 28, 28), r"C = 1, got \(64, 28, 28\).*x.unsqueeze\(1\)"),
    (Conv2d, (3, 4, 3), (8, 9, 3), r"it looks like \(H, W, C\): .* x.permute\(2, 0, 1\)"),
    (
        Conv2d,
        (3, 4, 3, 1, 1, 1, 1, True, "reflect"),
        (2, 8, 8, 3),
        r"looks like \(N, H, W, C\).*x.permute\(0, 3, 1, 2\)",
    ),
    (Conv2d, (3, 4, 3), (2, 4, 8, 8), r"\(N, C, H, W\) with C = 3, got \(2, 4, 8, 8\)$"),
    (Conv2d, (3, 4, 3), (3, 8), r"\(N, C, H, W\) with C = 3, got \(3, 8\)"),
    (Conv2d, (3, 4, 3), (1, 2, 3, 8, 8), r"got \(1, 2, 3, 8, 8\)"),
    (Conv2d, (3, 4, 3), (2, 3, 2, 8), r"at least as large as the kernel, got \(2, 8\).* spans \(3, 3\)"),
    (Conv1d, (3, 4, 3), (2, 8, 3), r"x.permute\(0, 2, 1\)"),
    (Conv1d, (3, 4, 3), (2, 3, 2), r"got \(2,\).* spans \(3,\)"),
]


@pytest.mark.parametrize(("layer", "args", "shape", "message"), BAD_SHAPES)
def test_wrong_inputs_are_explained(layer, args, shape, message):
    with pytest.raises(ShapeError, match=message):
        layer(*args)(npnn.tensor(np.zeros(shape, np.float32)))


@pytest.mark.parametrize(("cast", "message"), [("float64", r"model.double\(\)"), ("int64", r"x.float\(\)")])
def test_mixed_dtypes_are_explained(cast, message):
    with pytest.raises(RuntimeError, match=rf"input is {cast}, the weight float32.*{message}"):
        Conv2d(3, 4, 3)(npnn.tensor(np.zeros((1, 3, 8, 8), cast)))


BAD_ARGUMENTS = [
    ((3, 4, 3), {"groups": 2}, "in_channels must be divisible by groups=2 and not negative, got 3"),
    ((4, 3, 3), {"groups": 2}, "out_channels .* got 3"),
    ((3, 4, 3), {"groups": 0}, "groups must be a positive"),
    ((3, 4, 0), {}, "kernel_size"),
    ((3, 4, 3), {"stride": 0}, "stride must be 2 whole numbers of at least 1, got 0"),
    ((3, 4, 3), {"stride": (1, 2, 3)}, "stride must be 2 whole numbers"),
    ((3, 4, 3), {"padding": -1}, "padding must be 2 whole numbers of at least 0"),
    ((3, 4, 3), {"padding": "full"}, "'valid', 'same' or whole numbers, got 'full'"),
    ((3, 4, 3), {"padding": "same", "stride": 2}, "padding='same' needs stride 1"),
    ((3, 4, 3), {"dilation": 0}, "dilation"),
    ((3, 4, 3), {"padding_mode": "mirror"}, "padding_mode must be 'zeros', 'reflect', .* got 'mirror'"),
]


@pytest.mark.parametrize(("args", "options", "message"), BAD_ARGUMENTS)
def test_bad_arguments_are_refused_when_the_layer_is_made(args, options, message):
    with pytest.raises(ValueError, match=message):
        Conv2d(*args, **options)


def test_sizes_may_be_numpy_integers_or_lists_of_one():
    x, w = npnn.tensor(random_input((1, 2, 8, 8))), npnn.tensor(random_input((3, 2, 3, 3)))
    expected = conv2d(x, w, stride=2, padding=1).array
    np.testing.assert_array_equal(conv2d(x, w, stride=[2], padding=np.int64(1)).array, expected)
    assert Conv2d(np.int64(2), 3, np.int64(3)).kernel_size == (3, 3)


def test_functional_checks_its_weights():
    x, w = npnn.tensor(np.zeros((1, 4, 8, 8), np.float32)), npnn.tensor(np.zeros((3, 2, 3, 3), np.float32))
    with pytest.raises(ShapeError, match=r"weight of shape \(O, C/groups, K\)"):
        conv1d(x, w)
    with pytest.raises(ShapeError, match="divisible by groups=2 and not negative, got 3"):
        conv2d(x, w, groups=2)
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        conv2d(x[:, :2], w, stride=1.5)
    with pytest.raises(ShapeError, match=r"bias of shape \(3,\), got \(4,\)"):
        conv2d(x[:, :2], w, npnn.tensor(np.zeros(4, np.float32)))
