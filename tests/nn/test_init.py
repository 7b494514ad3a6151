"""Initialisers: their distributions, and torch's bounds, gains and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import npnn
from npnn.nn import init
from tests.parity import requires_torch, torch

SHAPES = [(300, 200), (40, 30, 5), (64, 32, 3, 3)]


def empty(*shape, dtype="float32"):
    return npnn.tensor(np.full(shape, np.nan, dtype))


def fans(shape):
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def assert_uniform(values, bound):
    """In ±bound, filling it, and with the mean and variance of a uniform distribution (5 standard errors)."""
    assert np.abs(values).max() <= bound * (1 + 1e-6)
    assert values.max() > 0.99 * bound
    assert values.min() < -0.99 * bound
    assert abs(values.mean()) < 5 * bound / math.sqrt(3 * values.size)
    assert values.var() == pytest.approx(bound**2 / 3, rel=5 / math.sqrt(values.size))


def assert_normal(values, std):
    """Mean, variance and fourth moment of a normal distribution (5 standard errors)."""
    n = values.size
    assert abs(values.mean()) < 5 * std / math.sqrt(n)
    assert values.var() == pytest.approx(std**2, rel=5 * math.sqrt(2 / n))
    assert (values**4).mean() == pytest.approx(3 * std**4, rel=5 * math.sqrt(96 / n) / 3)


def test_uniform():
    x = empty(100, 100)
    assert init.uniform_(x, -3, 5) is x
    assert_uniform(x.array - 1, 4)


def test_normal():
    assert_normal(init.normal_(empty(100, 100), 2, 3).array - 2, 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_xavier(shape):
    fan_in, fan_out = fans(shape)
    assert_uniform(init.xavier_uniform_(empty(*shape), gain=2).array, 2 * math.sqrt(6 / (fan_in + fan_out)))
    assert_normal(init.xavier_normal_(empty(*shape), gain=2).array, 2 * math.sqrt(2 / (fan_in + fan_out)))


@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize("shape", SHAPES)
def test_kaiming(shape, mode):
    fan = fans(shape)[mode == "fan_out"]
    assert_uniform(init.kaiming_uniform_(empty(*shape), mode=mode, nonlinearity="relu").array, math.sqrt(6 / fan))
    assert_normal(init.kaiming_normal_(empty(*shape), mode=mode, nonlinearity="relu").array, math.sqrt(2 / fan))
    slope = math.sqrt(5)  # what torch's layers start with: a uniform distribution in ±1/√fan
    assert_uniform(init.kaiming_uniform_(empty(*shape), slope, mode).array, 1 / math.sqrt(fan))
    assert_normal(init.kaiming_normal_(empty(*shape), 1, mode).array, 1 / math.sqrt(fan))


@pytest.mark.parametrize(("mean", "std", "a", "b"), [(0, 1, -2, 2), (1, 2, -1, 1), (0, 1, 3, 4), (0, 0.02, -2, 2)])
def test_trunc_normal(mean, std, a, b):
    x = init.trunc_normal_(empty(20_000, dtype="float64"), mean, std, a, b).array
    assert x.min() >= a
    assert x.max() <= b
    grid = np.linspace(max(a, mean - 8 * std), min(b, mean + 8 * std), 100_001)
    density = np.exp(-0.5 * ((grid - mean) / std) ** 2)
    expected = (grid * density).sum() / density.sum()
    spread = math.sqrt(((grid - expected) ** 2 * density).sum() / density.sum())
    assert abs(x.mean() - expected) < 5 * spread / math.sqrt(x.size)
    assert x.std() == pytest.approx(spread, rel=0.05)


def test_constants():
    assert (init.constant_(empty(2, 3), 0.3).array == np.float32(0.3)).all()
    assert (init.ones_(empty(2, 3)).array == 1).all()
    assert (init.zeros_(empty(2, 3)).array == 0).all()


@pytest.mark.parametrize("shape", [(3, 3), (3, 5), (5, 3)])
def test_eye(shape):
    np.testing.assert_array_equal(init.eye_(empty(*shape)).array, np.eye(*shape, dtype=np.float32))


@requires_torch
@pytest.mark.parametrize(
    ("shape", "groups"), [((4, 4, 3), 1), ((4, 2, 3, 3), 1), ((4, 2, 3, 3), 2), ((6, 4, 2, 5), 3), ((2, 2, 3, 3, 3), 1)]
)
def test_dirac(shape, groups):
    ours = init.dirac_(empty(*shape), groups)
    np.testing.assert_array_equal(ours.array, torch.nn.init.dirac_(torch.empty(shape), groups).numpy())


@pytest.mark.parametrize("shape", [(20, 20), (10, 30), (30, 10), (8, 2, 3, 3), (20, 1, 2, 2)])
def test_orthogonal(shape):
    x = init.orthogonal_(empty(*shape, dtype="float64"), gain=3).array.reshape(shape[0], -1) / 3
    gram = x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)


def test_orthogonal_prefers_no_direction():
    """Without the signs of R made positive, QR's matrices are not evenly spread: the first entry leans to one side."""
    first = [init.orthogonal_(empty(3, 3)).array[0, 0] for _ in range(400)]
    assert abs(np.mean(first)) < 5 / math.sqrt(3 * 400)


def test_sparse():
    x = init.sparse_(empty(50, 20), sparsity=0.33, std=0.5).array
    assert ((x == 0).sum(axis=0) == 17).all()
    assert x[x != 0].std() == pytest.approx(0.5, rel=0.15)


@requires_torch
def test_calculate_gain():
    names = "linear conv1d conv2d conv3d conv_transpose2d sigmoid tanh relu selu leaky_relu".split()
    for name in names:
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert init.calculate_gain("leaky_relu", 0.3) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", 0.3))


def test_signals_keep_their_size():
    """What He's scheme is for: after thirty ReLU layers the activations still have the size of the input."""
    x = np.random.default_rng(0).standard_normal((64, 256)).astype(np.float32)
    h = x
    for _ in range(30):
        h = np.maximum(h @ init.kaiming_normal_(empty(256, 256), nonlinearity="relu").array.T, 0)
    assert 0.2 < (h**2).mean() / (x**2).mean() < 5


SPARSE_IN_TORCH = torch and (lambda t: torch.nn.init.sparse_(t, 0.2))

RANDOM = [
    init.uniform_,
    init.normal_,
    init.trunc_normal_,
    init.xavier_uniform_,
    init.xavier_normal_,
    init.kaiming_uniform_,
    init.kaiming_normal_,
    init.orthogonal_,
    lambda t, **options: init.sparse_(t, 0.2, **options),
]


@pytest.mark.parametrize("fill", RANDOM)
def test_one_source_of_randomness(fill):
    npnn.manual_seed(5)
    first = fill(empty(6, 4)).array.copy()
    second = fill(empty(6, 4)).array
    assert not np.array_equal(first, second)
    npnn.manual_seed(5)
    np.testing.assert_array_equal(fill(empty(6, 4)).array, first)
    np.testing.assert_array_equal(
        fill(empty(6, 4), generator=npnn.Generator().manual_seed(1)).array,
        fill(empty(6, 4), generator=npnn.Generator().manual_seed(1)).array,
    )


@pytest.mark.parametrize("fill", RANDOM)
def test_the_order_of_filling_is_torchs(fill):
    """Fortran's order is filled in the order of memory, as in torch; a convolution's own order in that of the indices."""
    if getattr(fill, "__name__", "") not in ("sparse_", "<lambda>"):
        plain = fill(npnn.manual_seed(5) and empty(4, 2, 3, 3)).array
        own = npnn.tensor(np.moveaxis(np.empty((4, 3, 3, 2), np.float32), -1, 1))
        np.testing.assert_array_equal(fill(npnn.manual_seed(5) and own).array, plain)
    if torch is not None:
        ours = npnn.tensor(np.full((6, 4), np.nan, np.float32, order="F"))
        theirs = torch.empty(4, 6).t()
        fill(npnn.manual_seed(5) and ours)
        (SPARSE_IN_TORCH if fill.__name__ == "<lambda>" else getattr(torch.nn.init, fill.__name__))(
            torch.manual_seed(5) and theirs
        )
        np.testing.assert_allclose(ours.array, theirs.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("fill", [*RANDOM, init.ones_, init.zeros_, init.eye_])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parameters_are_filled_in_place_outside_the_graph(fill, dtype):
    weight = npnn.nn.Parameter(np.full((6, 4), np.nan, dtype))
    array = weight.array
    assert fill(weight) is weight
    assert weight.array is array
    assert weight.dtype == dtype
    assert np.isfinite(array).all()
    assert weight.requires_grad
    assert weight.is_leaf


def test_a_change_after_use_is_noticed():
    weight = npnn.nn.Parameter(np.ones(3))
    y = (weight * weight).sum()
    init.zeros_(weight)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_errors():
    vector = empty(3)
    for fill in (init.xavier_uniform_, init.xavier_normal_, init.kaiming_uniform_, init.kaiming_normal_):
        with pytest.raises(ValueError, match=r"at least two axes, got shape \(3,\)"):
            fill(vector)
    for fill, message in ((init.eye_, "a matrix"), (init.dirac_, "3 to 5 axes"), (init.orthogonal_, "two axes")):
        with pytest.raises(ValueError, match=message):
            fill(vector)
    with pytest.raises(ValueError, match="a matrix"):
        init.sparse_(vector, 0.1)
    with pytest.raises(ValueError, match="4 output channels cannot be split into 3 groups"):
        init.dirac_(empty(4, 2, 3), 3)
    with pytest.raises(ValueError, match="mode must be fan_in or fan_out, got 'fan'"):
        init.kaiming_normal_(empty(3, 3), mode="fan")
    with pytest.raises(ValueError, match=r"nonlinearity must be one of .*, got 'swish'"):
        init.calculate_gain("swish")
    with pytest.raises(ValueError, match="slope of leaky_relu must be a number, got 'a'"):
        init.calculate_gain("leaky_relu", "a")


def test_empty_tensors():
    for fill in (init.kaiming_uniform_, init.kaiming_normal_, init.orthogonal_, init.uniform_):
        assert fill(empty(0, 4)).shape == (0, 4)
