"""What users of other libraries type first: it works, or the error names the cure."""

from __future__ import annotations

import re

import numpy as np
import pytest

import npnn
from npnn import nn, optim
from npnn.data import DataLoader, TensorDataset
from npnn.errors import TrainingDiverged
from npnn.train import Callback, Checkpoint, EarlyStopping, Trainer, accuracy

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((80, 4)).astype(np.float32), rng.integers(0, 3, 80)


def trainer(**options):
    npnn.manual_seed(0)
    model = nn.Linear(4, 3)
    given = {"loss": nn.CrossEntropyLoss(), "optimizer": optim.SGD(model.parameters(), lr=0.1), "progress": False}
    return Trainer(model, **{**given, **options})


def test_metrics_by_name():
    for metrics in (["accuracy"], "accuracy", (accuracy,), accuracy, {"accuracy": accuracy}):
        history = trainer(metrics=metrics).fit([(X, Y)], epochs=1)
        assert "train_accuracy" in history.records[0]
    with pytest.raises(ValueError, match="no metric is called 'acc': the names are accuracy"):
        trainer(metrics=["acc"])
    with pytest.raises(TypeError, match="a metric is a function of"):
        trainer(metrics=[3])


def test_data_without_a_loader():
    class Own:
        def __len__(self):
            return len(X)

        def __getitem__(self, i):
            return X[i], Y[i]

    loader = DataLoader(TensorDataset(X, Y), batch_size=32, shuffle=True)
    losses = [
        list(trainer().fit(data, epochs=2, validation=TensorDataset(X, Y)).step_losses)
        for data in (loader, TensorDataset(X, Y), (X, Y), Own())
    ]
    assert len(losses[0]) == 6
    assert losses[0] == losses[1] == losses[2]
    np.testing.assert_allclose(losses[3], losses[0], rtol=1e-6)


def test_data_given_in_another_way():
    for arguments, says in (
        ((X, Y), r"fit takes inputs and targets together: fit\(\(X, y\), epochs=10\)"),
        ((X,), r"fit takes inputs and targets: fit\(\(X, y\)"),
        ((nn.Linear(4, 3), [(X, Y)]), r"the model was given to Trainer\(model, loss, optimizer\)"),
    ):
        with pytest.raises(TypeError, match=says):
            trainer().fit(*arguments)
    with pytest.raises(ValueError, match="80 inputs and 79 targets"):
        trainer().fit((X, Y[:-1]), epochs=1)


def test_parts_of_the_wrong_kind():
    model = nn.Linear(4, 3)
    for options, error, says in (
        ({"loss": nn.CrossEntropyLoss}, TypeError, r"the loss is a class: make it, CrossEntropyLoss\(\)"),
        ({"loss": "mse"}, TypeError, "the loss is called as loss"),
        ({"optimizer": "adam"}, TypeError, r"the optimizer is one such as optim\.Adam\(model\.parameters\(\)"),
        ({"optimizer": optim.Adam}, TypeError, "the optimizer is one such as"),
        (
            {"optimizer": optim.SGD(model.parameters(), lr=1)},
            ValueError,
            "none of the model's parameters, and would train",
        ),
        ({"callbacks": [EarlyStopping]}, TypeError, "derived from npnn.train.Callback, got EarlyStopping"),
        ({"callbacks": [print]}, TypeError, "derived from npnn.train.Callback, got builtin"),
    ):
        with pytest.raises(error, match=says):
            trainer(**options)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_epoch_end", "on_record"),
        ("on_train_batch_end", "on_step_end"),
        ("on_recrod", "on_record"),
        ("on_fit_end", "on_train_end"),
    ],
)
def test_events_that_nobody_calls(name, meant):
    callback = type("Mine", (Callback,), {name: lambda self, trainer: None})()
    with pytest.raises(ValueError, match=rf"Mine\.{name} would never be called: .*did you mean {meant}\?"):
        trainer(callbacks=[callback])


def test_a_checkpoint_without_validation_keeps_the_best_by_training_loss(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    history = trainer(callbacks=[checkpoint]).fit((X, Y), epochs=3)
    best = npnn.io.load_checkpoint(checkpoint.best)
    losses = [record["train_loss"] for record in history.records]
    assert (
        best["history"]["records"][-1]["train_loss"] == min(losses) if "history" in best else checkpoint.best.exists()
    )
    assert checkpoint.last.exists()


def test_a_training_that_diverges_ends_with_its_best_weights():
    """Outputs that are infinite, where the loss of the batches was not yet."""
    npnn.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    stop = EarlyStopping("validation_score", patience=50, mode="max")

    def score(outputs, targets):
        if not np.isfinite(outputs).all():
            raise AssertionError("a metric sees numbers only")
        return -float(np.mean((outputs - targets) ** 2))

    driven = Trainer(
        model,
        nn.MSELoss(),
        optim.SGD(model.parameters(), lr=1e4),
        metrics={"score": score},
        callbacks=[stop],
        progress=False,
    )
    targets = 1e3 * X[:, :1]
    with pytest.raises(TrainingDiverged, match=re.escape("The model has its weights of the best record")) as error:
        driven.fit([(X, targets)], epochs=50, validation=(X, targets))
    assert error.value.lr == 1e4
    assert np.isfinite(driven.predict(X)).all()
    for name, t in model.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), stop.weights[name])
