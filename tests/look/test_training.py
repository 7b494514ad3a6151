"""The last layer's space, training as a film, recurrent networks and the loss around a solution."""

from __future__ import annotations

import time

import numpy as np
import pytest

import npnn
from npnn import io, look, nn, optim
from npnn.data import DataLoader, TensorDataset
from npnn.train import Trainer
from tests.look.networks import chain, pictures, same, twins
from tests.parity import torch

# ---- space


def test_the_plane_is_that_of_the_two_main_directions():
    pytest.importorskip("sklearn")
    x, points = pictures(30), []
    for model in twins(chain, 1):
        net = look.subject(model)
        found = look.space(model, x, np.arange(30) % 5)
        before = net.activations(x, ["Flatten"])
        features = next(iter(before.values()))
        np.testing.assert_allclose(found.features, features, rtol=1e-5, atol=1e-6)
        centred = features - features.mean(axis=0)
        sizes = np.linalg.svd(centred, compute_uv=False)
        assert found.explained == pytest.approx((sizes[:2] ** 2).sum() / (sizes**2).sum(), rel=1e-4)
        np.testing.assert_allclose(np.sqrt((found.points**2).sum(axis=0)), sizes[:2], rtol=1e-3)
        np.testing.assert_array_equal(found.predicted, net.outputs(x).argmax(axis=1))
        np.testing.assert_array_equal(found.mistakes, np.flatnonzero(found.predicted != np.arange(30) % 5))
        points.append(np.abs(found.points))
    same(points, 1e-3, 1e-3)


def test_neighbours_are_the_nearest_by_angle():
    pytest.importorskip("sklearn")
    found = look.space(chain(nn, 1), pictures(20))
    unit = found.features / np.linalg.norm(found.features, axis=1, keepdims=True)
    for which in (0, 7):
        angles = [unit[which] @ other if n != which else -9 for n, other in enumerate(unit)]
        assert found.neighbours(which, 3).tolist() == sorted(range(20), key=lambda n: -angles[n])[:3]
    assert look.space(chain(nn, 1), pictures(20), method="tsne").points.shape == (20, 2)
    assert len(found.mistakes) == 0
    with pytest.raises(ValueError, match="'pca' or 'tsne'"):
        look.space(chain(nn, 1), pictures(20), method="umap")


# ---- film


def trained(callbacks=(), epochs=3, seed=0):
    npnn.manual_seed(seed)
    model = chain(nn, seed)
    data = TensorDataset(pictures(64, 5), np.arange(64) % 5)
    trainer = Trainer(
        model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), 0.1), callbacks=callbacks, progress=False
    )
    trainer.fit(DataLoader(data, 16), epochs)
    return trainer


def test_a_film_keeps_what_there_is_and_changes_nothing():
    plain = trained()
    film = look.Film(pictures(4), every=5)
    seen = trained([film])
    for a, b in zip(plain.model.parameters(), seen.model.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    assert [frame.step for frame in film.frames] == [5, 10]
    last = look.Film(pictures(4), every=12)
    trainer = trained([last])
    (frame,) = last.frames
    net = look.subject(trainer.model)
    np.testing.assert_array_equal(frame.kernels, net.find("Conv2d").weight())
    for name, values in net.activations(pictures(4), net.layers).items():
        values = values.ravel()[:: 1 + values.size // 5000]
        np.testing.assert_allclose(frame.quantiles[name], np.percentile(values, (5, 25, 50, 75, 95)))
        assert frame.silent[name] == (values == 0).mean()
    for name, p in trainer.model.named_parameters():
        assert frame.gradients[name] == pytest.approx(float(np.linalg.norm(p.grad.numpy())))


def test_a_film_by_itself_costs_little_and_does_not_grow(monkeypatch):
    """By a clock that the test turns: a frame costs 1, a step 1; so one step in fifty is kept."""
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    film = look.Film(pictures(2), most=8)
    frame = film._frame

    def costly(model, step):
        clock[0] += 1
        return frame(model, step)

    film._frame = costly
    trainer = trained(epochs=1)
    film.on_train_begin(trainer)
    for step in range(1, 3001):
        clock[0] += 1
        trainer.run.step = step
        film.on_step_end(trainer)
        assert len(film.frames) < 8
    assert film._spent <= 0.02 * clock[0] + 0.1
    assert film.frames[-1].step > 1000
    assert [f.step for f in film.frames] == sorted({f.step for f in film.frames})


def test_a_film_goes_on_after_a_checkpoint(tmp_path):
    film = look.Film(pictures(2), every=4)
    trained([film])
    io.save_checkpoint({"film": film.state_dict()}, tmp_path / "c.safetensors")
    other = look.Film(pictures(2), every=4)
    other.load_state_dict(io.load_checkpoint(tmp_path / "c.safetensors")["film"])
    assert [f.step for f in other.frames] == [4, 8, 12]
    np.testing.assert_array_equal(other.frames[1].kernels, film.frames[1].kernels)
    assert other.frames[2].gradients == film.frames[2].gradients


def test_a_network_without_convolutions_has_a_film_without_kernels():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    frame = look.Film(np.ones((2, 3), np.float32))._frame(model, 1)
    assert frame.kernels is None
    assert set(frame.silent) == {"0", "1", "2"}
    for bad in ({"every": 0}, {"most": 1}):
        with pytest.raises(ValueError, match="must be at least"):
            look.Film(pictures(2), **bad)


# ---- recurrent networks


def reader(nn, cell="RNN", batch_first=True, hidden=7):
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = getattr(nn, cell)(3, hidden, batch_first=batch_first)
            self.head = nn.Linear(hidden, 4)

        def forward(self, x):
            h, _ = self.rnn(x)
            return self.head(h[:, -1] if batch_first else h[-1])

    return Reader()


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
def test_what_a_recurrent_layer_holds_and_how_far_its_gradient_reaches(cell, batch_first):
    x = np.random.default_rng(0).normal(size=(5, 9, 3) if batch_first else (9, 5, 3)).astype(np.float32)
    y = np.array([0, 1, 2, 3, 1])
    found = []
    for model in twins(reader, cell, batch_first):
        one = look.recurrence(model, x, y)
        assert one.hidden.shape == (9, 7)
        weight = model.rnn.weight_hh_l0.detach().numpy().astype(np.float64)
        blocks = np.split(weight, len(weight) // 7)
        assert len(one.eigenvalues) == len(blocks)
        for values, block in zip(one.eigenvalues.values(), blocks, strict=True):
            assert np.prod(values).real == pytest.approx(np.linalg.det(block), rel=1e-6)
        assert one.radius.keys() == one.eigenvalues.keys()
        found.append(np.concatenate([one.hidden.ravel(), one.gradients]))
    same(found)
    # each sequence by itself, step by step
    sizes = []
    for n in range(5):
        alone = x[n : n + 1] if batch_first else x[:, n : n + 1]
        tensor = nn.Parameter(alone)
        nn.CrossEntropyLoss()(model_of(cell, batch_first)(tensor), nn.Parameter(y[n : n + 1].astype("float32")).detach().long()
                              ).backward()  # fmt: skip
        sizes.append(np.linalg.norm(tensor.grad.numpy().reshape(9, 3), axis=1))
    np.testing.assert_allclose(found[0][63:], np.mean(sizes, axis=0), rtol=1e-4)


def model_of(cell, batch_first):
    npnn.manual_seed(0)
    return twins(reader, cell, batch_first)[0]


def test_sequences_of_the_wrong_kind_are_told():
    with pytest.raises(ValueError, match="expected sequences"):
        look.recurrence(reader(nn), np.ones((2, 3), np.float32), [0, 1])
    with pytest.raises(ValueError, match="no layer of the kind RNN or LSTM or GRU"):
        look.recurrence(chain(nn, 0), pictures(2), [0, 1])


# ---- the loss around a solution


@pytest.mark.parametrize("seed", range(4))
def test_the_middle_is_the_loss_and_filters_have_the_length_of_the_weights(seed):
    x, y, found = pictures(6, seed), np.arange(6) % 5, []
    for model, frame in zip(twins(chain, seed), (nn, torch and torch.nn), strict=False):
        loss = frame.CrossEntropyLoss()
        one = look.surface(model, loss, x, y, span=0.5, resolution=5, seed=seed)
        net = look.subject(model)
        outputs = net.outputs(x).astype(np.float64)
        log = np.log(np.exp(outputs - outputs.max(axis=1, keepdims=True)).sum(axis=1)) + outputs.max(axis=1)
        assert one.loss[2, 2] == pytest.approx((log - outputs[np.arange(6), y]).mean(), rel=1e-4)
        assert one.path is None
        found.append(one.loss)
    same(found, 1e-3, 1e-4)


def test_random_directions_are_filter_normalised():
    from npnn.look.surface import _flat, _random_directions

    model = chain(nn, 2)
    first, second = _random_directions(look.subject(model), _flat(model), 0)
    assert not np.array_equal(first, second)
    begin = 0
    for p in model.parameters():
        drawn = first[begin : begin + p.numel()].reshape(p.shape)
        begin += p.numel()
        if p.ndim == 1:
            assert not drawn.any()
        else:
            lengths = [np.linalg.norm(a.reshape(len(a), -1), axis=1) for a in (drawn, p.detach().numpy())]
            np.testing.assert_allclose(*lengths, rtol=1e-5)


def test_a_quadratic_bowl_along_a_path():
    """y = w x with the mean square as loss: the surface is known at every point, and the path lies in its plane."""
    model = nn.Linear(2, 1, bias=False)
    x = np.array([[1.0, 0], [0, 2]], np.float32)
    path = [np.array([3.0, -2]), np.array([1.0, 0.5]), np.array([0.2, 0.1])]
    model.weight.data[:] = nn.Parameter(np.array([[0.0, 0.0]], np.float32)).detach()
    one = look.surface(model, nn.MSELoss(), x, np.zeros((2, 1), np.float32), path=[*path, np.zeros(2)], resolution=7)
    assert one.explained == pytest.approx(1)
    sizes = np.linalg.norm(one.path, axis=1)
    np.testing.assert_allclose(sizes, [np.linalg.norm(p) for p in [*path, [0, 0]]])
    assert one.a.min() < one.path[:, 0].min() <= one.path[:, 0].max() < one.a.max()
    # the trace of the curvature is that of w1^2 / 2 + 2 w2^2, whichever way the plane is turned
    step = one.a[1] - one.a[0], one.b[1] - one.b[0]
    curve = [np.diff(one.loss, 2, axis=1).mean() / step[0] ** 2, np.diff(one.loss, 2, axis=0).mean() / step[1] ** 2]
    assert sum(curve) == pytest.approx(1 + 4, rel=1e-3)
    with pytest.raises(ValueError, match="three points"):
        look.surface(model, nn.MSELoss(), x, np.zeros((2, 1), np.float32), path=[np.ones(2), np.zeros(2)])


def test_the_way_that_training_took():
    way = look.Path(every=4)
    trainer = trained([way])
    assert len(way.points) == 4  # the beginning, and three
    weights = [p.detach().numpy().ravel() for p in trainer.model.parameters()]
    np.testing.assert_array_equal(way.points[-1], np.concatenate(weights))
    one = look.surface(
        trainer.model, nn.CrossEntropyLoss(), pictures(8), np.arange(8) % 5, resolution=5, path=way.points
    )
    assert one.path.shape == (4, 2)
    np.testing.assert_allclose(one.path[-1], 0, atol=1e-6)
    again = look.Path()
    again.load_state_dict(way.state_dict())
    assert len(again.points) == 4
    with pytest.raises(ValueError, match="at least 1"):
        look.Path(0)
