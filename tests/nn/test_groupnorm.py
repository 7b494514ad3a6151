"""Group and instance normalisation against torch."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.nn import functional as F
from tests.parity import assert_module_matches_torch, random_input, skip_without_torch, torch

GROUP_NORMS = [
    lambda nn: nn.GroupNorm(1, 6),
    lambda nn: nn.GroupNorm(2, 6),
    lambda nn: nn.GroupNorm(6, 6, eps=0.1),
    lambda nn: nn.GroupNorm(3, 6, affine=False),
    lambda nn: nn.GroupNorm(3, 6, bias=False),
]
INSTANCE_NORMS = [
    {},
    {"affine": True},
    {"affine": True, "bias": False, "eps": 0.01},
    {"track_running_stats": True},
    {"affine": True, "track_running_stats": True, "momentum": 0.5},
]


@pytest.mark.parametrize("build", GROUP_NORMS)
def test_group_norm(build):
    for shape in [(2, 6, 4, 5), (3, 6, 7), (1, 6, 1, 2)]:
        for dtype in ("float64", "float32"):
            assert_module_matches_torch(build, random_input(shape), dtype=dtype)
    assert_module_matches_torch(build, random_input((0, 6, 3)), check_gradient=False)
    assert build(nn)(npnn.tensor(random_input((2, 6, 0), "float32"))).shape == (2, 6, 0)
    x = random_input((2, 6, 3, 4))
    for view in (np.asfortranarray(x), x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2), x[:, :, ::-1]):
        assert_module_matches_torch(build, view)


def test_group_norm_of_features():
    assert_module_matches_torch(lambda nn: nn.GroupNorm(2, 6), random_input((4, 6)))


@pytest.mark.parametrize("arguments", INSTANCE_NORMS, ids=str)
@pytest.mark.parametrize("train", [True, False])
def test_instance_norm(arguments, train):
    for layer, shapes in (("InstanceNorm1d", [(2, 3, 5), (3, 5)]), ("InstanceNorm2d", [(2, 3, 4, 5), (3, 4, 5)])):
        for shape in shapes:
            for dtype in ("float64", "float32"):
                assert_module_matches_torch(
                    lambda nn, layer=layer: getattr(nn, layer)(3, **arguments),
                    random_input(shape),
                    dtype=dtype,
                    train=train,
                )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: nn.GroupNorm(2, 3), ValueError, r"num_channels \(3\) must be divisible by num_groups \(2\)"),
        (lambda x: F.group_norm(x, 2), ShapeError, r"C divisible by 2, got \(2, 3, 5, 8\)"),
        (lambda x: F.group_norm(x[0, 0, 0], 2), ShapeError, r"shape \(N, C, \*\)"),
        (lambda x: nn.GroupNorm(3, 6)(x), ShapeError, "with C = 6 as in weight"),
        (lambda x: nn.GroupNorm(3, 3)(x[:1, :, :1, :1]), ValueError, r"more than 1 value in each group"),
        (lambda x: nn.GroupNorm(3, 3)(x.double()), RuntimeError, "the input is float64 but the weight is float32"),
        (lambda x: nn.InstanceNorm2d(3)(x[0, 0]), ValueError, r"expected 3D or 4D input \(got 2D input\)"),
        (lambda x: nn.InstanceNorm2d(2, affine=True)(x), ValueError, "expected an input of 2 channels"),
        (lambda x: nn.InstanceNorm2d(3)(x[:, :, :1, :1]), ValueError, "more than 1 spatial element when training"),
        (lambda x: F.instance_norm(x, use_input_stats=False), RuntimeError, "running_mean and running_var are needed"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(npnn.tensor(random_input((2, 3, 5, 8), "float32")))


def test_another_number_of_channels_warns_where_nothing_depends_on_it():
    with pytest.warns(UserWarning, match="expected an input of 2 channels"):
        nn.InstanceNorm2d(2)(npnn.tensor(random_input((2, 3, 4, 4))))


def test_printed_as_in_torch():
    skip_without_torch()
    for build in (*GROUP_NORMS, lambda nn: nn.InstanceNorm1d(3), lambda nn: nn.InstanceNorm2d(3, affine=True)):
        assert repr(build(nn)) == repr(build(torch.nn))
