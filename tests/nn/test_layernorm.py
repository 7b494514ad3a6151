"""Layer and RMS normalisation against torch."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.nn import functional as F
from tests.parity import assert_module_matches_torch, random_input, skip_without_torch, torch

LAYERS = [
    lambda nn: nn.LayerNorm(5),
    lambda nn: nn.LayerNorm([4, 5]),
    lambda nn: nn.LayerNorm((3, 4, 5), eps=0.1),
    lambda nn: nn.LayerNorm(5, elementwise_affine=False),
    lambda nn: nn.LayerNorm((4, 5), bias=False),
    lambda nn: nn.RMSNorm(5),
    lambda nn: nn.RMSNorm([4, 5], eps=0.01),
    lambda nn: nn.RMSNorm(5, elementwise_affine=False),
]


@pytest.mark.parametrize("build", LAYERS)
def test_layer(build):
    for dtype in ("float64", "float32"):
        assert_module_matches_torch(build, random_input((2, 3, 4, 5)), dtype=dtype)
        assert_module_matches_torch(build, random_input((3, 4, 5)), dtype=dtype)
    assert_module_matches_torch(build, random_input((0, 3, 4, 5)), check_gradient=False)
    x = random_input((2, 3, 4, 5))
    for view in (np.asfortranarray(x), x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2), x[:, :, ::-1]):
        assert_module_matches_torch(build, view)


def test_vectors_and_wide_rows():
    assert_module_matches_torch(lambda nn: nn.LayerNorm(7), random_input((7,)))
    for width in (1, 300):
        assert_module_matches_torch(
            lambda nn: nn.LayerNorm(width), random_input((150, width)), check_gradient=False, rtol=1e-8, atol=1e-8  # noqa: B023
        )  # fmt: skip


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: nn.LayerNorm(4)(x),
            ShapeError,
            r"LayerNorm\(\(4,\).*expected an input of shape \(\*, 4\), got \(2, 3\)",
        ),
        (lambda x: nn.LayerNorm((2, 3, 4))(x), ShapeError, r"expected an input of shape \(\*, 2, 3, 4\)"),
        (lambda x: nn.LayerNorm(3)(x.double()), RuntimeError, r"input is float64 but the weight is float32: cast"),
        (
            lambda x: F.layer_norm(x, (3,), npnn.tensor(np.ones(2, "f"))),
            ShapeError,
            r"weight of shape \(3,\), got \(2,\)",
        ),
        (lambda x: F.layer_norm(x, ()), ShapeError, "normalized_shape of positive sizes"),
        (lambda x: F.layer_norm(x.long(), (3,)), RuntimeError, "layer_norm: expected a floating-point input"),
        (lambda x: F.rms_norm(x.long(), (3,)), RuntimeError, "rms_norm: expected a floating-point input"),
        (lambda x: nn.RMSNorm(4)(x), ShapeError, r"expected an input of shape \(\*, 4\)"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(npnn.tensor(random_input((2, 3), "float32")))


def test_printed_as_in_torch():
    skip_without_torch()
    for build in LAYERS:
        assert repr(build(nn)) == repr(build(torch.nn))
