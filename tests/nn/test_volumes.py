"""Layers for volumes: convolutions, pooling and normalisation of any geometry, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.testing import gradcheck

F = npnn.nn.functional


def draw(seed: int) -> dict[str, Any]:
    """A geometry: sizes, kernel, stride, padding, dilation, groups."""
    r = np.random.default_rng(seed)
    three = lambda low, high: tuple(int(n) for n in r.integers(low, high, 3))  # noqa: E731
    g = int(r.choice([1, 1, 2, 4]))
    kernel = three(1, 4)
    return {
        "r": r, "groups": g, "stride": three(1, 4), "padding": three(0, 3), "dilation": three(1, 3), "kernel": kernel,
        "size": three(5, 9), "channels": 4 * int(r.integers(1, 3)), "out": 4 * int(r.integers(1, 3)),
        "margin": tuple(int(r.integers(0, k // 2 + 1)) for k in kernel), "adaptive": three(1, 6),
        "flags": [bool(b) for b in r.integers(0, 2, 2)],
    }  # fmt: skip


def both(f: Any, *inputs: Any) -> None:
    """f(library, functional, *tensors): values, gradients along a random cotangent, and indices, equal PyTorch's."""
    torch = pytest.importorskip("torch")
    results = []
    for m in (npnn, torch):
        leaves = [m.tensor(x.copy()).requires_grad_() for x in inputs]
        y = f(m, m.nn.functional, *leaves)
        y, *more = y if isinstance(y, tuple) else (y,)
        y.backward(m.tensor(np.random.default_rng(5).normal(size=tuple(y.shape))))
        results.append([y.detach().numpy(), *[x.grad.numpy() for x in leaves], *[i.numpy() for i in more]])
    for ours, theirs in zip(*results, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(25))
def test_convolution(seed):
    d = draw(seed)
    r, g = d["r"], d["groups"]
    x, w = r.normal(size=(2, d["channels"], *d["size"])), r.normal(size=(d["out"], d["channels"] // g, *d["kernel"]))
    x = x if seed % 4 else x[0]
    where = d["stride"], d["padding"], d["dilation"], g
    both(lambda m, F, x, w, b: F.conv3d(x, w, b, *where), x, w, r.normal(size=d["out"]))


@pytest.mark.parametrize("seed", range(25))
def test_transposed_convolution(seed):
    d = draw(seed)
    r, g = d["r"], d["groups"]
    x, w = r.normal(size=(2, d["channels"], 4, 5, 4)), r.normal(size=(d["channels"], d["out"] // g, *d["kernel"]))
    x = x if seed % 4 else x[0]
    more = tuple(int(r.integers(0, max(s, k))) for s, k in zip(d["stride"], d["dilation"], strict=True))
    where = d["stride"], d["margin"], more, g, d["dilation"]
    both(lambda m, F, x, w, b: F.conv_transpose3d(x, w, b, *where), x, w, r.normal(size=d["out"]))


@pytest.mark.parametrize("seed", range(25))
def test_pooling(seed):
    d = draw(seed)
    x = d["r"].normal(size=(2, 3, *d["size"]))
    x = x if seed % 4 else x[0]
    ceil, counted = d["flags"]
    where = d["kernel"], d["stride"], d["margin"]
    both(lambda m, F, x: F.max_pool3d(x, *where, 1, ceil, True), x)
    both(lambda m, F, x: F.avg_pool3d(x, *where, ceil, counted, None if seed % 3 else 5), x)
    both(lambda m, F, x: F.adaptive_avg_pool3d(x, d["adaptive"]), x)
    both(lambda m, F, x: F.adaptive_max_pool3d(x, d["adaptive"], True), x)


def test_the_first_of_equal_numbers_wins_and_unpooling_puts_it_back():
    x = np.zeros((1, 1, 4, 4, 4))
    both(lambda m, F, x: F.max_pool3d(x, 2, return_indices=True), x)
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 6, 4))
    both(lambda m, F, x: F.max_unpool3d(*F.max_pool3d(x, 2, return_indices=True), 2), x)
    both(lambda m, F, x: F.lp_pool3d(x.abs(), 2, 2), x)


@pytest.mark.filterwarnings("ignore:Using padding")  # PyTorch copies the input where a kernel is even
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_by_name(padding):
    r = np.random.default_rng(0)
    x, w = r.normal(size=(2, 3, 5, 6, 7)), r.normal(size=(2, 3, 2, 3, 4))
    both(lambda m, F, x, w: F.conv3d(x, w, padding=padding, dilation=(1, 2, 1)), x, w)


def network(m: Any) -> Any:
    n = m.nn
    return n.Sequential(
        n.Conv3d(2, 6, 3, padding=1, padding_mode="circular"), n.BatchNorm3d(6), n.ReLU(), n.MaxPool3d(2),
        n.LazyConv3d(4, (1, 3, 3)), n.InstanceNorm3d(4, affine=True), n.ConvTranspose3d(4, 3, 2, 2), n.LazyBatchNorm3d(),
        n.AvgPool3d(2), n.AdaptiveMaxPool3d(2), n.Flatten(), n.LazyLinear(5),
    )  # fmt: skip


def test_a_network_trains_as_in_torch():
    torch = pytest.importorskip("torch")
    losses = []
    for m in (npnn, torch):
        m.manual_seed(3)
        m.set_default_dtype(m.float64)
        try:
            model = network(m)
            x, y = m.randn(4, 2, 8, 8, 8), m.tensor([0, 1, 2, 3])
            model(x)
            optimizer = m.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
            seen = []
            for _ in range(5):
                optimizer.zero_grad()
                loss = m.nn.functional.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                seen.append(loss.item())
            losses.append([*seen, model.eval()(x).sum().item()])
        finally:
            m.set_default_dtype(m.float32)
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_gradients_are_those_of_differences():
    r = np.random.default_rng(1)
    x, w, b = r.normal(size=(2, 4, 5, 4, 4)), r.normal(size=(6, 2, 3, 2, 2)), r.normal(size=6)
    assert gradcheck(lambda x, w, b: F.conv3d(x, w, b, 2, 1, 1, 2), x, w, b)
    assert gradcheck(lambda x, w: F.conv_transpose3d(x, w, None, 2, 1, 1), x, r.normal(size=(4, 3, 3, 2, 2)))
    leaves = [npnn.tensor(v).requires_grad_() for v in (x, w, b)]
    assert npnn.autograd.gradgradcheck(lambda x, w, b: F.conv3d(x, w, b, 2, 1, 1, 2).sin(), leaves)


@pytest.mark.parametrize(("call", "message"), [
    (lambda x: nn.Conv3d(3, 4, 3)(x), r"\(N, C, D, H, W\) with C = 3"),
    (lambda x: nn.Conv3d(2, 4, 9)(x), "at least as large as the kernel"),
    (lambda x: F.conv3d(x, npnn.ones(4, 2, 3, 3)), r"\(O, C/groups, KD, KH, KW\)"),
    (lambda x: nn.Conv3d(2, 4, (3, 3)), "3 whole numbers"),
    (lambda x: nn.MaxPool3d(2)(x[0, 0]), r"\(N, C, D, H, W\)"),
    (lambda x: nn.BatchNorm3d(2)(x[0]), "expected 5D"),
    (lambda x: F.adaptive_avg_pool3d(x, (2, 2)), "output_size must be 3"),
    (lambda x: nn.ConvTranspose3d(2, 4, 2, padding=9)(x), "nothing is left"),
    (lambda x: F.avg_pool3d(x, 2, divisor_override=0), "must not be zero"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ShapeError, match=message):
        call(npnn.rand(2, 2, 4, 4, 4))


def test_an_empty_batch():
    layer = nn.Sequential(nn.Conv3d(2, 3, 3, padding=1), nn.MaxPool3d(2), nn.ConvTranspose3d(3, 2, 2, 2))
    y = layer(npnn.rand(0, 2, 4, 4, 4))
    y.sum().backward()
    assert y.shape == (0, 2, 4, 4, 4)
    assert not layer[0].weight.grad.any()
