"""The doctor: each mistake is found in both frameworks, and nothing is found where nothing is wrong."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import npnn
from npnn.data import DataLoader, TensorDataset, load_digits
from npnn.train import Trainer, check
from tests.train.common import FRAMEWORKS

rng = np.random.default_rng(0)
X = rng.standard_normal((128, 8)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0)


@pytest.fixture(params=FRAMEWORKS)
def lib(request):
    found = npnn if request.param == "npnn" else importlib.import_module("torch")
    found.manual_seed(0)
    return found


def mlp(lib, *more):
    nn = lib.nn
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3), *more)


def found_in(lib, model, loss=None, optimizer=None, x=X, y=Y):
    """(kind, where) of all findings."""
    loss = loss or lib.nn.CrossEntropyLoss()
    optimizer = optimizer or lib.optim.Adam(model.parameters(), lr=1e-3)
    return [(f.kind, f.where) for f in check(model, loss, optimizer, (x, y))]


def test_nothing_is_found_where_nothing_is_wrong(lib):
    nn = lib.nn
    assert found_in(lib, mlp(lib)) == []
    images = rng.standard_normal((32, 1, 8, 8)).astype(np.float32)
    cnn = nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(72, 3),
    )
    assert found_in(lib, cnn, x=images, y=Y[:32]) == []
    regression = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    assert found_in(lib, regression, nn.MSELoss(), y=X[:, :1]) == []
    binary = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    assert found_in(lib, binary, nn.BCEWithLogitsLoss(), y=(X[:, :1] > 0).astype(np.float32)) == []
    smooth = nn.CrossEntropyLoss(label_smoothing=0.2)
    assert found_in(lib, mlp(lib), smooth) == []
    assert found_in(lib, mlp(lib, nn.LogSoftmax(1)), nn.NLLLoss()) == []


def test_layers_in_a_plain_list(lib):
    class Net(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = lib.nn.Linear(8, 16)
            self.others = [lib.nn.Linear(16, 16)]
            self.heads = {"a": lib.nn.Linear(16, 3)}

        def forward(self, x):
            return self.heads["a"](self.others[0](self.first(x)).relu())

    assert found_in(lib, Net()) == [("not registered", "others[0]"), ("not registered", "heads['a']")]


def test_what_the_optimiser_holds(lib):
    model = mlp(lib)
    some = lib.optim.SGD(list(model.parameters())[2:], lr=0.1)
    assert found_in(lib, model, optimizer=some) == [("not trained", "0.weight"), ("not trained", "0.bias")]
    other = lib.optim.SGD(mlp(lib).parameters(), lr=0.1)
    assert ("other parameters", "optimizer") in found_in(lib, model, optimizer=other)
    before = lib.optim.SGD(model.parameters(), lr=0.1)
    model[4] = lib.nn.Linear(16, 3)
    assert found_in(lib, model, optimizer=before)[:3] == [
        ("other parameters", "optimizer"), ("not trained", "4.weight"), ("not trained", "4.bias"),
    ]  # fmt: skip


def test_gradients_that_are_left(lib):
    model = mlp(lib)
    tensor = npnn.tensor if lib is npnn else lib.from_numpy
    model(tensor(X)).sum().backward()
    assert [kind for kind, _ in found_in(lib, model)] == ["gradients left"]
    assert all(p.grad is not None for p in model.parameters())


def test_modes(lib):
    nn = lib.nn
    assert found_in(lib, mlp(lib).eval())[0] == ("mode", "model")

    class Always(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 3)

        def forward(self, x):
            return self.layer(nn.functional.dropout(x, 0.5))

    class Deaf(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Sequential(nn.Linear(8, 3), nn.Dropout(0.1))

        def forward(self, x):
            return self.layer(x)

        def train(self, mode=True):
            self.training = mode
            return self

    assert ("mode", "model") in found_in(lib, Always())
    assert ("mode", "layer") in found_in(lib, Deaf())


def test_outputs_that_depend_on_other_items(lib):
    class Softmax(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = lib.nn.Linear(8, 3)

        def forward(self, x):
            y = self.layer(x)
            return y - y.mean(0)

    assert found_in(lib, Softmax()) == [("other items", "model")]


def test_what_comes_before_the_cross_entropy(lib):
    nn = lib.nn
    assert ("softmax", "model") in found_in(lib, mlp(lib, nn.Softmax(1)))
    assert ("softmax", "model") in found_in(lib, mlp(lib, nn.Sigmoid()))
    assert ("softmax", "model") in found_in(lib, mlp(lib, nn.ReLU()))
    twice = lambda s, y: nn.functional.cross_entropy(nn.functional.softmax(s, 1), y)  # noqa: E731
    assert ("softmax", "loss") in found_in(lib, mlp(lib), twice)
    binary = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())
    assert ("softmax", "model") in found_in(lib, binary, nn.BCEWithLogitsLoss(), y=(X[:, :1] > 0).astype(np.float32))


def test_weights_that_are_too_large_or_dead(lib):
    model = mlp(lib)
    for p in model.parameters():
        lib.nn.init.normal_(p, 0.0, 5.0)
    kinds = [kind for kind, _ in found_in(lib, model)]
    assert {"first loss", "saturated units"} <= set(kinds)
    dead = mlp(lib)
    lib.nn.init.constant_(dead[0].bias, -100.0)
    kinds = [kind for kind, _ in found_in(lib, dead)]
    assert {"dead units", "no gradient", "cannot overfit"} <= set(kinds)


def test_gradients_by_depth(lib):
    nn = lib.nn
    deep = nn.Sequential(*[m for _ in range(12) for m in (nn.Linear(8, 8), nn.Sigmoid())], nn.Linear(8, 3))
    assert ("vanishing", "0.weight") in found_in(lib, deep)
    large = nn.Sequential(*[nn.Linear(8, 8) for _ in range(8)], nn.Linear(8, 3))
    for layer in large[:8]:
        nn.init.normal_(layer.weight, 0.0, 2.0)
    nn.init.normal_(large[8].weight, 0.0, 100.0)
    kinds = dict(found_in(lib, large))
    assert "first loss" in kinds


def test_a_parameter_without_use(lib):
    class Unused(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.more = lib.nn.Linear(8, 3), lib.nn.Linear(8, 3)

        def forward(self, x):
            return self.layer(x) + self.more(x).detach()

    assert found_in(lib, Unused()) == [("no gradient", "more.weight"), ("no gradient", "more.bias")]


def test_steps_of_the_wrong_size(lib):
    model = mlp(lib)
    assert "step size" in dict(found_in(lib, model, optimizer=lib.optim.Adam(model.parameters(), lr=1.0)))
    assert "step size" in dict(found_in(lib, model, optimizer=lib.optim.SGD(model.parameters(), lr=1e-9)))


def test_inputs(lib):
    model = mlp(lib)
    assert ("inputs", "batch") in found_in(lib, model, x=(127 + 70 * X).astype(np.float32))
    assert ("inputs", "batch") in found_in(lib, model, x=np.ones_like(X))
    bad = X.copy()
    bad[3, 2] = np.nan
    assert ("inputs", "batch") in found_in(lib, model, x=bad)


def test_labels_that_were_shuffled(lib):
    data = load_digits()
    x, y = data.train_x[:200].reshape(200, -1), data.train_y[:200]
    model = lib.nn.Sequential(lib.nn.Linear(64, 32), lib.nn.ReLU(), lib.nn.Linear(32, 10))
    assert found_in(lib, model, x=x, y=y) == []
    shuffled = np.random.default_rng(0).permutation(y)
    assert found_in(lib, model, x=x, y=shuffled) == [("labels", "batch")]


def test_ten_items_that_cannot_be_learnt(lib):
    class Blind(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = lib.nn.Linear(8, 3)

        def forward(self, x):
            return self.layer(x * 0 + 1)

    assert ("cannot overfit", "model") in found_in(lib, Blind())


def test_everything_is_left_as_it_was(lib):
    model = lib.nn.Sequential(lib.nn.Linear(8, 16), lib.nn.BatchNorm1d(16), lib.nn.Dropout(0.5), lib.nn.Linear(16, 3))
    optimizer = lib.optim.Adam(model.parameters(), lr=1e-3)
    before = {name: np.array(t.numpy()) for name, t in model.state_dict().items()}
    lib.manual_seed(7)
    expected = lib.rand(3).tolist()
    lib.manual_seed(7)
    check(model, lib.nn.CrossEntropyLoss(), optimizer, (X, Y))
    assert lib.rand(3).tolist() == expected
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    assert optimizer.state_dict()["state"] == {}
    for name, t in model.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), before[name])


def test_the_trainer_looks_before_it_trains(lib, capsys):
    losses = []
    for looks in (False, True):
        lib.manual_seed(0)
        model = mlp(lib, lib.nn.Sigmoid())
        trainer = Trainer(
            model, lib.nn.CrossEntropyLoss(), lib.optim.SGD(model.parameters(), lr=0.1), progress=False, check=looks
        )
        loader = DataLoader(TensorDataset(X, Y), batch_size=32, shuffle=True)
        losses.append(list(trainer.fit(loader, epochs=1).step_losses))
        said = capsys.readouterr().err
        assert ("check: softmax (model): the scores have passed a sigmoid" in said) == looks
    assert losses[0] == losses[1], "looking changes nothing"


def test_an_iterator_loses_no_batch(lib, capsys):
    model = mlp(lib, lib.nn.Sigmoid())
    optimizer = lib.optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, lib.nn.CrossEntropyLoss(), optimizer, progress=False, check=True)
    history = trainer.fit(iter([(X, Y)] * 3), epochs=1)
    assert len(history.step_losses) == 3
    assert capsys.readouterr().err == ""
