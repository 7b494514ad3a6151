"""Pooling layers against torch over the space of their arguments, and their errors."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.nn import functional as F
from npnn.testing import assert_close, gradcheck
from tests.parity import assert_module_matches_torch, random_input, requires_torch, skip_without_torch, torch

MAX_POOL = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)},
    {"kernel_size": 2, "dilation": 2},
    {"kernel_size": 3, "stride": 1, "padding": 1, "dilation": (1, 2)},
    {"kernel_size": (2, 3), "stride": (3, 2), "padding": 1, "dilation": (3, 1), "ceil_mode": True},
    {"kernel_size": (2,), "stride": 4, "ceil_mode": True},
    {"kernel_size": 5, "stride": 5, "padding": 2, "ceil_mode": True},
    {"kernel_size": (7, 6)},
]
AVG_POOL = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
    {"kernel_size": (2, 3), "stride": (3, 1), "ceil_mode": True},
    {"kernel_size": 2, "stride": 4, "ceil_mode": True, "divisor_override": 3},
    {"kernel_size": (3, 2), "padding": (1, 0), "divisor_override": -2},
]
OUTPUT_SIZES = [1, 3, (2, 5), (None, 2), (7, None), (9, 11)]


def memory_orders(x):
    yield x
    yield np.asfortranarray(x)
    yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    yield np.repeat(x, 2, axis=-1)[..., ::2]


@pytest.mark.parametrize("arguments", MAX_POOL, ids=str)
def test_max_pool2d(arguments):
    for shape in [(2, 3, 7, 6), (3, 8, 9), (0, 2, 7, 6)]:
        for dtype in ("float64", "float32"):
            assert_module_matches_torch(
                lambda nn: nn.MaxPool2d(**arguments), random_input(shape), dtype=dtype, check_gradient=0 not in shape
            )
    for x in memory_orders(random_input((2, 3, 8, 7))):
        assert_module_matches_torch(lambda nn: nn.MaxPool2d(**arguments), x)


@pytest.mark.parametrize("arguments", AVG_POOL, ids=str)
def test_avg_pool2d(arguments):
    for shape in [(2, 3, 7, 6), (3, 8, 9), (0, 2, 7, 6)]:
        for dtype in ("float64", "float32"):
            assert_module_matches_torch(
                lambda nn: nn.AvgPool2d(**arguments), random_input(shape), dtype=dtype, check_gradient=0 not in shape
            )
    for x in memory_orders(random_input((2, 3, 8, 7))):
        assert_module_matches_torch(lambda nn: nn.AvgPool2d(**arguments), x)


@pytest.mark.parametrize("output_size", OUTPUT_SIZES, ids=str)
@pytest.mark.parametrize("layer", ["AdaptiveAvgPool2d", "AdaptiveMaxPool2d"])
def test_adaptive_pool2d(layer, output_size):
    for shape in [(2, 3, 7, 6), (3, 8, 9), (0, 2, 4, 5)]:
        assert_module_matches_torch(
            lambda nn: getattr(nn, layer)(output_size), random_input(shape), check_gradient=0 not in shape
        )
    for x in memory_orders(random_input((2, 3, 8, 7))):
        assert_module_matches_torch(lambda nn: getattr(nn, layer)(output_size), x)


@pytest.mark.parametrize(
    "build",
    [
        lambda nn: nn.MaxPool1d(2),
        lambda nn: nn.MaxPool1d(3, 2, 1, ceil_mode=True),
        lambda nn: nn.MaxPool1d((3,), stride=1, dilation=2),
        lambda nn: nn.AvgPool1d(2),
        lambda nn: nn.AvgPool1d((3,), 2, 1, count_include_pad=False),
        lambda nn: nn.AvgPool1d(3, 2, 1, ceil_mode=True),
        lambda nn: nn.AdaptiveAvgPool1d(4),
        lambda nn: nn.AdaptiveMaxPool1d((3,)),
    ],
)
def test_pool1d(build):
    for shape in [(2, 3, 9), (3, 10), (0, 3, 9)]:
        assert_module_matches_torch(build, random_input(shape), check_gradient=0 not in shape)


def test_indices_are_torchs():
    skip_without_torch()
    x = random_input((2, 3, 7, 6))
    for arguments in MAX_POOL:
        y, index = F.max_pool2d(npnn.tensor(x), **arguments, return_indices=True)
        expected, expected_index = torch.nn.functional.max_pool2d(torch.from_numpy(x), **arguments, return_indices=True)
        np.testing.assert_array_equal(y.numpy(), expected.numpy())
        np.testing.assert_array_equal(index.numpy(), expected_index.numpy())
        assert index.dtype == npnn.int64
    for name in ("AdaptiveMaxPool2d", "AdaptiveMaxPool1d"):
        z = x if name.endswith("2d") else x[:, 0]
        _, index = getattr(nn, name)(3, return_indices=True)(npnn.tensor(z))
        _, expected_index = getattr(torch.nn, name)(3, return_indices=True)(torch.from_numpy(z))
        np.testing.assert_array_equal(index.numpy(), expected_index.numpy())


def test_the_gradient_passes_beside_the_indices():
    gradcheck(lambda x: F.max_pool2d(x, 2, return_indices=True)[0], random_input((2, 3, 4, 4)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_special_values_pass_through(value):
    x = random_input((1, 2, 6, 6), "float32")
    x[0, 0, 2, 3] = value
    x[0, 1, :3, :3] = value
    skip_without_torch()
    for build in (lambda nn: nn.MaxPool2d(3, 2, 1), lambda nn: nn.AvgPool2d(3, 2, 1)):
        assert_close(build(nn)(npnn.tensor(x)), build(torch.nn)(torch.from_numpy(x)), atol=1e-6)


def test_the_gradient_passes_a_nan():
    x = random_input((1, 2, 6, 6), "float32")
    x[0, 0, 2, 3] = np.nan
    for build in (lambda nn: nn.MaxPool2d(3, 2, 1), lambda nn: nn.AvgPool2d(3, 2, 1)):
        assert_module_matches_torch(build, x, dtype="float32")


def test_equal_elements_send_the_gradient_to_the_first():
    x = npnn.tensor(np.ones((1, 1, 4, 4)), requires_grad=True)
    F.max_pool2d(x, 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[0, 0], np.kron(np.eye(2) * 0 + 1, [[1, 0], [0, 0]]))


def test_images_stay_channels_last_in_memory():
    x = npnn.tensor(random_input((2, 5, 8, 6), "float32"), requires_grad=True)
    for pool in (nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(3)):
        y = pool(x)
        assert y.numpy().transpose(0, 2, 3, 1).flags.c_contiguous if not y.requires_grad else True
        assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous
        x.grad = None
        y.sum().backward()
        assert x.grad.array.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.max_pool2d(x, 9), r"at least 9 elements along each axis"),
        (lambda x: F.max_pool2d(x, 3, padding=2), r"padding must be at most half the kernel's span of 3, got 2"),
        (lambda x: F.max_pool2d(x, 0), r"kernel_size must be .* at least 1, got 0"),
        (lambda x: F.max_pool2d(x, 2, stride=0), r"stride must be .* at least 1, got 0"),
        (lambda x: F.max_pool2d(x, 2, dilation=0), r"dilation must be .* at least 1, got 0"),
        (lambda x: F.max_pool2d(x, 2, padding=-1), r"padding must be .* at least 0, got -1"),
        (lambda x: F.max_pool2d(x[..., :1], 2, padding=1, dilation=2), "a window sees none of the 1 elements"),
        (lambda x: F.max_pool2d(x, (2, 2, 2)), r"kernel_size must be 2 whole numbers of at least 1"),
        (lambda x: F.max_pool2d(x[0, 0], 2), r"expected an input of shape \(N, C, H, W\) or \(C, H, W\).*\(8, 8\)"),
        (lambda x: F.max_pool2d(x[:, :0], 2), r"only N may be 0, got \(2, 0, 8, 8\)"),
        (lambda x: F.max_pool1d(x, 2), r"expected an input of shape \(N, C, L\) or \(C, L\)"),
        (lambda x: F.avg_pool2d(x, 2, divisor_override=0), "divisor_override must not be zero"),
        (lambda x: F.avg_pool2d(x, 3, padding=2), "padding must be at most half"),
        (lambda x: F.adaptive_avg_pool2d(x, -1), r"output_size must be 2 whole numbers or None, got -1"),
        (lambda x: F.adaptive_avg_pool2d(x, (1,)), r"output_size must be 2 whole numbers or None"),
        (lambda x: F.adaptive_avg_pool2d(x, (1, 2, 3)), r"output_size must be 2 whole numbers or None"),
        (lambda x: F.adaptive_max_pool2d(x[0, 0], 1), r"expected an input of shape"),
    ],
)
def test_errors(call, message):
    x = npnn.tensor(random_input((2, 3, 8, 8)))
    with pytest.raises(ShapeError, match=message):
        call(x)


def test_integers():
    x = npnn.tensor(np.arange(16).reshape(1, 1, 4, 4))
    np.testing.assert_array_equal(F.max_pool2d(x, 2).numpy()[0, 0], [[5, 7], [13, 15]])
    with pytest.raises(RuntimeError, match=r"floating-point input, got int64; x.float\(\) casts"):
        F.avg_pool2d(x, 2)


def test_printed_as_in_torch():
    skip_without_torch()
    for build in (
        lambda nn: nn.MaxPool2d(3, 2, 1),
        lambda nn: nn.MaxPool2d((3, 2), ceil_mode=True),
        lambda nn: nn.MaxPool1d(2),
        lambda nn: nn.AvgPool2d(3, 2, 1),
        lambda nn: nn.AvgPool1d(2),
        lambda nn: nn.AvgPool1d((2,), padding=1),
        lambda nn: nn.AdaptiveAvgPool2d((1, None)),
        lambda nn: nn.AdaptiveAvgPool1d(3),
        lambda nn: nn.AdaptiveMaxPool2d(3),
    ):
        assert repr(build(nn)) == repr(build(torch.nn))


@requires_torch
@pytest.mark.parametrize("name", ["max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d"])
@pytest.mark.parametrize("stride", [None, (), []])
def test_without_a_stride_windows_lie_side_by_side(name, stride):
    x = random_input((2, 3, 6) if "1d" in name else (2, 3, 6, 4))
    ours = getattr(F, name)(npnn.tensor(x), 2, stride)
    np.testing.assert_array_equal(ours.numpy(), getattr(torch.nn.functional, name)(torch.tensor(x), 2, stride).numpy())
