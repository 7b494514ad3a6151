"""Flatten and Unflatten against torch."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn
from tests.parity import assert_module_matches_torch, random_input, requires_torch, torch


@pytest.mark.parametrize(
    ("args", "shape"),
    [((), (2, 3, 4, 5)), ((), (2, 3)), ((0,), (2, 3, 4)), ((1, 2), (2, 3, 4, 5)), ((-2,), (2, 3, 4)), ((), (0, 3, 4))],
)
def test_flatten(args, shape):
    assert_module_matches_torch(lambda nn: nn.Flatten(*args), random_input(shape))


def test_flatten_reads_channels_last_images_in_logical_order():
    image = random_input((2, 4, 5, 3)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(nn.Flatten()(npnn.tensor(image)).array, image.reshape(2, -1))
    assert_module_matches_torch(lambda nn: nn.Flatten(), image)


@pytest.mark.parametrize(
    ("args", "shape"),
    [((1, (3, 4)), (2, 12)), ((1, (3, -1)), (2, 12)), ((-1, (2, 2, 3)), (2, 5, 12)), ((0, (1, 2)), (2, 3))],
)
def test_unflatten(args, shape):
    assert_module_matches_torch(lambda nn: nn.Unflatten(*args), random_input(shape))


def test_bad_sizes():
    with pytest.raises(RuntimeError, match=r"\(3, 5\) does not multiply up to the size 12"):
        nn.Unflatten(1, (3, 5))(npnn.tensor(random_input((2, 12))))


@requires_torch
def test_repr():
    assert repr(nn.Flatten(0, 2)) == repr(torch.nn.Flatten(0, 2))
    assert repr(nn.Unflatten(1, (2, 3))) == repr(torch.nn.Unflatten(1, (2, 3)))
