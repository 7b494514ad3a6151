"""Groups of parameters for weight decay, from models of both frameworks."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn, optim
from tests.parity import requires_torch, torch


def build(nn):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.PReLU(2))
            self.head = nn.Linear(2, 3)

    return Net()


def names(groups):
    return [[name for name, _ in group["params"]] for group in groups]


EVERYTHING = [
    "body.0.weight",
    "body.0.bias",
    "body.1.weight",
    "body.1.bias",
    "body.2.weight",
    "head.weight",
    "head.bias",
]


@pytest.mark.parametrize(
    ("no_decay", "spared"),
    [
        (None, ["body.0.bias", "body.1.weight", "body.1.bias", "body.2.weight", "head.bias"]),
        ("bias", ["body.0.bias", "body.1.bias", "head.bias"]),
        (["bias", "head"], ["body.0.bias", "body.1.bias", "head.weight", "head.bias"]),
        ("body.?.bias", ["body.0.bias", "body.1.bias"]),
        (nn.BatchNorm2d, ["body.1.weight", "body.1.bias"]),
        ((nn.PReLU, "head.*"), ["body.2.weight", "head.weight", "head.bias"]),
    ],
)
def test_what_is_spared(no_decay, spared):
    groups = optim.param_groups(build(nn), no_decay)
    assert names(groups) == [[n for n in EVERYTHING if n not in spared], spared]
    assert [group.get("weight_decay") for group in groups] == [None, 0.0]


def test_only_the_first_group_shrinks():
    model = build(nn)
    optimizer = optim.SGD(optim.param_groups(model, "bias"), lr=1.0, weight_decay=0.5)
    before = {name: p.array.copy() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = npnn.tensor(np.zeros_like(p.array))
    optimizer.step()
    for name, p in model.named_parameters():
        np.testing.assert_allclose(p.array, before[name] * (1.0 if "bias" in name else 0.5))
    assert optimizer.param_groups[1]["param_names"] == ["body.0.bias", "body.1.bias", "head.bias"]


def test_shared_parameters_come_once_and_empty_groups_not_at_all():
    layer = nn.Linear(2, 2, bias=False)
    groups = optim.param_groups(nn.Sequential(layer, layer))
    assert names(groups) == [["0.weight"]]
    optim.Adam(groups)


@requires_torch
def test_torch_models_are_grouped_as_well():
    groups = optim.param_groups(build(torch.nn), [torch.nn.BatchNorm2d, "bias"])
    assert names(groups)[1] == ["body.0.bias", "body.1.weight", "body.1.bias", "head.bias"]
    torch.optim.AdamW(groups, weight_decay=0.1)


@pytest.mark.parametrize(
    ("no_decay", "message"), [("biases", "'biases' describes none"), (nn.LSTM, "LSTM describes none")]
)
def test_what_is_not_there(no_decay, message):
    with pytest.raises(ValueError, match=message + " of the parameters body.0.weight, "):
        optim.param_groups(build(nn), no_decay)
