"""RNN, LSTM and GRU against torch: outputs, states, every gradient, short trainings, bad inputs."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import npnn
from npnn import nn
from npnn.errors import ShapeError
from npnn.testing import assert_close
from tests.parity import assert_module_matches_torch, equal_modules, random_input, requires_torch, torch

LAYERS = ["RNN", "LSTM", "GRU"]
T, N, I, H = 4, 3, 2, 5  # noqa: E741


def states(kind: str, *shape: int, dtype: str = "float64") -> list[np.ndarray]:
    """h_0, and c_0 for an LSTM."""
    return [random_input(shape, dtype, seed) for seed in range(2 if "LSTM" in kind else 1)]


def pack(hx: list) -> object:
    return tuple(hx) if len(hx) == 2 else hx[0]


def chosen(kind: str, pick: str, **options):
    """build(nn) for a module whose forward takes x, h_0 (c_0) as separate inputs and returns some of its results."""

    def build(framework):
        class Chosen(framework.Module):
            def __init__(self):
                super().__init__()
                self.inner = getattr(framework, kind)(I, H, **options)

            def forward(self, x, *hx):
                output, last = self.inner(x, pack(hx)) if hx else self.inner(x)
                last = last if isinstance(last, tuple) else (last,)
                return {"output": output, "h_n": last[0], "c_n": last[-1], "all": (output, *last)}[pick]

        return Chosen()

    return build


# ---- the layers


GRID = list(itertools.product([1, 2], [True, False], [True, False], [True, False]))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("num_layers", "bias", "batch_first", "bidirectional"), GRID)
def test_layer_matches_torch(kind, num_layers, bias, batch_first, bidirectional):
    options = {"num_layers": num_layers, "bias": bias, "batch_first": batch_first, "bidirectional": bidirectional}
    x = random_input((N, T, I) if batch_first else (T, N, I))
    directions = num_layers * (1 + bidirectional)
    assert_module_matches_torch(chosen(kind, "all", **options), x, *states(kind, directions, N, H))


@pytest.mark.parametrize(("num_layers", "bias", "batch_first", "bidirectional"), GRID)
def test_projected_states_match_torch(num_layers, bias, batch_first, bidirectional):
    options = {"num_layers": num_layers, "bias": bias, "batch_first": batch_first, "bidirectional": bidirectional}
    x = random_input((N, T, I) if batch_first else (T, N, I))
    directions = num_layers * (1 + bidirectional)
    h0, c0 = random_input((directions, N, 3)), random_input((directions, N, H), seed=1)
    assert_module_matches_torch(chosen("LSTM", "all", proj_size=3, **options), x, h0, c0)
    assert_module_matches_torch(chosen("LSTM", "all", proj_size=3, **options), x)


@requires_torch
@pytest.mark.parametrize("bidirectional", [False, True])
def test_packed_sequences_may_be_projected(bidirectional):
    lengths, results = [4, 2, 1], []
    layers = equal_modules(lambda lib: lib.nn.LSTM(I, H, 2, proj_size=2, bidirectional=bidirectional).double())
    for lib, layer in zip((npnn, torch), layers, strict=True):
        x = lib.tensor(random_input((T, N, I)), requires_grad=True)
        output, (h, c) = layer(lib.nn.utils.rnn.pack_padded_sequence(x, lengths))
        (output.data.sin().sum() + h.sum() + (c * c).sum()).backward()
        results.append([output.data, h, c, x.grad, *[p.grad for p in layer.parameters()]])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_relu_matches_torch(bidirectional):
    build = chosen("RNN", "all", num_layers=2, nonlinearity="relu", bidirectional=bidirectional)
    assert_module_matches_torch(build, random_input((T, N, I)), *states("RNN", 2 * (1 + bidirectional), N, H))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_initial_states_default_to_zero(kind, bidirectional):
    build = chosen(kind, "all", bidirectional=bidirectional)
    assert_module_matches_torch(build, random_input((T, N, I)))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("pick", ["output", "h_n", "c_n"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_loss_may_depend_on_one_result_only(kind, pick, bidirectional):
    build = chosen(kind, pick, num_layers=2, bidirectional=bidirectional)
    assert_module_matches_torch(build, random_input((T, N, I)), *states(kind, 2 * (1 + bidirectional), N, H))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_unbatched_input(kind, bidirectional):
    build = chosen(kind, "all", num_layers=2, bidirectional=bidirectional, batch_first=True)
    layers = 2 * (1 + bidirectional)
    assert_module_matches_torch(build, random_input((T, I)), *states(kind, layers, H))
    assert_module_matches_torch(build, random_input((T, I)))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("shape", [(1, N, I), (T, 1, I), (1, 1, I), (T, 0, I)])
def test_single_steps_and_empty_batches(kind, shape):
    build = chosen(kind, "all", bidirectional=True)
    assert_module_matches_torch(build, random_input(shape), *states(kind, 2, shape[1], H))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_float32_stays_float32(kind, bidirectional):
    build = chosen(kind, "all", num_layers=2, bidirectional=bidirectional)
    x, hx = random_input((9, 33, I), "float32"), states(kind, 2 * (1 + bidirectional), 33, H, dtype="float32")
    assert_module_matches_torch(build, x, *hx, dtype="float32")  # compares dtypes, too


@pytest.mark.parametrize("kind", LAYERS)
def test_any_strides_are_accepted(kind):
    layer = getattr(nn, kind)(I, H).double()
    x = random_input((T, N, I))
    expected, _ = layer(npnn.tensor(x))
    for same in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x[::-1].copy()[::-1]):
        assert not same.flags.c_contiguous
        output, _ = layer(npnn.tensor(same))
        np.testing.assert_array_equal(output.numpy() if not output.requires_grad else output.array, expected.array)


@pytest.mark.parametrize("kind", LAYERS)
def test_backward_can_run_twice(kind):
    layer = getattr(nn, kind)(I, H)
    output, _ = layer(npnn.tensor(random_input((T, N, I), "float32")))
    loss = (output * output).sum()
    loss.backward(retain_graph=True)
    first = [p.grad.array.copy() for p in layer.parameters()]
    layer.zero_grad()
    loss.backward()
    for p, grad in zip(layer.parameters(), first, strict=True):
        np.testing.assert_array_equal(p.grad.array, grad)


@pytest.mark.parametrize("kind", LAYERS)
def test_weights_that_are_frozen_get_no_gradient(kind):
    layer = getattr(nn, kind)(I, H).requires_grad_(False)
    x = npnn.tensor(random_input((T, N, I), "float32"), requires_grad=True)
    output, _ = layer(x)
    output.sum().backward()
    assert x.grad.shape == x.shape
    assert all(p.grad is None for p in layer.parameters())
    layer.weight_hh_l0.requires_grad_(True)
    output, _ = layer(x.detach())
    output.sum().backward()
    assert [n for n, p in layer.named_parameters() if p.grad is not None] == ["weight_hh_l0"]


@pytest.mark.parametrize("kind", LAYERS)
def test_nan_passes_through(kind):
    x = random_input((T, N, I), "float32")
    x[1, 2, 0] = np.nan
    output, _ = getattr(nn, kind)(I, H)(npnn.tensor(x))
    bad = np.isnan(output.array)
    assert bad[1:, 2].all()
    assert not bad[0].any()
    assert not bad[:, :2].any()


@requires_torch
@pytest.mark.parametrize("kind", [*LAYERS, "relu"])
def test_training_follows_torch(kind):
    """Ten steps of plain gradient descent on the last output of a two-layer, bidirectional network."""
    options = {"num_layers": 2, "bidirectional": True, "batch_first": True}
    if kind == "relu":
        kind, options = "RNN", options | {"nonlinearity": "relu"}
    ours, theirs = getattr(nn, kind)(I, H, **options).double(), getattr(torch.nn, kind)(I, H, **options).double()
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    x, target = random_input((N, T, I)), random_input((N, 2 * H))
    losses = []
    for layer, make in ((ours, npnn.tensor), (theirs, torch.tensor)):
        for _ in range(10):
            output, _ = layer(make(x))
            error = output[:, -1] - make(target)
            loss = (error * error).mean()
            for p in layer.parameters():
                p.grad = None
            loss.backward()
            for p in layer.parameters():
                step = p.detach()
                step -= 0.5 * p.grad
            losses.append(loss.item())
    assert losses[9] < losses[0]
    np.testing.assert_allclose(losses[:10], losses[10:], rtol=1e-9)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert_close(p, q, rtol=1e-8, atol=1e-10, what=name)


def test_names_shapes_and_initial_range():
    layer = nn.GRU(I, H, num_layers=2, bidirectional=True)
    shapes = {name: p.shape for name, p in layer.named_parameters()}
    assert list(shapes)[:5] == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih_l0_reverse"]
    assert shapes["weight_ih_l1_reverse"] == (3 * H, 2 * H)
    assert len(layer.all_weights) == 4
    assert [len(group) for group in nn.RNN(I, H, bias=False).all_weights] == [2]
    values = np.concatenate([p.array.ravel() for p in layer.parameters()])
    bound = 1 / np.sqrt(H)
    assert 0.95 * bound < values.max() <= bound
    assert -bound <= values.min() < -0.95 * bound
    assert values.dtype == np.float32


@pytest.mark.parametrize("kind", LAYERS)
def test_dropout_acts_between_layers_in_training_only(kind):
    layer = getattr(nn, kind)(I, H, num_layers=2, dropout=0.5)
    x = npnn.tensor(random_input((T, N, I), "float32"))
    npnn.random.manual_seed(3)
    first = layer(x)[0].array
    second = layer(x)[0].array
    npnn.random.manual_seed(3)
    np.testing.assert_array_equal(layer(x)[0].array, first)
    assert (first != second).any()
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0].array, layer(x)[0].array)
    layer.train().dropout = 1.0  # nothing of the first layer passes: the batch's items can no longer differ
    output = layer(x)[0].array
    np.testing.assert_allclose(output[:, 0], output[:, 1], rtol=1e-6)


def test_dropout_of_a_single_layer_warns():
    with pytest.warns(UserWarning, match="dropout=0.3 does nothing with num_layers=1"):
        nn.LSTM(I, H, dropout=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.LSTM(I, H, num_layers=2, dropout=0.3)


@requires_torch
@pytest.mark.parametrize("kind", LAYERS)
def test_repr_is_torchs(kind):
    for options in ({}, {"num_layers": 2, "bias": False, "batch_first": True, "dropout": 0.5, "bidirectional": True}):
        assert repr(getattr(nn, kind)(I, H, **options)) == repr(getattr(torch.nn, kind)(I, H, **options))


# ---- bad arguments and inputs


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"hidden_size": 0}, ValueError, "hidden_size must be greater than zero, got 0"),
        ({"input_size": 2.0}, TypeError, "input_size must be a whole number, got 2.0"),
        ({"num_layers": 0}, ValueError, "num_layers"),
        ({"num_layers": True}, TypeError, "num_layers"),
        ({"bias": 1}, TypeError, "bias must be True or False"),
        ({"batch_first": "yes"}, TypeError, "batch_first"),
        ({"dropout": 1.5}, ValueError, "probability between 0 and 1, got 1.5"),
        ({"dropout": True}, ValueError, "dropout"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        nn.GRU(**{"input_size": I, "hidden_size": H, **options})


def test_bad_nonlinearity_and_projection():
    with pytest.raises(ValueError, match="'tanh' or 'relu', got 'sigmoid'"):
        nn.RNN(I, H, nonlinearity="sigmoid")
    for size in (-1, H):
        with pytest.raises(ValueError, match="proj_size must be from 0 to hidden_size - 1 = 4"):
            nn.LSTM(I, H, proj_size=size)


def zeros(*shape: int, dtype: str = "float32") -> npnn.Tensor:
    return npnn.tensor(np.zeros(shape, dtype))


@pytest.mark.parametrize("kind", LAYERS)
def test_wrong_shapes_name_what_was_expected(kind):
    layer = getattr(nn, kind)(I, H, num_layers=2)

    def start(*shape):
        return pack([zeros(*shape)] * (2 if kind == "LSTM" else 1))

    with pytest.raises(ShapeError, match=r"\(time, batch, 2\), or \(time, 2\).*got \(4, 3, 7\)"):
        layer(zeros(T, N, 7))
    with pytest.raises(ShapeError, match=r"got \(2,\)"):
        layer(zeros(I))
    with pytest.raises(ShapeError, match=r"got \(1, 4, 3, 2\)"):
        layer(zeros(1, T, N, I))
    with pytest.raises(ShapeError, match="at least one step"):
        layer(zeros(0, N, I))
    with pytest.raises(ShapeError, match=r"h_0 of shape \(2, 3, 5\).*got \(1, 3, 5\)"):
        layer(zeros(T, N, I), start(1, N, H))
    with pytest.raises(ShapeError, match=r"h_0 of shape \(2, 3, 5\).*got \(2, 5\)"):
        layer(zeros(T, N, I), start(2, H))
    with pytest.raises(ShapeError, match=r"h_0 of shape \(2, 5\).*got \(2, 1, 5\)"):
        layer(zeros(T, I), start(2, 1, H))
    batch_first = getattr(nn, kind)(I, H, batch_first=True)
    with pytest.raises(ShapeError, match=r"\(batch, time, 2\)"):
        batch_first(zeros(N, T, 7))
    with pytest.raises(ShapeError, match=r"h_0 of shape \(1, 3, 5\).*got \(1, 4, 5\)"):
        batch_first(zeros(N, T, I), start(1, T, H))


def test_lstm_states_are_a_pair():
    with pytest.raises(ShapeError, match=r"c_0 of shape \(1, 3, 5\).*got \(1, 3, 4\)"):
        nn.LSTM(I, H)(zeros(T, N, I), (zeros(1, N, H), zeros(1, N, 4)))
    with pytest.raises(TypeError, match=r"\(h_0, c_0\), got Tensor"):
        nn.LSTM(I, H)(zeros(N, I), zeros(1, H))


@pytest.mark.parametrize("kind", LAYERS)
def test_wrong_dtypes_say_how_to_cast(kind):
    layer = getattr(nn, kind)(I, H)
    with pytest.raises(RuntimeError, match=r"input of dtype float32.*got float64.*input.float\(\) or model.double\(\)"):
        layer(zeros(T, N, I, dtype="float64"))
    with pytest.raises(RuntimeError, match=r"h_0 of dtype float32.*got float64"):
        layer(zeros(T, N, I), pack([zeros(1, N, H, dtype="float64")] * (2 if kind == "LSTM" else 1)))
    with pytest.raises(RuntimeError, match=r"input of dtype float32.*got int64: cast one of them.*input.float\(\)$"):
        layer(zeros(T, I, dtype="int64"))
