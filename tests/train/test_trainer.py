"""The training loop: it does what the loop written out by hand does, in both frameworks, and says what it did."""

from __future__ import annotations

import math

import numpy as np
import pytest

import npnn
from npnn import nn, optim
from npnn.data.dataset import TensorDataset
from npnn.data.loader import DataLoader
from npnn.errors import ShapeError
from npnn.testing import assert_close
from npnn.train import Callback, Trainer, accuracy, class_accuracy, confusion_matrix
from tests.parity import requires_torch, torch
from tests.train.common import (
    FRAMEWORKS,
    assert_same_weights,
    batches,
    build,
    data,
    framework,
    seed,
    trainer,
    weights,
)

# ---- the loop itself


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_fit_is_the_loop_that_everyone_writes(name):
    layers, optimizers = framework(name)
    tensor = npnn.tensor if name == "npnn" else torch.from_numpy
    model = build(layers)
    optimizer = optimizers.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(3):
        for x, y in batches():
            optimizer.zero_grad()
            loss = layers.CrossEntropyLoss()(model(tensor(x)), tensor(y))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    driven = trainer(name, optimizer=lambda optimizers, p: optimizers.SGD(p, lr=0.1, momentum=0.9))
    history = driven.fit(batches(), epochs=3)
    assert_same_weights(driven.model, model)
    assert history.step_losses.tolist() == losses
    assert history["epoch"] == [1, 2, 3]
    assert history["step"] == [3, 6, 9]
    assert history["lr"] == [0.1] * 3
    expected = np.average(losses[3:6], weights=[16, 16, 8])  # the last batch is smaller
    assert history["train_loss"][1] == pytest.approx(expected, rel=1e-12)
    assert all(seconds > 0 for seconds in history["seconds"])
    assert not history.interrupted


@requires_torch
def test_both_frameworks_make_the_same_history():
    X, y = data(60, seed=3)
    ours = trainer("npnn").fit(batches(), epochs=20, validation=(X, y))
    theirs = trainer("torch").fit(batches(), epochs=20, validation=(X, y))
    np.testing.assert_allclose(ours.step_losses, theirs.step_losses, atol=1e-5)
    np.testing.assert_allclose(ours["validation_loss"], theirs["validation_loss"], atol=1e-5)
    assert ours["validation_accuracy"] == theirs["validation_accuracy"]


def test_it_learns_and_the_train_figures_are_those_of_the_moving_weights():
    X, y = data(200)
    driven = trainer(lr=0.5)
    history = driven.fit([(X, y)], max_steps=300, evaluate_every=100)
    assert history["train_accuracy"][-1] > 0.9
    assert history["train_loss"][0] == pytest.approx(np.mean(history.step_losses[:100]))
    assert driven.evaluate((X, y))["loss"] < history.step_losses[-1]


def test_the_loader_of_npnn_and_a_list_of_its_batches_are_the_same_to_fit():
    X, y = data()
    loader = DataLoader(TensorDataset(X, y), batch_size=16, shuffle=True)
    npnn.manual_seed(5)
    drawn = [batch for _ in range(2) for batch in loader]
    a, b = trainer(), trainer()  # their weights are drawn here
    npnn.manual_seed(5)
    a.fit(loader, epochs=2)
    b.fit(drawn, epochs=1)
    assert_same_weights(a.model, b.model)


@requires_torch
def test_a_torch_model_is_fed_by_the_loader_of_npnn():
    X, y = data()
    driven = trainer("torch")
    loader = DataLoader(TensorDataset(X, y), batch_size=16, shuffle=True)
    assert len(driven.fit(loader, epochs=2, validation=loader)) == 2
    assert driven.predict(loader).shape == (40, 2)


@requires_torch
@pytest.mark.parametrize("change", [lambda x: x[:, ::-1], lambda x: np.broadcast_to(x, x.shape)])
def test_arrays_that_torch_cannot_hold_are_copied(change):
    X, _ = data()
    assert trainer("torch").predict(change(X)).shape == (40, 2)


# ---- steps, records, schedules


def test_a_run_counted_in_steps_ends_within_an_epoch():
    history = trainer().fit(batches(), max_steps=8, evaluate_every=3)
    assert history["step"] == [3, 6, 8]  # the rest gets a record as well
    assert history["epoch"] == [1, 2, 3]
    assert len(history.step_losses) == 8
    assert history["train_loss"][2] == pytest.approx(np.average(history.step_losses[6:], weights=[16, 16]))


def test_whichever_ends_first_ends_the_run():
    assert trainer().fit(batches(), epochs=2, max_steps=100)["step"] == [3, 6]
    assert trainer().fit(batches(), epochs=100, max_steps=4)["step"] == [3, 4]
    assert trainer().fit(batches(), epochs=2, evaluate_every=4)["step"] == [4, 6]


def test_evaluating_more_often_changes_no_weight():
    a, b = trainer(dropout=0.5), trainer(dropout=0.5)
    for driven, every in ((a, None), (b, 1)):
        seed()
        driven.fit(batches(), epochs=3, validation=data(), evaluate_every=every)
    assert_same_weights(a.model, b.model)


class HalvingSchedule:
    """What the trainer needs of a schedule."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def step(self):
        self.optimizer.param_groups[0]["lr"] /= 2


class Plateau:
    def __init__(self):
        self.seen = []

    def step(self, metrics, epoch=None):
        self.seen.append(metrics)


def with_schedule(per, make, **options):
    model = build(nn)
    optimizer = optim.SGD(model.parameters(), lr=0.8)
    scheduler = make(optimizer)
    return Trainer(
        model, nn.CrossEntropyLoss(), optimizer, scheduler, schedule_per=per, progress=False, **options
    ), scheduler


def test_a_schedule_per_epoch():
    driven, _ = with_schedule("epoch", HalvingSchedule)
    assert driven.fit(batches(), epochs=3)["lr"] == [0.8, 0.4, 0.2]


def test_a_schedule_per_step_and_the_record_shows_the_rate_that_was_used():
    driven, _ = with_schedule("step", HalvingSchedule)
    assert driven.fit(batches(), epochs=2)["lr"] == [0.8 / 4, 0.8 / 32]


@pytest.mark.parametrize("validation", [None, data()])
def test_a_schedule_that_wants_a_figure_gets_one_after_each_record(validation):
    driven, plateau = with_schedule("epoch", lambda optimizer: Plateau())
    history = driven.fit(batches(), epochs=3, validation=validation)
    assert plateau.seen == history["train_loss" if validation is None else "validation_loss"]


# ---- clipping


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_norm_of_the_gradient_is_clipped_and_recorded(name):
    def moved(limit):
        driven = trainer(name, clip_grad_norm=limit)
        before = weights(driven.model)
        history = driven.fit([data()], epochs=1)
        after = weights(driven.model)
        step = [(after[k] - before[k]).ravel() / 0.1 for k in before]
        return history["grad_norm"][0], float(np.linalg.norm(np.concatenate(step)))

    norm, free = moved(math.inf)
    assert free == pytest.approx(norm, rel=1e-5)
    recorded, clipped = moved(norm / 3)
    assert recorded == norm
    assert clipped == pytest.approx(norm / 3, rel=1e-4)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_each_entry_of_the_gradient_is_clipped(name):
    driven = trainer(name, lr=1.0, clip_grad_value=1e-3)
    before = weights(driven.model)
    history = driven.fit([data()], epochs=1)
    largest = max(np.abs(value - before[k]).max() for k, value in weights(driven.model).items())
    assert largest == pytest.approx(1e-3, rel=1e-3)
    assert "grad_norm" not in history


# ---- evaluation and prediction


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_evaluate_is_the_mean_over_all_examples(name):
    X, y = data()
    driven = trainer(name, metrics=(accuracy, class_accuracy, confusion_matrix))
    scores = driven.predict(X).astype(np.float64)
    log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    figures = driven.evaluate(batches())
    assert figures["loss"] == pytest.approx(-log_p[np.arange(40), y].mean(), rel=1e-6)
    assert figures["accuracy"] == np.mean(scores.argmax(1) == y)
    assert figures["confusion_matrix"].sum() == 40
    for size in (1, 7, 40, 1000):
        again = driven.evaluate((X, y), batch_size=size)
        assert again["loss"] == pytest.approx(figures["loss"], rel=1e-6)
        np.testing.assert_array_equal(again["class_accuracy"], figures["class_accuracy"])


def test_metrics_by_name_and_arrays_in_the_history():
    driven = trainer(metrics={"wrong": lambda s, y: 1 - accuracy(s, y), "matrix": confusion_matrix})
    history = driven.fit(batches(), epochs=1, validation=data())
    assert 0 <= history["train_wrong"][0] <= 1
    assert np.sum(history["validation_matrix"][0]) == 40


def test_a_regression_needs_no_metrics():
    X, _ = data()
    model = nn.Linear(2, 1)
    driven = Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), metrics=(), progress=False)
    history = driven.fit([(X, X[:, :1] - X[:, 1:])], epochs=200)
    assert history["train_loss"][-1] < 1e-6
    assert "train_accuracy" not in history
    assert_close(model.weight, [[1.0, -1.0]], atol=1e-3)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_predict_takes_arrays_tensors_and_loaders(name):
    X, y = data()
    driven = trainer(name, dropout=0.5)
    scores = driven.predict(X)
    assert type(scores) is np.ndarray
    assert scores.dtype == np.float32
    np.testing.assert_allclose(driven.predict(X, batch_size=7), scores, rtol=1e-5)
    np.testing.assert_allclose(driven.predict(npnn.tensor(X)), scores, rtol=1e-5)
    np.testing.assert_allclose(driven.predict(batches()), scores, rtol=1e-5)
    np.testing.assert_allclose(driven.predict([X[:5], X[5:]]), scores, rtol=1e-5)
    np.testing.assert_array_equal(driven.predict((X, y)), scores)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_each_layer_gets_its_own_mode_back(name):
    seen = []

    class Spy(Callback):
        def on_train_begin(self, trainer):
            seen.append([m.training for m in trainer.model.modules()])

    driven = trainer(name, dropout=0.5, callbacks=[Spy()])
    driven.model.eval()
    driven.model[2].train()
    modes = [m.training for m in driven.model.modules()]
    driven.fit(batches(), epochs=1, validation=data())
    driven.evaluate(batches())
    driven.predict(data()[0])
    assert seen == [[True] * 5]
    assert [m.training for m in driven.model.modules()] == modes == [False, False, False, True, False]


def test_evaluation_records_no_graph():
    driven = trainer()
    outputs = []
    driven.loss = lambda output, y: outputs.append(output) or nn.CrossEntropyLoss()(output, y)
    driven.evaluate(batches())
    assert not any(output.requires_grad for output in outputs)


# ---- hooks


def test_hooks_are_called_in_order_and_only_if_written():
    calls = []

    class Steps(Callback):
        def on_train_begin(self, trainer):
            calls.append("begin")

        def on_step_end(self, trainer):
            assert trainer.model[0].weight.grad is not None
            calls.append(trainer.run.step)

        def on_record(self, trainer, record):
            calls.append(sorted(record))

        def on_train_end(self, trainer):
            calls.append("end")

    driven = trainer(callbacks=[Callback(), Steps()])
    driven.fit(batches(), epochs=1)
    names = ["epoch", "lr", "seconds", "step", "train_accuracy", "train_loss"]
    assert calls == ["begin", 1, 2, 3, names, "end"]
    assert len(driven._step_hooks) == 1


@pytest.mark.parametrize("hook", ["on_step_end", "on_record"])
def test_a_callback_may_stop_the_run(hook):
    def stop(self, trainer, *record):
        trainer.run.should_stop = True

    driven = trainer(callbacks=[type("Stop", (Callback,), {hook: stop})()])
    history = driven.fit(batches(), epochs=5)
    assert history["step"] == [1 if hook == "on_step_end" else 3]
    assert not history.interrupted


# ---- what is refused


@pytest.mark.parametrize(
    ("loader", "error", "says"),
    [
        ([], ValueError, "yields no batches"),
        (iter([]), ValueError, "yields no batches"),
        ([(np.zeros((4, 2)), np.zeros(3))], ShapeError, r"shape \(4, 2\) and targets of shape \(3,\)"),
        ([(np.zeros((0, 2)), np.zeros(0))], ShapeError, "one input at least"),
        ([np.zeros((4, 2))], ValueError, r"one array of shape \(4, 2\).*pass \[\(X, y\)\]"),
        ([(1, 2, 3)], ValueError, "a tuple of length 3"),
        ([7], ValueError, "this one is a int"),
    ],
)
def test_bad_loaders(loader, error, says):
    with pytest.raises(error, match=says):
        trainer().fit(loader, epochs=1)


def test_an_iterator_serves_one_epoch_only():
    with pytest.raises(ValueError, match="an iterator that is used up"):
        trainer().fit(iter(batches()), epochs=2)


@pytest.mark.parametrize("loader", [[], (np.zeros((0, 2), np.float32), np.zeros(0, int))])
def test_nothing_to_evaluate(loader):
    with pytest.raises(ValueError, match="nothing to evaluate"):
        trainer().evaluate(loader)
    with pytest.raises(ValueError, match="nothing to predict"):
        trainer().predict(loader)


@pytest.mark.parametrize(
    ("length", "says"),
    [
        ({}, "say how long"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"max_steps": -1}, "max_steps must be at least 1"),
        ({"epochs": 1, "evaluate_every": 0}, "evaluate_every must be at least 1"),
    ],
)
def test_a_run_without_a_sensible_length(length, says):
    with pytest.raises(ValueError, match=says):
        trainer().fit(batches(), **length)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"clip_grad_norm": 0}, "clip_grad_norm must be positive, got 0"),
        ({"clip_grad_value": -1.0}, "clip_grad_value must be positive"),
        ({"clip_grad_norm": math.nan}, "must be positive, got nan"),
        ({"schedule_per": "batch"}, "'epoch' or 'step', got 'batch'"),
    ],
)
def test_bad_options(options, says):
    with pytest.raises(ValueError, match=says):
        trainer(**options)


def test_a_model_of_neither_framework():
    with pytest.raises(TypeError, match=r"must be an npnn.nn.Module or a torch.nn.Module, got function"):
        Trainer(lambda x: x, None, None)


def test_without_metrics_outputs_may_have_any_length():
    model = nn.Linear(2, 1)
    driven = Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), metrics=(), progress=False)
    sequences = [(npnn.ones(3, T, 2), npnn.zeros(3, T, 1)) for T in (4, 1)]
    driven.fit(sequences, epochs=1)
    assert driven.evaluate(sequences)["loss"] > 0
