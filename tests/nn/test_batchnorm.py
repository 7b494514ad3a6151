"""Batch normalisation against torch: training and evaluation, running statistics, errors."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.nn import functional as F
from npnn.testing import assert_close
from tests.parity import assert_module_matches_torch, random_input, requires_torch, skip_without_torch, torch

ARGUMENTS = [
    {},
    {"affine": False},
    {"bias": False},
    {"track_running_stats": False},
    {"momentum": None},
    {"momentum": 0.7, "eps": 0.1},
    {"affine": False, "track_running_stats": False, "eps": 1e-3},
]
CASES = [
    ("BatchNorm1d", (5, 3)),
    ("BatchNorm1d", (4, 3, 5)),
    ("BatchNorm2d", (2, 3, 4, 5)),
    ("BatchNorm2d", (1, 3, 2, 1)),
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
@pytest.mark.parametrize("train", [True, False])
def test_layer(arguments, train):
    for layer, shape in CASES:
        for dtype in ("float64", "float32"):
            assert_module_matches_torch(
                lambda nn, layer=layer: getattr(nn, layer)(3, **arguments),
                random_input(shape),
                dtype=dtype,
                train=train,
            )


@pytest.mark.parametrize("train", [True, False])
def test_memory_orders_and_sizes(train):
    x = random_input((3, 4, 6, 5))
    channels_last = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    for view in (np.asfortranarray(x), channels_last, np.repeat(x, 2, axis=-1)[..., ::2], x[:, ::-1]):
        assert_module_matches_torch(lambda nn: nn.BatchNorm2d(4), view, train=train)
    for shape in [(2, 1, 3, 5), (2, 17, 3, 3), (4, 64, 8, 8)]:
        x = random_input(shape, "float32")
        assert_module_matches_torch(lambda nn: nn.BatchNorm2d(shape[1]), x, dtype="float32", train=train)  # noqa: B023
    y = nn.BatchNorm2d(4).train(train)(npnn.tensor(channels_last.astype(np.float32)))
    assert y.dtype == npnn.float32
    assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(
    ("layer", "shape"), [("BatchNorm2d", (0, 3, 4, 4)), ("BatchNorm1d", (0, 3)), ("BatchNorm1d", (2, 3, 0))]
)
def test_empty_batch(layer, shape, train):
    assert_module_matches_torch(
        lambda nn: getattr(nn, layer)(3), random_input(shape), train=train, check_gradient=False
    )


@requires_torch
@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_over_many_batches(momentum):
    ours, theirs = nn.BatchNorm1d(3, momentum=momentum), torch.nn.BatchNorm1d(3, momentum=momentum)
    for step in range(5):
        x = random_input((6, 3), "float32", seed=step) + np.float32(step)
        ours(npnn.tensor(x))
        theirs(torch.from_numpy(x))
    for name, buffer in theirs.named_buffers():
        assert_close(ours.state_dict()[name], buffer, rtol=1e-5)
        assert str(ours.state_dict()[name].dtype) == str(buffer.dtype)
    x = random_input((1, 3), "float32")
    assert_close(ours.eval()(npnn.tensor(x)), theirs.eval()(torch.from_numpy(x)), rtol=1e-5, atol=1e-6)
    ours.reset_running_stats()
    assert ours.num_batches_tracked.item() == 0
    assert ours.running_mean.tolist() == [0, 0, 0]
    assert ours.running_var.tolist() == [1, 1, 1]


def test_far_from_zero_no_digits_are_lost():
    x = 1e4 + random_input((64, 3, 8, 8), "float32")
    w = random_input(x.shape, "float32", seed=1)
    exact = x.astype(np.float64)
    axes = (0, 2, 3)
    r = 1 / np.sqrt(exact.var(axis=axes, keepdims=True) + 1e-5)
    normal = (exact - exact.mean(axis=axes, keepdims=True)) * r
    input = npnn.tensor(x, requires_grad=True)
    y = F.batch_norm(input, None, None, training=True)
    assert_close(y, normal, atol=1e-5)
    (y * npnn.tensor(w)).sum().backward()
    dx = r * (w - w.mean(axis=axes, keepdims=True) - normal * (w * normal).mean(axis=axes, keepdims=True))
    assert_close(input.grad, dx, atol=1e-5)


def test_nan_spoils_its_own_channel_only():
    x = random_input((4, 3, 2, 2), "float32")
    x[1, 1, 0, 0] = np.nan
    y = nn.BatchNorm2d(3)(npnn.tensor(x)).detach().numpy()
    assert np.isnan(y[:, 1]).all()
    assert np.isfinite(y[:, [0, 2]]).all()


def test_evaluation_saves_nothing_that_later_training_moves():
    layer = nn.BatchNorm1d(3).eval()
    x = npnn.tensor(random_input((4, 3), "float32"), requires_grad=True)
    y = layer(x).sum()
    layer.train()(npnn.tensor(random_input((4, 3), "float32", seed=1)))
    y.backward()
    assert_close(x.grad, np.full((4, 3), 1 / np.sqrt(1 + 1e-5)), rtol=1e-5)


def test_no_gradient_is_computed_that_nobody_wants():
    layer = nn.BatchNorm2d(3)
    layer(npnn.tensor(random_input((2, 3, 4, 4), "float32"))).sum().backward()
    assert layer.weight.grad is not None
    frozen = nn.BatchNorm2d(3).requires_grad_(False)
    assert not frozen(npnn.tensor(random_input((2, 3, 4, 4), "float32"))).requires_grad


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: nn.BatchNorm2d(3)(x[0]), ValueError, r"BatchNorm2d\(3, .*: expected 4D input \(got 3D input\)"),
        (lambda x: nn.BatchNorm1d(3)(x), ValueError, r"expected 2D or 3D input \(got 4D input\), not \(2, 3, 5, 8\)$"),
        (lambda x: nn.BatchNorm2d(3)(x[0]), ValueError, r"not \(3, 5, 8\); .* the batch with x.unsqueeze\(0\)$"),
        (lambda x: nn.BatchNorm2d(1)(x[0]), ValueError, r"not \(3, 5, 8\); .* the channels with x.unsqueeze\(1\)$"),
        (lambda x: nn.BatchNorm2d(2)(x[0]), ValueError, r"not \(3, 5, 8\)$"),
        (lambda x: nn.BatchNorm2d(4)(x), ShapeError, r"\(N, C, \*\) with C = 4 as in running_mean, got \(2, 3, 5, 8\)"),
        (lambda x: nn.BatchNorm2d(8)(x), ShapeError, r"put the channels first with x.permute\(0, 3, 1, 2\)"),
        (lambda x: nn.BatchNorm2d(3)(x[:1, :, :1, :1]), ValueError, "more than 1 value per channel when training"),
        (lambda x: nn.BatchNorm1d(3)(x[:1, :, 0, 0]), ValueError, r"got input size \(1, 3\)"),
        (
            lambda x: nn.BatchNorm2d(3)(x.double()),
            RuntimeError,
            r"input is float64 but the running_mean is float32: cast",
        ),
        (lambda x: F.batch_norm(x, None, None), RuntimeError, "running_mean and running_var are needed"),
        (
            lambda x: F.batch_norm(x, None, npnn.tensor(np.ones(3, "f"))),
            ValueError,
            "both running_mean and running_var",
        ),
        (lambda x: F.batch_norm(x, None, None, training=True, eps=0), ValueError, "eps must be positive in training"),
        (lambda x: F.batch_norm(x, None, None, eps=-1), ValueError, "eps must be at least 0, got -1"),
        (lambda x: F.batch_norm(x[0, 0, 0], None, None), ShapeError, r"shape \(N, C, \*\), got \(8,\)"),
        (lambda x: F.batch_norm(x.long(), None, None), RuntimeError, "batch_norm: expected a floating-point input"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(npnn.tensor(random_input((2, 3, 5, 8), "float32")))


def test_printed_as_in_torch():
    skip_without_torch()
    for arguments in ARGUMENTS:
        assert repr(nn.BatchNorm2d(3, **arguments)) == repr(torch.nn.BatchNorm2d(3, **arguments))


@requires_torch
@pytest.mark.parametrize("shape", [(0,), (0, 3), (0, 3, 2), (2, 3, 0)])
@pytest.mark.parametrize("training", [False, True])
def test_no_rows(shape, training):
    results = []
    for lib in (npnn, torch):
        x = lib.zeros(shape, dtype=lib.float64, requires_grad=True)
        channels = (shape + (0,))[1] if len(shape) > 1 else 0
        statistics = lib.zeros(channels, dtype=lib.float64), lib.ones(channels, dtype=lib.float64)
        try:
            y = lib.nn.functional.batch_norm(x, *statistics, training=training)
            y.sum().backward()
            results.append((y.shape, x.grad.shape))
        except ValueError:
            results.append("refused")
    assert results[0] == results[1]
