"""ParameterList and ParameterDict beside torch."""

from __future__ import annotations

import pytest

import npnn
from tests.parity import requires_torch, torch

pytestmark = requires_torch


def told(lib):
    """What a list and a dict say of themselves after a number of changes."""
    nn, said = lib.nn, []
    values = nn.ParameterList([nn.Parameter(lib.ones(2, 3)), lib.zeros(2)])
    values.append(lib.ones(1)).extend([lib.full((2,), 3.0)])
    values += [nn.Parameter(lib.ones(4))]
    values[1] = lib.ones(5)
    said += [repr(values), len(values), repr(values[1:3]), values[-1].tolist(), [p.requires_grad for p in values]]
    named = nn.ParameterDict({"a": nn.Parameter(lib.ones(2)), "b": lib.zeros(3)})
    named["c"] = lib.ones(1)
    named.update({"d": nn.Parameter(lib.ones(2, 2))})
    popped = named.pop("b")
    said += [repr(named), popped.tolist(), list(named.keys()), len(named), "a" in named, "b" in named]

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.weights, self.named = values, named

        def forward(self, x):
            for w in self.weights:
                x = x * w.sum()
            return x * self.named["a"]

    model = Model()
    model(lib.ones(2)).sum().backward()
    said += [repr(model), list(model.state_dict()), [n for n, _ in model.named_parameters()]]
    said += [values[0].grad.tolist(), named["a"].grad.tolist()]
    return said


def test_they_do_what_torchs_do():
    for ours, theirs in zip(told(npnn), told(torch), strict=True):
        assert ours == theirs


@pytest.mark.parametrize("lib", [npnn, pytest.param(torch, id="torch")])
def test_bad_keys(lib):
    with pytest.raises(IndexError):
        lib.nn.ParameterList([lib.ones(1)])[1]
    with pytest.raises((KeyError, AttributeError)):  # torch's is an AttributeError
        lib.nn.ParameterDict({"a": lib.ones(1)})["b"]


def test_values_may_be_put_in_and_taken_out():
    values = npnn.nn.ParameterList([npnn.ones(1), npnn.zeros(1)])
    values.insert(1, npnn.full((1,), 2.0))
    assert [v.item() for v in values] == [1, 2, 0]
    assert values.pop(0).item() == 1
    assert list(values.state_dict()) == ["0", "1"]
    with pytest.raises(TypeError, match="strings"):
        npnn.nn.ParameterDict({1: npnn.ones(1)})
