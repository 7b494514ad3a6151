"""assert_same_training names the first step and tensor that part; the fixture for a course's tests."""

from __future__ import annotations

import numpy as np
import pytest

from npnn import nn
from npnn.testing import assert_same_training
from npnn.testing.fixtures import right  # noqa: F401  a fixture
from tests.parity import requires_torch, torch
from tests.testing.by_hand import Linear

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((20, 4)).astype(np.float32), rng.integers(0, 3, 20)


def model(lib, activation="Tanh"):
    return lib.Sequential(lib.Linear(4, 8), getattr(lib, activation)(), lib.Linear(8, 3))


@requires_torch
def test_equal_trainings():
    assert_same_training(model(nn), model(torch.nn), (X, Y), steps=30)
    assert_same_training(model(nn), model(torch.nn), [(X[:10], Y[:10]), (X[10:], Y[10:])], steps=30)


@requires_torch
def test_trainings_that_part():
    with pytest.raises(AssertionError, match=r"step 1: the loss parts by"):
        assert_same_training(model(nn), model(torch.nn, "ReLU"), (X, Y))

    class Half(nn.Linear):
        def forward(self, x):
            y = super().forward(x)
            y.register_hook(lambda dy: dy / 2)
            return y

    ours = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), Half(8, 3))
    with pytest.raises(AssertionError, match=r"step 1: the gradient of 0\.weight parts by .*5\.0e-01 of its largest"):
        assert_same_training(ours, model(torch.nn), (X, Y))
    with pytest.raises(ValueError, match="data has no batches"):
        assert_same_training(model(nn), model(torch.nn), [])


def test_the_fixture(right):
    right(Linear(4, 3), reference="Linear")
