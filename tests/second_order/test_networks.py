"""Whole networks differentiated twice, weights and input, beside PyTorch from one seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import npnn

NETWORKS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {}


def network(*shape: int) -> Any:
    """Decorator: a function of a library that makes a network, for an input of this shape."""

    def add(make: Any) -> Any:
        NETWORKS[make.__name__] = make, shape
        return make

    return add


def module(m: Any, forward: Callable[..., Any], **layers: Any) -> Any:
    """A module of these layers: forward(self, x)."""

    class Made(m.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            for name, layer in layers.items():
                setattr(self, name, layer)

        def forward(self, x: Any) -> Any:
            return forward(self, x)

    return Made()


@network(2, 3, 6, 6)
def critic(m: Any) -> Any:
    nn = m.nn
    return nn.Sequential(
        nn.utils.spectral_norm(nn.Conv2d(3, 4, 3)),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.utils.spectral_norm(nn.Linear(64, 1)),
    )


@network(2, 4, 5, 5)
def residual(m: Any) -> Any:
    nn, F = m.nn, m.nn.functional

    def forward(self: Any, x: Any) -> Any:
        return F.adaptive_avg_pool2d(self.end(F.silu(self.start(x)) + x), 1).flatten(1)

    return module(
        m, forward, start=nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.BatchNorm2d(4)),
        end=nn.Sequential(nn.Conv2d(4, 8, 1, bias=False), nn.GroupNorm(2, 8), nn.PReLU()),
    )  # fmt: skip


@network(2, 4, 8)
def attention(m: Any) -> Any:
    return module(
        m, lambda self, x: self.norm(self.attend(x, x, x)[0] + x), attend=m.nn.MultiheadAttention(8, 2, batch_first=True),
        norm=m.nn.LayerNorm(8),
    )  # fmt: skip


@network(3, 5, 3)
def packed(m: Any) -> Any:
    rnn = m.nn.utils.rnn

    def forward(self: Any, x: Any) -> Any:
        y, (h, _) = self.lstm(rnn.pack_padded_sequence(x, [5, 3, 2], batch_first=True))
        return rnn.pad_packed_sequence(y, batch_first=True)[0].sum() + (h**2).sum()

    return module(m, forward, lstm=m.nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True))


@network(2, 3, 3)
def cells(m: Any) -> Any:
    def forward(self: Any, x: Any) -> Any:
        state, h = None, None
        for t in range(3):
            state = self.lstm(x[:, t], state)
            h = self.gru(state[0], h)
        return h

    return module(m, forward, lstm=m.nn.LSTMCell(3, 4), gru=m.nn.GRUCell(4, 2))


@network(3, 4)
def generator(m: Any) -> Any:
    nn = m.nn
    return nn.Sequential(
        nn.Linear(4, 16), nn.Unflatten(1, (4, 2, 2)), nn.ConvTranspose2d(4, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.LeakyReLU(0.2),
        nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.PixelShuffle(2), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 1),
    )  # fmt: skip


@network(2, 2, 4, 4, 4)
def volumes(m: Any) -> Any:
    nn = m.nn
    return nn.Sequential(
        nn.Conv3d(2, 4, 2), nn.InstanceNorm3d(4), nn.ELU(), nn.AvgPool3d(2), nn.ConvTranspose3d(4, 1, 2)
    )


@network(2, 1, 4, 4)
def transformer_of_images(m: Any) -> Any:
    F = m.nn.functional

    def forward(self: Any, x: Any) -> Any:
        grid = F.affine_grid(self.where(x.flatten(1)).view(-1, 2, 3) * 0.3, x.shape, align_corners=False)
        return F.grid_sample(x, grid, align_corners=False, padding_mode="border") ** 2

    return module(m, forward, where=m.nn.Linear(16, 6))


@network(3, 5)
def dropped(m: Any) -> Any:
    nn = m.nn
    return nn.Sequential(
        nn.Linear(5, 6), nn.Dropout(0.4), nn.GELU(), nn.Linear(6, 2), nn.AlphaDropout(0.2), nn.LogSoftmax(1)
    )


@network(3, 5)
def checkpointed(m: Any) -> Any:
    def forward(self: Any, x: Any) -> Any:
        return self.b(m.utils.checkpoint.checkpoint(lambda z: self.a(z).tanh(), x, use_reentrant=False))

    return module(m, forward, a=m.nn.Linear(5, 5), b=m.nn.Linear(5, 1))


def twice(m: Any, name: str) -> list[Any]:
    """The gradient of Σ y², and that of a random sum of it, by the input and all weights."""
    make, shape = NETWORKS[name]
    m.manual_seed(1)
    net, rng = make(m).double(), np.random.default_rng(0)
    x = m.tensor(rng.normal(size=shape)).requires_grad_()
    leaves = [x, *net.parameters()]
    first = m.autograd.grad((net(x) ** 2).sum(), leaves, create_graph=True)
    total = sum((g * m.tensor(rng.normal(size=tuple(g.shape)))).sum() for g in first)
    second = m.autograd.grad(total, leaves, allow_unused=True)
    zeros = [np.zeros(tuple(leaf.shape)) for leaf in leaves]
    return [
        *[g.detach().numpy(force=True) for g in first],
        *[z if g is None else g.detach().numpy(force=True) for g, z in zip(second, zeros, strict=True)],
    ]


@pytest.mark.filterwarnings("ignore:.*spectral_norm.*deprecated")  # PyTorch, of the older form
@pytest.mark.parametrize("name", NETWORKS)
def test_both_orders_are_torchs(name):
    torch = pytest.importorskip("torch")
    for ours, theirs in zip(twice(npnn, name), twice(torch, name), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-9 * (1 + np.abs(theirs).max()))


def test_attention_without_weights_is_that_with_them():
    """PyTorch's own attention in one step cannot be differentiated twice on a CPU; npnn's can."""
    found = []
    for weights in (True, False):
        npnn.manual_seed(0)
        layer = npnn.nn.MultiheadAttention(8, 2, batch_first=True).double()
        x = npnn.tensor(np.random.default_rng(0).normal(size=(2, 4, 8))).requires_grad_()
        y, _ = layer(x, x, x, need_weights=weights)
        (first,) = npnn.autograd.grad((y**2).sum(), x, create_graph=True)
        found.append(npnn.autograd.grad((first**2).sum(), x)[0].numpy())
    np.testing.assert_allclose(*found, rtol=1e-10)
