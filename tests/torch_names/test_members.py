"""What can be asked of a layer, an optimiser, a schedule or a loader of torch's can be asked of npnn's."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import npnn
from npnn import nn, optim
from tests.parity import requires_torch, torch

# What npnn has not, and why.
LEFT_OUT = {
    "Module": {
        "T_destination", "dump_patches", "call_super_init",  # of torch's own code
        "ipu", "mtia", "xpu",  # other devices
        "get_extra_state", "set_extra_state", "register_state_dict_pre_hook", "register_state_dict_post_hook",
        "register_load_state_dict_pre_hook", "register_load_state_dict_post_hook",  # a state holds tensors
    },
    "Optimizer": {
        "OptimizerPreHook", "OptimizerPostHook", "profile_hook_step",
        "register_state_dict_pre_hook", "register_state_dict_post_hook", "register_load_state_dict_pre_hook",
        "register_load_state_dict_post_hook", "share_memory",
    },
    "LRScheduler": {"scale_fn", "recursive_undo"},
    "DataLoader": {"check_worker_number_rationality"},
    "Generator": {"clone_state", "get_offset", "set_offset", "graphsafe_get_state", "graphsafe_set_state"},
    "layers": {
        "gather", "parallel_apply", "replicate", "scatter",  # of several devices
        "check_forward_args", "check_hidden_size", "check_input", "get_expected_hidden_size", "get_expected_cell_size",
        "permute_hidden", "merge_masks",  # steps within forward
        "has_uninitialized_params", "initialize_parameters", "copy", "fromkeys",
    },
}  # fmt: skip


def public(thing):
    return {name for name in dir(thing) if not name.startswith("_")}


def classes(ours, theirs, base):
    for name in sorted(public(ours) & public(theirs)):
        mine, torchs = getattr(ours, name), getattr(theirs, name)
        if inspect.isclass(torchs) and inspect.isclass(mine) and issubclass(torchs, base):
            yield name, mine, torchs


@requires_torch
def test_layers_have_torchs_members():
    missing = {}
    for name, ours, theirs in classes(nn, torch.nn, torch.nn.Module):
        lacks = public(theirs) - public(ours) - LEFT_OUT["Module"] - LEFT_OUT["layers"]
        if lacks:
            missing[name] = lacks
    assert missing == {}


@requires_torch
def test_optimisers_and_schedules_have_torchs_members():
    missing = {}
    for name, ours, theirs in classes(optim, torch.optim, torch.optim.Optimizer):
        missing[name] = public(theirs) - public(ours) - LEFT_OUT["Optimizer"]
    for name, ours, theirs in classes(
        optim.lr_scheduler, torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler
    ):
        missing[name] = public(theirs) - public(ours) - LEFT_OUT["LRScheduler"]
    assert {name: lacks for name, lacks in missing.items() if lacks} == {}


@requires_torch
def test_loaders_and_generators_have_torchs_members():
    import torch.utils.data as theirs

    ours = npnn.utils.data
    loaders = ours.DataLoader(ours.TensorDataset(npnn.ones(3))), theirs.DataLoader(theirs.TensorDataset(torch.ones(3)))
    for mine, torchs in (loaders, (npnn.Generator(), torch.Generator())):
        assert public(torchs) - public(mine) - LEFT_OUT[type(torchs).__name__] == set()


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_flatten_parameters_changes_nothing(kind):
    layer = kind(3, 4)
    before = {name: p.detach().clone() for name, p in layer.named_parameters()}
    assert layer.flatten_parameters() is None
    assert all(np.array_equal(before[name], p.detach()) for name, p in layer.named_parameters())


@pytest.mark.parametrize("name", ["SGD", "Adam", "LBFGS"])
def test_hooks_before_and_after_a_step(name):
    libraries = [npnn] if torch is None else [npnn, torch]
    logs = []
    for lib in libraries:
        p = lib.tensor([1.0, 2.0], requires_grad=True)
        optimizer = getattr(lib.optim, name)([p], lr=0.1)
        log = []

        def closure(p=p, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (p**2).sum()
            loss.backward()
            return loss

        before = optimizer.register_step_pre_hook(lambda o, a, k, log=log, p=p: log.append(("before", p.tolist())))
        optimizer.register_step_post_hook(lambda o, a, k, log=log, p=p: log.append(("after", p.tolist())))
        optimizer.step(closure)
        before.remove()
        optimizer.step(closure)
        logs.append(log)
    assert [when for when, _ in logs[0]] == ["before", "after", "after"]
    assert logs[0][0][1] == [1.0, 2.0]
    assert logs[0][1][1] != [1.0, 2.0]
    for log in logs[1:]:
        np.testing.assert_allclose([v for _, v in log], [v for _, v in logs[0]], rtol=1e-5, atol=1e-6)


def test_a_hook_before_a_step_may_replace_its_arguments():
    p = npnn.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)
    p.sum().backward()
    optimizer.register_step_pre_hook(lambda o, args, options: ((), {"closure": lambda: 7}))
    assert optimizer.step() == 7


def test_a_submodule_is_put_at_its_path():
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU()))
    new = nn.Tanh()
    model.set_submodule("1.0", new)
    assert model[1][0] is new
    with pytest.raises(AttributeError, match="no submodule"):
        model.set_submodule("1.5.x", new)
    with pytest.raises(AttributeError, match="to replace"):
        model.set_submodule("1.none", new, strict=True)
    with pytest.raises(ValueError, match="without a target"):
        model.set_submodule("", new)


def test_rows_of_bags_that_are_given():
    rows = npnn.tensor([[1.0, 2.0], [3.0, 4.0]])
    bag = nn.EmbeddingBag.from_pretrained(rows, mode="sum")
    assert bag(npnn.tensor([[0, 1]])).tolist() == [[4.0, 6.0]]
    assert not bag.weight.requires_grad
    assert nn.EmbeddingBag.from_pretrained(rows, freeze=False).weight.requires_grad
    with pytest.raises(ValueError, match="rows, features"):
        nn.EmbeddingBag.from_pretrained(npnn.ones(3))
