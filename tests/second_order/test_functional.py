"""autograd.functional and torch.func beside PyTorch's."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import npnn
from tests.second_order.table import normal


@pytest.mark.parametrize("name", ["jacobian", "hessian", "hvp", "vhp", "jvp", "vjp"])
def test_functional_gives_what_torch_gives(name):
    torch = pytest.importorskip("torch")
    a, b = normal(3), normal(3)

    def found(m: Any) -> list[Any]:
        f = getattr(m.autograd.functional, name)
        inputs = m.tensor(a), m.tensor(b)
        if name in ("jacobian", "jvp", "vjp"):
            function: Any = lambda x, y: (x * y.sum()).sin()  # noqa: E731
        else:
            function = lambda x, y: ((x * y).sin() * y.sum()).sum()  # noqa: E731
        vector = (
            () if name in ("jacobian", "hessian") else (m.tensor(a) if name == "vjp" else (m.tensor(b), m.tensor(a)),)
        )
        return flat(f(function, inputs, *vector))

    for ours, theirs in zip(found(npnn), found(torch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def flat(x: Any) -> list[Any]:
    return [n for y in x for n in flat(y)] if isinstance(x, tuple) else [x.detach().numpy()]


@pytest.mark.filterwarnings("ignore:.torch.jit")  # from PyTorch, when it imports torch.func
def test_func_gives_what_torch_gives():
    torch = pytest.importorskip("torch")
    values = normal(4, 3)

    def found(m: Any) -> list[Any]:
        x, func = m.tensor(values), m.func
        m.manual_seed(0)
        layer = m.nn.Linear(3, 2).double()
        weights = {k: v.detach() for k, v in layer.named_parameters()}

        def loss(weights: Any, row: Any) -> Any:
            return func.functional_call(layer, weights, (row,)).pow(2).sum()

        each = func.vmap(func.grad(loss), in_dims=(None, 0))(weights, x)
        value, product = func.vjp(lambda x: x.sin(), x)
        return [
            each["weight"], each["bias"], func.grad(func.grad(lambda x: x.sin()))(x[0, 0]),
            func.hessian(lambda x: (x**3).sum())(x[0]), func.jacrev(lambda x: x**2)(x[0]),
            value, *product(x), *func.jvp(lambda x: x.sin(), (x,), (x * 2,)),
            func.grad_and_value(lambda x: (x * x).sum())(x)[1], func.vmap(lambda a: a.sum(), in_dims=1)(x),
        ]  # fmt: skip

    for ours, theirs in zip(found(npnn), found(torch), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-10)


def test_functional_call_leaves_the_module_as_it_is():
    layer = npnn.nn.Sequential(npnn.nn.Linear(2, 2), npnn.nn.BatchNorm1d(2))
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    zeros = {k: npnn.zeros(v.shape) for k, v in layer.named_parameters()}
    assert not npnn.func.functional_call(layer, zeros, npnn.rand(3, 2)).any()
    assert inspect.signature(npnn.func.functional_call).parameters
    for k, v in before.items():
        if "running" not in k and "num" not in k:
            np.testing.assert_array_equal(layer.state_dict()[k], v)
    with pytest.raises(KeyError, match="no parameter or buffer 'other'"):
        npnn.func.functional_call(layer, {"other": npnn.zeros(1)}, npnn.rand(3, 2))


def test_vmap_refuses_batches_of_different_sizes():
    with pytest.raises(ValueError, match="one size"):
        npnn.func.vmap(lambda a, b: a + b)(npnn.rand(2), npnn.rand(3))


def course_scripts(m: Any) -> list[Any]:
    """An ensemble, Jacobians by weights, Hessians and gradients of each example, and a step of MAML."""
    nn, func = m.nn, m.func
    m.manual_seed(0)
    x = m.tensor(np.random.default_rng(0).normal(size=(6, 4)))
    models = [
        nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)).double().eval() for _ in range(3)
    ]
    weights, buffers = func.stack_module_state(models)
    assert all(w.requires_grad for w in weights.values())
    together = func.vmap(lambda w, b, x: func.functional_call(models[0], (w, b), (x,)), in_dims=(0, 0, None))
    found = [together(weights, buffers, x)]

    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    state = {name: w.detach() for name, w in net.named_parameters()}

    def one(w: Any, row: Any) -> Any:
        return func.functional_call(net, w, (row.unsqueeze(0),)).squeeze(0)

    def loss(w: Any, row: Any, label: Any) -> Any:
        return nn.functional.cross_entropy(one(w, row).unsqueeze(0), label.unsqueeze(0))

    found += func.vmap(func.jacrev(one), (None, 0))(state, x).values()
    found += [
        block
        for blocks in func.jacrev(lambda a, b: (a * b, a.sum() * b), argnums=(0, 1))(x[0], x[1])
        for block in blocks
    ]
    found += [func.vmap(func.hessian(lambda row: (net(row) ** 2).sum()))(x)]
    found += func.vmap(func.grad(loss), in_dims=(None, 0, 0))(state, x, m.tensor([0, 1, 0, 1, 0, 1])).values()

    own = {name: w.clone().requires_grad_() for name, w in state.items()}
    first = m.autograd.grad(func.functional_call(net, own, (x,)).pow(2).mean(), list(own.values()), create_graph=True)
    moved = {name: w - 0.5 * g for (name, w), g in zip(own.items(), first, strict=True)}
    func.functional_call(net, moved, (x,)).pow(2).mean().backward()
    return [*found, *[w.grad for w in own.values()]]


@pytest.mark.filterwarnings("ignore:.torch.jit")  # from PyTorch, when it imports torch.func
def test_what_courses_do_with_func():
    torch = pytest.importorskip("torch")
    for ours, theirs in zip(course_scripts(npnn), course_scripts(torch), strict=True):
        assert tuple(ours.shape) == tuple(theirs.shape)
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_unlike_models_are_not_stacked():
    with pytest.raises(RuntimeError, match="at least one"):
        npnn.func.stack_module_state([])
    with pytest.raises(RuntimeError, match="same class"):
        npnn.func.stack_module_state([npnn.nn.Linear(2, 2), npnn.nn.ReLU()])
