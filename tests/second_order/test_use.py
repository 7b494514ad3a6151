"""How gradients of gradients are used: backward, hooks, penalties, equations in the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import npnn
from npnn.testing.gradients import gradgradcheck


def test_a_function_in_torchs_form():
    class Cube(npnn.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * dy

    x = npnn.rand(4).double().requires_grad_()
    assert gradgradcheck(Cube.apply, x)


def penalty(m: Any, seed: int) -> list[Any]:
    """One step of a critic with a gradient penalty (Gulrajani et al., Improved training of Wasserstein GANs, 2017)."""
    m.manual_seed(seed)
    nn = m.nn
    critic = nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1), nn.InstanceNorm2d(8, affine=True), nn.LeakyReLU(0.2), nn.Conv2d(8, 4, 3, 2, 1),
        nn.LayerNorm([4, 3, 3]), nn.SiLU(), nn.Flatten(), nn.Linear(36, 1),
    ).double()  # fmt: skip
    real, fake, mix = m.randn(5, 1, 12, 12).double(), m.randn(5, 1, 12, 12).double(), m.rand(5, 1, 1, 1).double()
    between = (mix * real + (1 - mix) * fake).requires_grad_(True)
    scores = critic(between)
    (gradient,) = m.autograd.grad(scores, between, m.ones_like(scores), create_graph=True, retain_graph=True)
    size = gradient.view(5, -1).norm(2, dim=1)
    loss = critic(fake).mean() - critic(real).mean() + 10 * ((size - 1) ** 2).mean()
    loss.backward()
    return [loss.item(), *[p.grad.numpy() for p in critic.parameters()]]


def test_a_critic_with_a_gradient_penalty():
    torch = pytest.importorskip("torch")
    for a, b in zip(penalty(npnn, 1), penalty(torch, 1), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_an_equation_in_the_loss():
    """u'' = -u by a network whose second derivative is in the loss: the gradient is of third order."""
    npnn.manual_seed(0)
    net = npnn.nn.Sequential(npnn.nn.Linear(1, 16), npnn.nn.Tanh(), npnn.nn.Linear(16, 1)).double()
    optimizer = npnn.optim.Adam(net.parameters(), lr=2e-2)
    x = npnn.linspace(0, 2, 20).double().reshape(-1, 1).requires_grad_()
    start = npnn.zeros(1, 1).double().requires_grad_()
    for _ in range(600):
        optimizer.zero_grad()
        u = net(x)
        (du,) = npnn.autograd.grad(u.sum(), x, create_graph=True)
        (ddu,) = npnn.autograd.grad(du.sum(), x, create_graph=True)
        u0 = net(start)
        (du0,) = npnn.autograd.grad(u0.sum(), start, create_graph=True)
        loss = ((ddu + u) ** 2).mean() + (u0**2).sum() + ((du0 - 1) ** 2).sum()
        loss.backward()
        optimizer.step()
    assert np.abs(net(x).detach().numpy() - np.sin(x.detach().numpy())).max() < 0.05


def test_backward_with_create_graph_leaves_gradients_in_the_graph():
    x = npnn.tensor([2.0, 3.0], requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    np.testing.assert_array_equal(x.grad.detach(), [12, 27])
    (second,) = npnn.autograd.grad(x.grad.sum(), x)
    np.testing.assert_array_equal(second, [12, 18])
    (x**2).sum().backward(create_graph=True)  # and add up
    np.testing.assert_array_equal(x.grad.detach(), [16, 33])


def test_backward_into_chosen_inputs():
    x, y = (npnn.tensor([2.0], requires_grad=True) for _ in range(2))
    (x**2 * y).sum().backward(create_graph=True, inputs=[x])
    assert y.grad is None
    (mixed,) = npnn.autograd.grad(x.grad.sum(), y)
    assert mixed.item() == 4


def test_a_leaf_used_twice_and_hooks():
    x = npnn.tensor([3.0], requires_grad=True)
    seen = []
    x.register_hook(lambda g: seen.append(g.item()))
    y = x * x
    y.register_hook(lambda g: seen.append(g.item()))
    (gradient,) = npnn.autograd.grad(y + x, x, npnn.ones(1), create_graph=True)
    assert seen == [1, 7]
    assert npnn.autograd.grad(gradient.sum(), x)[0].item() == 2


def hooked(m: Any) -> list[float]:
    """Hooks that replace gradients, on a leaf and within, and what they leave in .grad."""
    x, seen = m.tensor([3.0], requires_grad=True), []
    handle = x.register_hook(lambda g: g * g)
    y = x * x
    y.retain_grad()
    y.register_hook(lambda g: 2 * g)
    x.register_post_accumulate_grad_hook(lambda leaf: seen.append(leaf.grad.item()))
    (y * y).sum().backward(create_graph=True)
    first = x.grad
    handle.remove()
    (second,) = m.autograd.grad(first.sum(), x)
    return [first.item(), second.item(), y.grad.item(), *seen, float(y.grad.requires_grad)]


@pytest.mark.filterwarnings("ignore:Using backward")  # PyTorch's opinion of create_graph
def test_hooks_that_replace_a_gradient_are_differentiated():
    torch = pytest.importorskip("torch")
    assert hooked(npnn) == hooked(torch)


def test_gradients_of_two_leaves_are_two_tensors_that_can_be_changed():
    x, y = (npnn.ones(2, requires_grad=True) for _ in range(2))
    (x + y).sum().backward(create_graph=True)
    with npnn.no_grad():
        x.grad.mul_(3)
    np.testing.assert_array_equal(x.grad.detach(), [3, 3])
    np.testing.assert_array_equal(y.grad.detach(), [1, 1])


def test_a_gradient_in_the_graph_is_not_overwritten_by_the_next():
    x = npnn.tensor([2.0], requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    squared = x.grad**2  # keeps the gradient, 3 x²
    (x * 5).sum().backward()
    assert x.grad.item() == 17
    assert npnn.autograd.grad(squared.sum(), x)[0].item() == 2 * 12 * 12


def test_a_value_changed_since_is_refused():
    x = npnn.ones(3, requires_grad=True)
    z = x * 1
    y = z.exp()
    y.detach().add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        npnn.autograd.grad(y.sum(), x, create_graph=True)


def test_scores_may_change_after_the_loss():
    """As in PyTorch: cross_entropy keeps probabilities, not the scores."""
    x = npnn.rand(3, 4).requires_grad_()
    scores = x * 1
    loss = npnn.nn.functional.cross_entropy(scores, npnn.tensor([0, 1, 2]))
    scores.detach().zero_()
    loss.backward()
    assert x.grad.abs().sum() > 0
