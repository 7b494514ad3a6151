"""Sequential, ModuleList and ModuleDict, held against torch's."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import npnn
from npnn import nn
from tests.parity import assert_module_matches_torch, random_input, requires_torch, torch

FRAMEWORKS = [pytest.param(nn, id="npnn")]
if torch is not None:
    FRAMEWORKS.append(pytest.param(torch.nn, id="torch"))


@pytest.fixture(params=FRAMEWORKS)
def any_nn(request):
    """The same assertions must hold for npnn and for torch."""
    return request.param


def row(nn, n, start=0):
    return [nn.Linear(i + 1, i + 2) for i in range(start, start + n)]


# ---- Sequential


def test_sequential_matches_torch():
    assert_module_matches_torch(lambda nn: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), random_input((5, 3)))
    assert_module_matches_torch(
        lambda nn: nn.Sequential(OrderedDict(hidden=nn.Linear(3, 4), out=nn.Sequential(nn.Linear(4, 2)))),
        random_input((5, 3)),
    )


def test_sequential_is_a_list_of_modules(any_nn):
    a, b, c = row(any_nn, 3)
    s = any_nn.Sequential(a, b)
    assert len(s) == 2
    assert list(s) == [a, b]
    assert s[0] is a
    assert s[-1] is b
    assert s.append(c) is s
    assert s[2] is c
    d, e = row(any_nn, 2, 3)
    s.extend([d, e])
    assert list(s) == [a, b, c, d, e]
    assert list(s.state_dict()) == [f"{i}.{p}" for i in range(5) for p in ("weight", "bias")]
    del s[1]
    assert list(s) == [a, c, d, e]
    assert [name for name, _ in s.named_children()] == ["0", "1", "2", "3"]
    s.insert(1, b)
    assert list(s) == [a, b, c, d, e]
    s[1] = a
    assert s[1] is a
    assert s.pop(-1) is e
    assert len(s) == 4


def test_sequential_slices_share_the_modules(any_nn):
    s = any_nn.Sequential(*row(any_nn, 4))
    part = s[1:3]
    assert type(part) is any_nn.Sequential
    assert list(part) == [s[1], s[2]]
    assert [name for name, _ in part.named_children()] == ["1", "2"]
    assert list(s[::-1]) == [s[3], s[2], s[1], s[0]]
    assert list(s[4:]) == []


def test_sequential_arithmetic(any_nn):
    a, b, c = row(any_nn, 3)
    s = any_nn.Sequential(a, b)
    assert list(s + any_nn.Sequential(c)) == [a, b, c]
    s += any_nn.Sequential(c)
    assert list(s) == [a, b, c]
    square = any_nn.Linear(2, 2)
    assert list(any_nn.Sequential(square) * 3) == [square] * 3
    with pytest.raises(ValueError):  # noqa: PT011  torch words it differently
        any_nn.Sequential(square) * 0


def test_sequential_with_names(any_nn):
    s = any_nn.Sequential(OrderedDict(first=any_nn.Linear(1, 2), second=any_nn.Linear(2, 3)))
    assert s.first is s[0]
    assert list(s.state_dict()) == ["first.weight", "first.bias", "second.weight", "second.bias"]
    s.append(any_nn.Linear(3, 4))
    assert [name for name, _ in s.named_children()] == ["first", "second", "2"]


def test_sequential_out_of_range(any_nn):
    s = any_nn.Sequential(*row(any_nn, 2))
    for index in (2, -3):
        with pytest.raises(IndexError, match="out of range"):
            s[index]
    with pytest.raises(IndexError, match="out of range"):
        s[2] = any_nn.Identity()


def test_a_module_that_appears_twice_runs_twice(any_nn):
    shared = any_nn.Linear(2, 2)
    s = any_nn.Sequential(shared, any_nn.Identity(), shared)
    assert len(s) == 3
    assert len(list(s.parameters())) == 2
    assert len(s.state_dict()) == 4


def test_the_twice_used_module_gets_both_gradients():
    shared = nn.Linear(1, 1, bias=False).double()
    with npnn.no_grad():
        shared.weight.fill_(3.0)
    y = nn.Sequential(shared, shared)(npnn.tensor(np.array([[2.0]])))  # y = w² x
    y.sum().backward()
    assert shared.weight.grad.item() == 12.0


def test_empty_sequential_is_the_identity():
    x = npnn.tensor(random_input((2, 3)))
    assert nn.Sequential()(x) is x


def test_only_modules(any_nn):
    with pytest.raises(TypeError):
        any_nn.Sequential(len)
    with pytest.raises(TypeError):
        any_nn.ModuleList([1])
    with pytest.raises(TypeError):
        any_nn.ModuleDict({"a": 1})


@requires_torch
def test_repr_is_torchs():
    def build(nn):
        return nn.Sequential(nn.Linear(2, 3), nn.Sequential(OrderedDict(a=nn.Identity(), b=nn.Flatten())))

    assert repr(build(nn)) == repr(build(torch.nn))


@requires_torch
def test_repr_of_a_module_that_appears_twice():
    def build(nn):
        shared = nn.Linear(2, 2)
        return nn.Sequential(shared, nn.Identity(), shared)

    assert repr(build(nn)) == repr(build(torch.nn))


@requires_torch
def test_repr_of_a_list():
    def build(nn):
        block = [nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))]
        return nn.ModuleList([nn.Linear(1, 2), *block, nn.Linear(2, 2), nn.Linear(2, 2), nn.Identity()])

    assert repr(build(nn)) == repr(build(torch.nn))
    assert repr(nn.ModuleList()) == repr(torch.nn.ModuleList())
    assert repr(nn.ModuleDict({"a": nn.Identity()})) == repr(torch.nn.ModuleDict({"a": torch.nn.Identity()}))


# ---- ModuleList


def test_module_list(any_nn):
    a, b, c, d = row(any_nn, 4)
    modules = any_nn.ModuleList([a, b])
    modules.append(d)
    modules.insert(2, c)
    assert list(modules) == [a, b, c, d]
    assert type(modules[1:]) is any_nn.ModuleList
    assert next(iter(modules[1:].state_dict())) == "0.weight"
    modules += [a]
    assert len(modules) == 5
    del modules[0:2]
    assert list(modules) == [c, d, a]
    assert list(modules + [b]) == [c, d, a, b]
    assert modules.pop(0) is c
    assert list(modules.extend([b])) == [d, a, b]
    modules[-1] = c
    assert modules[2] is c
    assert c in modules
    with pytest.raises(IndexError):
        modules[3]
    with pytest.raises(NotImplementedError):
        modules(1)


def test_module_list_belongs_to_the_model():
    class Model(nn.Module):
        def __init__(self):
            self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(2))

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    assert list(Model().state_dict()) == ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]
    assert Model()(npnn.tensor(random_input((2, 3), "float32"))).shape == (2, 3)


# ---- ModuleDict


def test_module_dict(any_nn):
    a, b, c = row(any_nn, 3)
    modules = any_nn.ModuleDict({"conv": a, "pool": b})
    assert list(modules) == ["conv", "pool"]
    assert modules["conv"] is a
    modules["last"] = c
    modules.update([("pool", c)])
    assert list(modules.keys()) == ["conv", "pool", "last"]
    assert list(modules.values()) == [a, c, c]
    assert next(iter(modules.items())) == ("conv", a)
    assert "pool" in modules
    assert "stride" not in modules
    assert list(modules.state_dict())[:2] == ["conv.weight", "conv.bias"]
    assert modules.pop("pool") is c
    del modules["conv"]
    assert len(modules) == 1
    other = any_nn.ModuleDict(modules)
    modules.clear()
    assert len(modules) == 0
    assert len(other) == 1
    with pytest.raises(KeyError):
        modules["conv"]
    with pytest.raises(KeyError, match="forward"):
        modules["forward"] = a


def test_none_stands_for_a_module_that_is_not_there():
    layers = nn.ModuleList([nn.Linear(2, 3), None])
    layers.append(None)
    layers[0] = None
    layers.insert(0, nn.ReLU())
    assert len(layers) == 4
    assert layers[1] is None
    assert [type(m) for m in layers[:2]] == [nn.ReLU, type(None)]
    assert list(layers.parameters()) == []
    assert "(1-3): 3 x None" in repr(layers)
    with pytest.raises(TypeError, match="expected a Module"):
        nn.Sequential(None)
