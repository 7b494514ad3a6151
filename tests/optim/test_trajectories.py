"""Forty steps of every optimiser, in every combination of options, beside torch's and beside the textbook."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest

import npnn
from npnn import io, optim
from npnn.nn.module import Parameter
from npnn.tensor import Tensor
from tests.parity import requires_torch, torch

GRID = [
    ("SGD", {}),
    ("SGD", {"weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"betas": (0.4, 0.8), "eps": 1e-3}),
    ("Adam", {"weight_decay": 0.1}),
    ("Adam", {"amsgrad": True, "betas": (0.9, 0.5)}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.3, "amsgrad": True}),
    ("AdamW", {"weight_decay": 0.3, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.5, "eps": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True, "maximize": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "weight_decay": 0.1}),
    ("Adagrad", {}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1}),
    ("Adagrad", {"initial_accumulator_value": 0.5, "eps": 1e-3, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"weight_decay": 0.1, "momentum_decay": 0.5, "betas": (0.7, 0.8)}),
    ("NAdam", {"weight_decay": 0.3, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {}),
    ("RAdam", {"weight_decay": 0.1, "betas": (0.7, 0.8)}),
    ("RAdam", {"betas": (0.0, 0.2), "eps": 1e-3}),
    ("RAdam", {"weight_decay": 0.3, "decoupled_weight_decay": True, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"weight_decay": 0.1, "betas": (0.5, 0.6), "eps": 1e-3}),
    ("Adamax", {"maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"rho": 0.5, "weight_decay": 0.1, "eps": 1e-3}),
    ("Adadelta", {"maximize": True}),
]
IDS = [f"{name} {options}" for name, options in GRID]
SHAPES = [(3, 4), (4,), (2, 3, 3, 2), (), (0, 3), (40, 40)]
STEPS = 40


def gradients(dtype="float64"):
    """For each step one gradient per parameter: at times zero, tiny, or missing."""
    rng = np.random.default_rng(3)
    for t in range(STEPS):
        step = [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]
        if t % 7 == 3:
            step[0] = np.zeros(SHAPES[0], dtype)
        if t % 5 == 1:
            step[2] *= np.asarray(1e-12, dtype)
        if t % 3 == 0:
            step[1] = None
        yield step


def start(dtype="float64"):
    rng = np.random.default_rng(1)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]


def parameters(dtype="float64"):
    ours = [Parameter(a) for a in start(dtype)]
    channels_last = np.ascontiguousarray(ours[2].array.transpose(0, 2, 3, 1))
    ours[2].array = channels_last.transpose(0, 3, 1, 2)  # as convolutions keep their weights
    return ours


def torch_parameters(dtype="float64"):
    return [torch.tensor(a, requires_grad=True) for a in start(dtype)]


def take_step(optimizer, params, grads):
    ours = isinstance(params[0], Tensor)
    for p, g in zip(params, grads, strict=True):
        if g is None:
            p.grad = None
        else:
            p.grad = npnn.tensor(g.copy()) if ours else torch.from_numpy(g.copy())
    optimizer.step()


def assert_same(ours, theirs, what="", rtol=1e-9, atol=1e-9):
    for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
        expected = q.array if isinstance(q, Tensor) else q.detach().numpy()
        np.testing.assert_allclose(p.array, expected, rtol=rtol, atol=atol, err_msg=f"parameter {i} {what}")


@requires_torch
@pytest.mark.parametrize(("name", "options"), GRID, ids=IDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 2e-5)])
def test_same_steps_as_torch(name, options, dtype, tolerance):
    ours, theirs = parameters(dtype), torch_parameters(dtype)
    mine = getattr(optim, name)(ours, lr=0.01, **options)
    reference = getattr(torch.optim, name)(theirs, lr=0.01, **options)
    for t, grads in enumerate(gradients(dtype)):
        take_step(mine, ours, grads)
        take_step(reference, theirs, grads)
        assert_same(ours, theirs, f"at step {t}", tolerance, tolerance)
    assert all(p.array.dtype == dtype for p in ours)


@requires_torch
@pytest.mark.parametrize(("name", "options"), GRID, ids=IDS)
def test_state_moves_to_torch_and_back(name, options):
    """Ten steps here, ten in torch, then here again: the same as forty here."""
    ours, moving = parameters(), parameters()
    mine = getattr(optim, name)(ours, lr=0.01, **options)
    first = getattr(optim, name)(moving, lr=0.01, **options)
    theirs, second = None, None
    for t, grads in enumerate(gradients()):
        take_step(mine, ours, grads)
        if t == 10:
            theirs = [torch.tensor(p.array, requires_grad=True) for p in moving]
            second = getattr(torch.optim, name)(theirs, lr=99.0, **options)
            second.load_state_dict(io.to_torch(first.state_dict()))
        if t == 20:
            moving = [Parameter(q.detach().numpy().copy()) for q in theirs]
            first = getattr(optim, name)(moving, lr=99.0, **options)
            first.load_state_dict(second.state_dict())
        if 10 <= t < 20:
            take_step(second, theirs, grads)
        else:
            take_step(first, moving, grads)
    assert_same(moving, ours)
    assert mine.state_dict()["state"].keys() == first.state_dict()["state"].keys()


@requires_torch
@pytest.mark.parametrize(("name", "options"), GRID, ids=IDS)
def test_state_dict_has_torchs_keys(name, options):
    ours, theirs = parameters(), torch_parameters()
    mine = getattr(optim, name)(ours, lr=0.01, **options)
    reference = getattr(torch.optim, name)(theirs, lr=0.01, **options)
    for grads in list(gradients())[1:4]:
        take_step(mine, ours, grads)
        take_step(reference, theirs, grads)
    a, b = mine.state_dict(), reference.state_dict()
    assert a["state"].keys() == b["state"].keys()
    for i, entries in b["state"].items():
        assert a["state"][i].keys() == entries.keys()
        for key, value in entries.items():
            np.testing.assert_allclose(np.asarray(a["state"][i][key]), value.numpy(), rtol=1e-9, atol=1e-12)
    ignored = {"foreach", "fused", "capturable", "differentiable"}
    assert [set(g) | ignored for g in a["param_groups"]] == [set(g) | ignored for g in b["param_groups"]]
    assert [g["params"] for g in a["param_groups"]] == [g["params"] for g in b["param_groups"]]


@pytest.mark.parametrize(("name", "options"), [*GRID, ("Momentum", {})], ids=[*IDS, "Momentum"])
def test_a_reloaded_optimizer_continues_bit_for_bit(name, options):
    ours, others = parameters("float32"), parameters("float32")
    mine, other = (getattr(optim, name)(ps, lr=0.01, **options) for ps in (ours, others))
    for t, grads in enumerate(gradients("float32")):
        if t == 11:
            saved = copy.deepcopy(other.state_dict())
            other = getattr(optim, name)(others, lr=1.0)
            other.load_state_dict(saved)
        take_step(mine, ours, grads)
        take_step(other, others, grads)
    for p, q in zip(ours, others, strict=True):
        assert np.array_equal(p.array, q.array)


@requires_torch
def test_groups_with_their_own_options():
    ours, theirs = parameters(), torch_parameters()

    def build(module, ps):
        own = [{}, {"lr": 0.1, "weight_decay": 0.5}, {"amsgrad": True}]
        groups = [{"params": part, **o} for part, o in zip((ps[:2], ps[2:3], ps[3:]), own, strict=True)]
        return module.Adam(groups, lr=0.01, betas=(0.8, 0.9))

    mine, reference = build(optim, ours), build(torch.optim, theirs)
    for grads in gradients():
        take_step(mine, ours, grads)
        take_step(reference, theirs, grads)
    assert_same(ours, theirs)


@requires_torch
def test_a_group_added_on_the_way():
    ours, theirs = parameters(), torch_parameters()
    mine, reference = optim.Momentum(ours[:3], lr=0.01), torch.optim.SGD(theirs[:3], lr=0.01, momentum=0.9)
    for t, grads in enumerate(gradients()):
        if t == 5:
            mine.add_param_group({"params": ours[3:], "lr": 0.1})
            reference.add_param_group({"params": theirs[3:], "lr": 0.1})
        take_step(mine, ours, grads)
        take_step(reference, theirs, grads)
    assert_same(ours, theirs)


@requires_torch
def test_options_changed_on_the_way():
    """lr as an integer, momentum switched on later: what schedules and users do."""
    ours, theirs = parameters(), torch_parameters()
    mine, reference = optim.SGD(ours, lr=1), torch.optim.SGD(theirs, lr=1)
    for t, grads in enumerate(gradients()):
        for group in (*mine.param_groups, *reference.param_groups):
            group["lr"] = np.float64(0.1 / (t + 1))
            group["momentum"] = 0.9 if t > 3 else 0
        take_step(mine, ours, grads)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            take_step(reference, theirs, grads)
    assert_same(ours, theirs)


# ---- the same without torch: each rule from its textbook, written down once more


def textbook(name, p, grads, lr):
    m = v = s = b = 0.0
    for t, g in enumerate(grads, 1):
        if name == "SGD":
            p = p - lr * g
        elif name == "Momentum":
            b = 0.9 * b + g
            p = p - lr * b
        elif name in ("Adam", "AdamW"):
            if name == "AdamW":
                p = p - lr * 0.01 * p
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            p = p - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        elif name == "RMSprop":
            s = 0.99 * s + 0.01 * g**2
            p = p - lr * g / (np.sqrt(s) + 1e-8)
        elif name == "Adagrad":
            s = s + g**2
            p = p - lr * g / (np.sqrt(s) + 1e-10)
        elif name == "NAdam":
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            mu = [0.9 * (1 - 0.5 * 0.96 ** (0.004 * k)) for k in range(1, t + 2)]
            ahead = mu[t] * m / (1 - np.prod(mu)) + (1 - mu[t - 1]) * g / (1 - np.prod(mu[:t]))
            p = p - lr * ahead / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        elif name == "RAdam":
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            rho = 1999 - 2 * t * 0.999**t / (1 - 0.999**t)
            step = lr * m / (1 - 0.9**t)
            if rho > 5:
                r = np.sqrt((rho - 4) / 1995 * (rho - 2) / 1997 * 1999 / rho)
                step = step * r * np.sqrt(1 - 0.999**t) / (np.sqrt(v) + 1e-8)
            p = p - step
        elif name == "Adamax":
            m, s = 0.9 * m + 0.1 * g, np.maximum(0.999 * s, np.abs(g) + 1e-8)
            p = p - lr / (1 - 0.9**t) * m / s
        elif name == "Adadelta":
            s = 0.9 * s + 0.1 * g**2
            step = np.sqrt(b + 1e-6) / np.sqrt(s + 1e-6) * g
            p, b = p - lr * step, 0.9 * b + 0.1 * step**2
    return p


RULES = "SGD Momentum Adam AdamW RMSprop Adagrad NAdam RAdam Adamax Adadelta".split()


@pytest.mark.parametrize("name", RULES)
def test_the_textbook_rule(name):
    rng = np.random.default_rng(0)
    p0, grads = rng.standard_normal((50, 30)), rng.standard_normal((STEPS, 50, 30))
    p = Parameter(p0.copy())
    optimizer = getattr(optim, name)([p], lr=0.05)
    for g in grads:
        p.grad = npnn.tensor(g)
        optimizer.step()
    np.testing.assert_allclose(p.array, textbook(name, p0, grads, 0.05), rtol=1e-9, atol=1e-8 * (name == "NAdam"))


def test_weight_decay_of_sgd_is_an_l2_term_of_the_loss():
    decayed, penalised = Parameter(np.linspace(-1, 1, 7)), Parameter(np.linspace(-1, 1, 7))
    x = npnn.tensor(np.arange(7.0))
    first, second = optim.SGD([decayed], lr=0.1, weight_decay=0.3), optim.SGD([penalised], lr=0.1)
    for _ in range(10):
        first.zero_grad()
        ((decayed * x).sum() ** 2).backward()
        first.step()
        second.zero_grad()
        ((penalised * x).sum() ** 2 + 0.3 / 2 * (penalised**2).sum()).backward()
        second.step()
    np.testing.assert_allclose(decayed.array, penalised.array, rtol=1e-12)
