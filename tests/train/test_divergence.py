"""When numbers go bad: the run stops, says where and why, and the model is left with good weights."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from npnn import nn, optim
from npnn.errors import TrainingDiverged
from npnn.function import Function
from npnn.train import Callback, Trainer
from tests.train.common import FRAMEWORKS, assert_same_weights, batches, data, seed, trainer, weights


def all_finite(model):
    return all(np.isfinite(value).all() for value in weights(model).values())


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_learning_rate_that_is_too_large(name):
    driven = trainer(name, lr=1e20)
    with pytest.raises(
        TrainingDiverged, match=r"the loss became (nan|inf) in epoch 1, step [23], at learning rate 1e\+20"
    ):
        driven.fit(batches(), epochs=3)
    assert all_finite(driven.model)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_nan_in_the_data_changes_no_weight_and_no_generator(name):
    X, y = data()
    bad = X.copy()
    bad[3, 1] = np.nan
    driven, clean = trainer(name, dropout=0.5), trainer(name, dropout=0.5)
    seed()
    clean.fit([(X, y)], epochs=1)
    seed()
    with pytest.raises(TrainingDiverged, match="the first to go bad was the batch of inputs") as caught:
        driven.fit([(X, y), (bad, y)], epochs=1)
    assert_same_weights(driven.model, clean.model)
    error = caught.value
    assert (error.epoch, error.step, error.lr, error.layer) == (1, 2, 0.1, None)
    assert "weights of the step before" in str(error)
    assert len(driven.history.step_losses) == 1  # the history up to there is kept


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_first_layer_whose_output_overflows_is_named(name):
    driven = trainer(name)
    layer = driven.model[3].weight
    with driven.backend.no_grad():
        layer.fill_(3e38)
    with pytest.raises(TrainingDiverged, match=r"first to go bad was the output of 3\.") as caught:
        driven.fit(batches(), epochs=1)
    assert caught.value.layer == "3"
    assert not [m for m in driven.model.modules() if "forward" in vars(m)]  # nothing is left of the search


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_forward_that_somebody_replaced_stays_replaced(name):
    driven = trainer(name)
    inner = driven.model[0].forward

    def mine(x):
        return inner(x) * float("nan")

    driven.model[0].forward = mine
    with pytest.raises(TrainingDiverged) as caught:
        driven.fit(batches(), epochs=1)
    assert caught.value.layer == "0"
    assert driven.model[0].forward is mine


class PoisonGradient(Callback):
    """Spoils the weights of one layer after a step, as a bad gradient would."""

    def __init__(self, step, layer):
        self.step, self.layer = step, layer

    def on_step_end(self, trainer):
        if trainer.run.step == self.step:
            with trainer.backend.no_grad():
                trainer.model[self.layer].weight.fill_(float("nan"))


@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.parametrize(("step", "found"), [(5, "the loss became nan in epoch 2, step 6"), (6, "weights became nan")])
def test_bad_weights_are_replaced_by_those_of_the_last_record(name, step, found):
    driven = trainer(name, callbacks=[PoisonGradient(step, 3)])
    with pytest.raises(TrainingDiverged, match=found) as caught:
        driven.fit(batches(), epochs=3)
    clean = trainer(name)
    clean.fit(batches(), epochs=1)
    assert_same_weights(driven.model, clean.model)
    assert caught.value.layer == "3"
    assert "weights of the record before" in str(caught.value)


def test_before_the_first_record_the_last_good_weights_are_the_first():
    driven, fresh = trainer(callbacks=[PoisonGradient(1, 0)]), trainer()
    with pytest.raises(TrainingDiverged):
        driven.fit(batches(), epochs=1)
    assert_same_weights(driven.model, fresh.model)


class _Break(Function):
    def forward(self, x):
        return x * 1

    def backward(self, dy):
        return dy * np.float32("nan")


class Break(nn.Module):
    """Passes its input on, and a nan back."""

    def forward(self, x):
        return _Break.apply(x)


def breaking(**options):
    model = nn.Sequential(nn.Linear(2, 4), Break(), nn.Linear(4, 2))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    return Trainer(model, nn.CrossEntropyLoss(), optimizer, progress=False, **options)


def test_a_bad_gradient_is_caught_by_clipping_before_it_does_harm():
    driven = breaking(clip_grad_norm=1.0)
    before = weights(driven.model)
    with pytest.raises(TrainingDiverged, match=r"the gradient became nan.*the gradient of 0.bias") as caught:
        driven.fit(batches(), epochs=1)
    assert caught.value.layer == "0"
    for name, value in weights(driven.model).items():
        np.testing.assert_array_equal(value, before[name])


def test_without_clipping_it_is_caught_a_step_later_and_undone():
    driven = breaking()
    before = weights(driven.model)
    with pytest.raises(TrainingDiverged, match=r"the loss became nan.*step 2.*the gradient of 0.bias"):
        driven.fit(batches(), epochs=1)
    for name, value in weights(driven.model).items():
        np.testing.assert_array_equal(value, before[name])


def test_a_loss_that_is_bad_by_itself():
    driven = trainer()
    driven.loss = lambda output, y: (output * 0 + np.inf).sum()
    with pytest.raises(
        TrainingDiverged, match=r"the loss became inf.*the first to go bad was the loss itself"
    ) as caught:
        driven.fit(batches(), epochs=1)
    assert caught.value.layer is None


def test_running_statistics_that_saw_a_nan_are_restored():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    X, y = data()
    bad = X.copy()
    bad[0, 0] = np.inf
    driven = Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), progress=False)
    with pytest.raises(TrainingDiverged):
        driven.fit([(X, y), (bad, y)], epochs=1)
    assert all_finite(model)


def test_the_error_survives_a_pickle():
    error = pickle.loads(pickle.dumps(TrainingDiverged("the loss", 3, 70, 0.1, "0")))
    assert (str(error), error.epoch, error.step, error.lr, error.layer) == ("the loss", 3, 70, 0.1, "0")
