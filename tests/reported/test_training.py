"""Reported faults of trainings: optimisers, schedules, resuming, early stopping, estimators."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest

import npnn
from npnn import nn, optim
from npnn.data import DataLoader, TensorDataset
from npnn.errors import TrainingDiverged
from npnn.nn.utils import clip_grad_norm_, clip_grad_value_
from npnn.optim import lr_scheduler
from npnn.train import Checkpoint, EarlyStopping, Trainer
from tests.reported.log import reported


def data(count=20, features=3, classes=2):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, features)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64) % classes


def trainer(schedule=None, lr=0.1, callbacks=(), **options):
    npnn.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), lr)
    scheduler = schedule(optimizer) if schedule else None
    return Trainer(model, nn.CrossEntropyLoss(), optimizer, scheduler, callbacks=callbacks, progress=False, **options)


SCHEDULES = {
    "Lightning-AI/pytorch-lightning#4655": lambda o: lr_scheduler.MultiStepLR(o, [4], 0.1),
    "Lightning-AI/pytorch-lightning#5486": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "Lightning-AI/pytorch-lightning#17296": lambda o: lr_scheduler.StepLR(o, 2, 0.5),
    "Lightning-AI/pytorch-lightning#5455": lambda o: lr_scheduler.CosineAnnealingLR(o, 6),
    "Lightning-AI/pytorch-lightning#18588": lambda o: lr_scheduler.LambdaLR(o, lambda k: min(1.0, (k + 1) / 4)),
    "Lightning-AI/pytorch-lightning#15462": lambda o: lr_scheduler.OneCycleLR(o, 0.2, 30),
}


def rates(schedule, tmp_path, stop):
    """The rate of each record, of a run that is stopped after so many epochs, and goes on from its checkpoint."""
    x, y = data()
    per = "step" if "OneCycle" in schedule(optim.SGD([nn.Parameter(np.ones(1))], 0.1)).__class__.__name__ else "epoch"
    loader = DataLoader(TensorDataset(x, y), 4, shuffle=True)
    saver = Checkpoint(tmp_path, monitor=None)
    first = trainer(schedule, callbacks=(saver,), schedule_per=per)
    first.fit(loader, stop)
    second = trainer(schedule, callbacks=(Checkpoint(tmp_path, monitor=None),), schedule_per=per)
    second.fit(DataLoader(TensorDataset(x, y), 4, shuffle=True), 6, resume_from=saver.last)
    return second.history["lr"], [p.detach().numpy() for p in second.model.parameters()]


def resumed_rates_are_those_of_an_unbroken_run(where, tmp_path):
    schedule = SCHEDULES[where]
    unbroken, weights = rates(schedule, tmp_path / "whole", 6)
    for stop in (1, 3, 4, 5):
        again, others = rates(schedule, tmp_path / str(stop), stop)
        assert again == unbroken
        for a, b in zip(weights, others, strict=True):
            np.testing.assert_array_equal(a, b)


@reported("Lightning-AI/pytorch-lightning#4655", "MultiStepLR is an epoch late after resuming", "holds")
def test_resumed_multi_step(tmp_path):
    resumed_rates_are_those_of_an_unbroken_run("Lightning-AI/pytorch-lightning#4655", tmp_path)


@reported("Lightning-AI/pytorch-lightning#5486", "A resumed run begins again at the first learning rate", "holds")
def test_resumed_exponential(tmp_path):
    resumed_rates_are_those_of_an_unbroken_run("Lightning-AI/pytorch-lightning#5486", tmp_path)


@reported("Lightning-AI/pytorch-lightning#17296", "StepLR stands still after resuming", "holds")
def test_resumed_step(tmp_path):
    resumed_rates_are_those_of_an_unbroken_run("Lightning-AI/pytorch-lightning#17296", tmp_path)


@reported(
    "Lightning-AI/pytorch-lightning#5455", "A cosine that multiplies the last rate goes astray after resuming", "holds"
)
def test_resumed_cosine(tmp_path):
    resumed_rates_are_those_of_an_unbroken_run("Lightning-AI/pytorch-lightning#5455", tmp_path)


@reported("Lightning-AI/pytorch-lightning#18588", "LambdaLR with a warm-up: a wrong rate after resuming", "holds")
def test_resumed_warm_up(tmp_path):
    resumed_rates_are_those_of_an_unbroken_run("Lightning-AI/pytorch-lightning#18588", tmp_path)


@reported("Lightning-AI/pytorch-lightning#15462", "The state of OneCycleLR is not restored", "holds")
def test_resumed_one_cycle(tmp_path):
    resumed_rates_are_those_of_an_unbroken_run("Lightning-AI/pytorch-lightning#15462", tmp_path)


class Told(nn.Module):
    """A weight that grows by its gradient, 1, at each step: the best is where the test likes it best."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(np.zeros(1, np.float32))

    def forward(self, x):
        return x * self.weight


def stopped_early(patience, epochs, best_at):
    """The weight after a run whose validation loss is least where the weight is ``best_at``."""
    model = Told()
    stopping = EarlyStopping("validation_loss", patience)
    t = Trainer(
        model, lambda outputs, targets: (outputs - targets).abs().mean(), optim.SGD(model.parameters(), 1.0),
        callbacks=(stopping,), progress=False, metrics=(),
    )  # fmt: skip
    ones, far = np.ones((4, 1), np.float32), np.full((4, 1), 100, np.float32)
    history = t.fit(DataLoader(TensorDataset(ones, far), 4), epochs, (ones, np.full((4, 1), best_at, np.float32)))
    return model.weight.item(), len(history)


@reported("keras-team/keras#20323", "restore_best gives the weights one epoch after the best", "holds")
def test_the_best_weights_are_those_of_the_best_record():
    assert stopped_early(2, 50, 5) == (5.0, 7)


@reported("keras-team/keras#12511", "restore_best only works if training is stopped early", "holds: in any case")
def test_the_best_weights_after_a_run_that_was_not_stopped():
    assert stopped_early(40, 9, 5) == (5.0, 9)


@reported("keras-team/keras#13658", "restore_best where nothing was ever best ends in a TypeError", "holds")
def test_where_the_first_record_is_the_best():
    assert stopped_early(1, 9, -100)[1] == 2


@reported(
    "tensorflow/tensorflow#38596", "The loss of an epoch counts a small last batch as much as a full one", "holds"
)
@pytest.mark.parametrize(("count", "size"), [(3, 2), (10, 4), (7, 7), (9, 8)])
def test_a_small_last_batch_counts_by_its_size(count, size):
    x, y = data(count)
    t = trainer(lr=1e-12)
    found = t.fit(DataLoader(TensorDataset(x, y), size), 1)["train_loss"][0]
    whole = nn.CrossEntropyLoss()(t.model(npnn.tensor(x)), npnn.tensor(y)).item()
    assert found == pytest.approx(whole, rel=1e-5)


@reported("dnouri/nolearn#247", "The validation loss depends on the batch size", "holds")
@pytest.mark.parametrize("size", [1, 4, 7, 20, 100])
def test_an_evaluation_does_not_depend_on_the_batch_size(size):
    x, y = data(19)
    t = trainer()
    whole = t.evaluate((x, y))
    found = t.evaluate(DataLoader(TensorDataset(x, y), size))
    assert found["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert found["accuracy"] == whole["accuracy"]


@reported("huggingface/lerobot#3668", "After an evaluation the model stays in evaluation mode", "holds")
def test_a_look_at_the_validation_set_does_not_change_the_mode():
    x, y = data()
    modes = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x):
            modes.append(self.training)
            return self.layer(x)

    model = Spy()
    t = Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), 0.1), progress=False)
    t.fit(DataLoader(TensorDataset(x, y), 10), 2, (x, y))
    assert modes == [True, True, False, True, True, False]
    t.evaluate((x, y))
    assert model.training


@reported(
    "pytorch/pytorch#148259", "clip_grad_norm_ of an exhausted generator clips nothing in silence", "holds: a warning"
)
@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_])
def test_clipping_nothing(clip):
    parameters = nn.Linear(2, 2).parameters()
    list(parameters)
    with pytest.warns(UserWarning, match="no gradient clipping will occur|no parameters"):
        clip(parameters, 1.0)


@reported("pytorch/torchtitan#1258", "Clipping takes a generator twice, and finds it empty", "holds")
def test_clipping_a_generator():
    model = nn.Linear(3, 2)
    (100 * model(npnn.ones(4, 3))).sum().backward()
    clip_grad_norm_(model.parameters(), 1.0)
    assert sum((p.grad**2).sum().item() for p in model.parameters()) == pytest.approx(1, rel=1e-4)


@reported("pytorch/pytorch#6031", "Parameters given as a set come in another order at each run", "holds: refused")
def test_parameters_in_a_set():
    with pytest.raises((TypeError, ValueError), match="no fixed order"):
        optim.SGD([{"params": set(nn.Linear(2, 2).parameters())}], 0.1)


@reported("pytorch/pytorch#59142", "A parameter twice in one group steps twice", "holds: refused")
def test_a_parameter_twice():
    p = nn.Parameter(np.ones(2))
    with pytest.raises(ValueError, match="appear more than once"):
        optim.SGD([p, p], 0.1)


@reported(
    "pytorch/pytorch#1489",
    "An optimiser's state that belongs to parameters of other shapes is loaded in silence",
    "holds: refused",
)
def test_a_state_of_other_parameters():
    a, b = nn.Linear(2, 3), nn.Linear(3, 4)
    first = optim.Adam([*a.parameters(), *b.parameters()])
    (b(a(npnn.ones(1, 2)))).sum().backward()
    first.step()
    second = optim.Adam([*b.parameters(), *a.parameters()])
    with pytest.raises(ValueError, match="shape"):
        second.load_state_dict(copy.deepcopy(first.state_dict()))


@reported("pytorch/pytorch#188346", "Weights that two layers share come apart when a state is loaded", "holds")
def test_tied_weights_stay_tied():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
            self.head.weight = self.embed.weight

    model, other = Tied(), Tied()
    model.load_state_dict(other.state_dict())
    assert model.head.weight is model.embed.weight
    assert len(list(model.parameters())) == 1
    np.testing.assert_array_equal(model.head.weight.detach().numpy(), other.head.weight.detach().numpy())
    assert copy.deepcopy(model).head.weight.shape == (5, 3)
    twin = copy.deepcopy(model)
    assert twin.head.weight is twin.embed.weight


# ---- estimators

sklearn = pytest.importorskip("npnn.sklearn", reason="scikit-learn is not installed")


@reported(
    "scikit-learn/scikit-learn#29504",
    "A regressor that explodes with early_stopping says 'Input contains NaN'",
    "was so; now TrainingDiverged, with epoch and rate",
)
def test_a_regressor_that_explodes():
    x, _ = data(60)
    model = sklearn.NeuralNetRegressor((8,), solver="sgd", learning_rate_init=1e3, early_stopping=True, random_state=0)
    with pytest.raises(TrainingDiverged, match="epoch"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, 1e6 * x[:, 0])


@reported(
    "scikit-learn/scikit-learn#6994", "partial_fit forgets the classes that the first batch did not have", "holds"
)
def test_partial_fit_with_classes_that_come_later():
    model = sklearn.NeuralNetClassifier((4,), random_state=0)
    model.partial_fit([[1.0], [2.0], [3.0]], ["a", "b", "c"], classes=["a", "b", "c", "d"])
    model.partial_fit([[4.0]], ["d"])
    assert list(model.classes_) == ["a", "b", "c", "d"]
    assert model.predict_proba([[1.0]]).shape == (1, 4)


@reported(
    "scikit-learn/scikit-learn#25693",
    "partial_fit with early_stopping=True ends in a strange error",
    "holds: it says why there is none",
)
def test_partial_fit_with_early_stopping():
    model = sklearn.NeuralNetClassifier((4,), early_stopping=True, random_state=0)
    with pytest.raises(AttributeError, match="no attribute 'partial_fit'") as error:
        model.partial_fit(*data(60), classes=[0, 1])
    assert "partial_fit is for early_stopping=False" in str(error.value.__cause__)


@reported(
    "skorch-dev/skorch#518", "Labels of another dtype than int64 are refused by the loss", "holds: any whole numbers"
)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "float64", "bool", "str"])
def test_labels_of_any_dtype(dtype):
    x, y = data(40)
    model = sklearn.NeuralNetClassifier((4,), max_iter=2, n_iter_no_change=np.inf, random_state=0).fit(
        x, y.astype(dtype)
    )
    assert model.predict(x).dtype == np.unique(y.astype(dtype)).dtype


@reported(
    "skorch-dev/skorch#328", "A clone whose parameters are set cannot partial_fit before it is initialised", "holds"
)
def test_a_clone_goes_on():
    from sklearn.base import clone

    x, y = data(40)
    first = sklearn.NeuralNetClassifier((4,), random_state=0).partial_fit(x, y, classes=[0, 1])
    second = clone(first).set_params(solver="sgd", learning_rate_init=0.05)
    assert second.partial_fit(x, y, classes=[0, 1]).predict(x).shape == (40,)
