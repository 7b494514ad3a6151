"""state_dicts between the frameworks."""

from __future__ import annotations

import numpy as np

import npnn
from npnn import io
from npnn.nn.linear import Linear
from tests.parity import requires_torch, torch

pytestmark = requires_torch


def test_from_torch_gives_arrays_of_its_own():
    source = {"a": torch.arange(6.0).reshape(2, 3).requires_grad_(), "n": {"b": [torch.tensor(3), 5, None]}}
    arrays = io.from_torch(source)
    np.testing.assert_array_equal(arrays["a"], np.arange(6.0).reshape(2, 3))
    assert arrays["a"].dtype == np.float32
    assert arrays["n"] == {"b": [np.array(3), 5, None]}
    arrays["a"][0, 0] = 99
    assert source["a"][0, 0] == 0


def test_bfloat16_becomes_float32():
    assert io.from_torch({"x": torch.tensor([1.5], dtype=torch.bfloat16)})["x"].dtype == np.float32


def test_to_torch_gives_tensors_of_their_own():
    read_only = np.arange(3.0)
    read_only.flags.writeable = False
    source = {"a": npnn.tensor([1.0, 2.0], requires_grad=True), "b": read_only[::-1], "c": np.array(3), "d": ("x", 1.5)}
    tensors = io.to_torch(source)
    assert tensors["a"].tolist() == [1, 2]
    assert not tensors["a"].requires_grad
    assert tensors["b"].tolist() == [2, 1, 0]
    assert tensors["c"].shape == ()
    assert tensors["d"] == ("x", 1.5)
    tensors["a"][0] = 99
    assert source["a"].array[0] == 1


def test_a_model_there_and_back():
    ours, theirs = Linear(3, 4), torch.nn.Linear(3, 4)
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    ours.load_state_dict(io.from_torch(theirs.state_dict()))
    np.testing.assert_allclose(ours(npnn.tensor(x)).array, theirs(torch.from_numpy(x)).detach(), rtol=1e-5, atol=1e-6)
    again = torch.nn.Linear(3, 4)
    again.load_state_dict(io.to_torch(ours.state_dict()))
    assert torch.equal(again.weight, theirs.weight)
