"""The module tree, with layers made here so that it depends on no other file."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import npnn
from npnn.errors import ShapeError
from npnn.nn import Module, Parameter
from tests.parity import requires_torch, torch


class Affine(Module):
    def __init__(self, n):
        super().__init__()
        self.weight = Parameter(np.ones(n, "float32"))
        self.bias = None
        self.register_buffer("seen", npnn.tensor(0))
        self.register_buffer("scratch", npnn.zeros(1), persistent=False)

    def forward(self, x):
        if x.shape[-1:] != self.weight.shape:
            raise ShapeError(f"expected {self.weight.shape[0]} features, got {x.shape[-1]}")
        return x * self.weight

    def extra_repr(self):
        return f"{self.weight.shape[0]}"


class Net(Module):
    def __init__(self):
        super().__init__()
        self.first = Affine(2)
        self.scale = Parameter(np.ones(1, "float32"))
        self.block = Block()

    def forward(self, x):
        return self.block(self.first(x)) * self.scale


class Block(Module):
    def __init__(self):
        super().__init__()
        self.inner = Affine(3)

    def forward(self, x):
        return self.inner(x)


def test_names_and_order_are_torchs():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["scale", "first.weight", "block.inner.weight"]
    assert list(net.state_dict()) == ["scale", "first.weight", "first.seen", "block.inner.weight", "block.inner.seen"]
    assert [n for n, _ in net.named_buffers()] == [
        "first.seen", "first.scratch", "block.inner.seen", "block.inner.scratch",
    ]  # fmt: skip
    assert [n for n, _ in net.named_modules()] == ["", "first", "block", "block.inner"]
    assert [n for n, _ in net.named_children()] == ["first", "block"]
    assert len(list(net.parameters())) == 3
    assert len(list(net.parameters(recurse=False))) == 1
    assert net.get_submodule("block.inner") is net.block.inner
    with pytest.raises(AttributeError, match=r"block\.nothing"):
        net.get_submodule("block.nothing")


def test_a_shared_module_counts_once_but_is_saved_under_both_names():
    net = Net()
    net.again = net.first
    assert [n for n, _ in net.named_parameters()] == ["scale", "first.weight", "block.inner.weight"]
    assert "again.weight" in net.state_dict()
    other = Net()
    other.again = other.first
    other.load_state_dict(net.state_dict())


def test_train_and_eval_reach_every_module():
    net = Net()
    assert net.training
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())


def test_apply_visits_children_first():
    order = []
    Net().apply(lambda m: order.append(type(m).__name__))
    assert order == ["Affine", "Affine", "Block", "Net"]


def test_casting_keeps_memory_order_and_leaves_integers_alone():
    net = Net()
    net.kernel = Parameter(np.ones((2, 4, 4, 3), "float32").transpose(0, 3, 1, 2))
    assert net.double() is net
    assert {p.dtype for p in net.parameters()} == {npnn.float64}
    assert net.first.seen.dtype == npnn.int64
    assert net.first.scratch.dtype == npnn.float64
    assert net.kernel.array.transpose(0, 2, 3, 1).flags.c_contiguous
    assert next(net.float().parameters()).dtype == npnn.float32
    with pytest.raises(TypeError, match="int64"):
        net.to(npnn.int64)


def test_zero_grad_and_requires_grad():
    net = Net()
    (net.first(npnn.ones(1, 2)).sum()).backward()
    net.zero_grad(set_to_none=False)
    assert net.first.weight.grad.tolist() == [0, 0]
    net.zero_grad()
    assert net.first.weight.grad is None
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_state_dict_shares_memory_and_load_copies():
    net, other = Net(), Net()
    state = net.state_dict()
    with npnn.no_grad():
        net.scale.fill_(5)
    assert state["scale"].tolist() == [5]
    assert other.load_state_dict(state) == ([], [])
    assert other.scale.tolist() == [5]
    assert not np.shares_memory(other.scale.array, net.scale.array)


def test_all_problems_of_a_state_dict_come_in_one_error_and_change_nothing():
    net = Net()
    state = {k: v.array + 1 for k, v in net.state_dict().items()}
    del state["scale"]
    state["first.weight"] = np.ones(7, "float32")
    state["surplus"] = np.ones(1)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    for part in ("missing keys: scale", "unexpected keys: surplus", "first.weight: expected (2,), got (7,)"):
        assert part in text
    assert net.block.inner.weight.tolist() == [1, 1, 1]
    del state["first.weight"]
    assert net.load_state_dict(state, strict=False) == (["scale", "first.weight"], ["surplus"])
    assert net.block.inner.weight.tolist() == [2, 2, 2]


def test_to_takes_what_torchs_takes():
    model = Affine(3)
    assert model.to("cpu") is model.to(device="cpu") is model.to("cpu:0", npnn.float64)
    assert model.weight.dtype == npnn.float64
    assert model.to(dtype="float32").weight.dtype == npnn.float32
    assert model.to(npnn.zeros(1, dtype=npnn.float64)).weight.dtype == npnn.float64
    assert model.weight.to("cpu").dtype == npnn.float64
    assert model.weight.to("cpu", dtype=npnn.float32).dtype == npnn.float32
    with pytest.raises(AssertionError, match="not compiled with CUDA"):
        model.to("cuda")


def test_a_parameter_is_made_as_in_torch():
    assert not Parameter(np.zeros(2), False).requires_grad
    frozen = Parameter(npnn.ones(2), requires_grad=False)
    again = pickle.loads(pickle.dumps(frozen))
    assert type(again) is Parameter
    assert (again.tolist(), again.requires_grad) == ([1, 1], False)
    assert pickle.loads(pickle.dumps(Parameter(npnn.ones(2)))).requires_grad


def test_a_shape_error_names_the_layer_by_its_path():
    with pytest.raises(ShapeError, match=r"in layer block\.inner: Affine\(3\): expected 3 features, got 2") as caught:
        Net()(npnn.ones(1, 2))
    assert isinstance(caught.value, (ValueError, RuntimeError))
    with pytest.raises(ShapeError, match=r"^in layer Affine\(3\): expected"):
        Affine(3)(npnn.ones(1, 2))


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        Module()(1)


def test_repr_shows_the_tree():
    assert repr(Net()) == "Net(\n  (first): Affine(2)\n  (block): Block(\n    (inner): Affine(3)\n  )\n)"


def test_copies_and_pickles():
    net = Net()
    for clone in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert list(clone.state_dict()) == list(net.state_dict())
        assert not np.shares_memory(clone.scale.array, net.scale.array)


@requires_torch
def test_the_tree_of_the_same_model_in_torch():
    """The same class body over either framework gives the same names."""

    def build(nn, make):
        class Tree(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("late", None)
                self.b = nn.Module()
                self.a = nn.Parameter(make([1.0]))
                self.b.c = nn.Parameter(make([1.0]))
                self.register_buffer("d", make([2.0]))
                self.register_parameter("none", None)

        return Tree()

    ours, theirs = build(npnn.nn, npnn.tensor), build(torch.nn, torch.tensor)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    assert [n for n, _ in ours.named_buffers()] == [n for n, _ in theirs.named_buffers()]
