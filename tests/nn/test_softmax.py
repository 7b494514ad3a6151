"""Softmax and log-softmax against torch, along every axis and for logits of every size."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.nn import functional as F
from npnn.testing import assert_close
from tests.parity import assert_module_matches_torch, random_input, requires_torch, skip_without_torch, torch

LAYERS = ["Softmax", "LogSoftmax"]
FUNCTIONS = ["softmax", "log_softmax"]


@pytest.mark.parametrize("layer", LAYERS)
def test_every_axis(layer):
    for shape in [(5,), (3, 4), (2, 3, 4), (2, 3, 4, 5), (0, 3), (3, 0), (4, 1)]:
        for dim in range(-len(shape), len(shape)):
            assert_module_matches_torch(
                lambda nn, dim=dim: getattr(nn, layer)(dim), random_input(shape), check_gradient=0 not in shape
            )
    assert_module_matches_torch(lambda nn: getattr(nn, layer)(0), random_input(()))
    assert_module_matches_torch(lambda nn: getattr(nn, layer)(1), random_input((3, 40), "float32"), dtype="float32")
    assert_module_matches_torch(lambda nn: getattr(nn, layer)(1), np.asfortranarray(random_input((3, 4))))


@requires_torch
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "row", [[1e30, 0.0, -1e30], [700.0, 710.0, -800.0], [-np.inf, 0.0, 1.0], [np.inf, 0.0, 1.0], [np.nan, 0.0, 1.0],
            [-np.inf, -np.inf, -np.inf]],
)  # fmt: skip
def test_extreme_logits(name, row):
    for dtype in ("float32", "float64"):
        x = np.array([row], dtype)
        ours = getattr(F, name)(npnn.tensor(x), 1)
        assert ours.dtype == x.dtype
        with np.errstate(over="ignore"):
            assert_close(ours, getattr(torch.nn.functional, name)(torch.from_numpy(x), 1), rtol=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_dtype_and_dim(name):
    x = npnn.tensor(random_input((2, 3), "float32"), requires_grad=True)
    y = getattr(F, name)(x, dim=1, dtype=npnn.float64)
    assert y.dtype == npnn.float64
    (y * y).sum().backward()
    assert x.grad.dtype == npnn.float32
    assert getattr(F, name)(npnn.tensor(np.arange(3)), 0, dtype="float32").dtype == npnn.float32
    with pytest.raises(RuntimeError, match=rf"{name}: expected a floating-point input, got int64"):
        getattr(F, name)(npnn.tensor(np.arange(3)), 0)
    with pytest.raises(IndexError, match=rf"{name}: dim must be from -2 to 1, got 2"):
        getattr(F, name)(x, 2)
    for shape, dim in [((3,), 0), ((2, 3), 1), ((2, 3, 4), 0), ((2, 3, 4, 5), 1)]:
        x = npnn.tensor(random_input(shape))
        with pytest.warns(UserWarning, match=f"{name} without dim takes dim={dim}"):
            y = getattr(F, name)(x)
        assert_close(y, getattr(F, name)(x, dim))


def test_printed_as_in_torch():
    skip_without_torch()
    for layer in LAYERS:
        for dim in (None, 1):
            assert repr(getattr(nn, layer)(dim)) == repr(getattr(torch.nn, layer)(dim))
