"""Padding against torch: every mode, any number of axes, negative widths, and its errors."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn.errors import ShapeError
from npnn.nn import functional as F
from tests.parity import assert_function_matches_torch, random_input, torch

CASES = [  # shape, widths, mode, value
    ((4,), (1, 2), "constant", 1.5),
    ((2, 3), (1, 0, 0, 2), "constant", None),
    ((2, 3, 4), (-1, 2), "constant", 0.0),
    ((2, 3, 4), (-1, -2, 1, -3), "constant", float("inf")),
    ((2, 3, 0), (1, 1), "constant", 2.0),
    ((2, 3, 4), (0, 0), "constant", None),
    ((2, 3, 5), (2, 4), "reflect", None),
    ((2, 3, 5), (-1, 3), "reflect", None),
    ((3, 5), (2, 1), "replicate", None),
    ((2, 3, 5), (5, 4), "circular", None),
    ((2, 3, 5), (7, -2), "replicate", None),
    ((2, 3, 4, 5), (1, 2, 3, 0), "reflect", None),
    ((3, 4, 5), (1, 2, 3, 0), "reflect", None),
    ((2, 3, 4, 5), (1, 2, 3, 4), "circular", None),
    ((2, 3, 4, 5), (0, 2, 6, 4), "replicate", None),
    ((0, 3, 4, 5), (1, 1, 1, 1), "reflect", None),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("shape", "widths", "mode", "value"), CASES)
def test_pad_matches_torch(shape, widths, mode, value, dtype):
    for x in (random_input(shape, dtype), np.asfortranarray(random_input(shape, dtype))):
        assert_function_matches_torch(
            lambda x: F.pad(x, widths, mode, value),
            x,
            torch_fn=lambda x: torch.nn.functional.pad(x, widths, mode, value),
            check_gradient=value != float("inf"),
        )


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_the_memory_order_is_kept(mode):
    x = npnn.tensor(random_input((2, 5, 4, 3)).transpose(0, 3, 1, 2), requires_grad=True)
    y = F.pad(x, (1, 2, 1, 0), mode)
    (y * y).sum().backward()
    assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous
    assert x.grad.array.strides[1] == x.array.itemsize


def test_integers_can_be_padded():
    x = npnn.tensor([[[1, 2, 3]]])
    assert F.pad(x, (1, 2), value=7).tolist() == [[[7, 1, 2, 3, 7, 7]]]
    assert F.pad(x, (2, 1), "reflect").tolist() == [[[3, 2, 1, 2, 3, 2]]]
    assert F.pad(x, (2, 1), "reflect").dtype == np.int64


@pytest.mark.parametrize(
    ("widths", "options", "error", "message"),
    [
        ((1,), {}, ShapeError, "two widths for each of at most 3 axes, got 1"),
        ((1,) * 8, {}, ShapeError, "at most 3 axes, got 8"),
        ((-3, -3), {}, ShapeError, r"-3 and -3 do not fit axis 2 of an input of shape \(2, 3, 5\)"),
        ((5, 0), {"mode": "reflect"}, ShapeError, "5 and 0 do not fit axis 2"),
        ((0, 6), {"mode": "circular"}, ShapeError, "0 and 6 do not fit axis 2"),
        ((1, 1), {"mode": "mirror"}, NotImplementedError, "got 'mirror'"),
        ((1, 1), {"mode": "reflect", "value": 1.0}, ValueError, "goes with mode='constant'"),
    ],
)
def test_what_cannot_be_padded(widths, options, error, message):
    with pytest.raises(error, match=message):
        F.pad(npnn.zeros(2, 3, 5), widths, **options)


def test_nothing_to_repeat():
    with pytest.raises(ShapeError, match="no element to repeat"):
        F.pad(npnn.zeros(2, 3, 0), (1, 1), "replicate")
