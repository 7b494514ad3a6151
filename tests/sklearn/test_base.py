"""What both estimators do: going on, ending, being copied, searched and pickled."""

from __future__ import annotations

import pickle
import signal

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import npnn
from npnn import nn, optim
from npnn.sklearn import NeuralNetClassifier, NeuralNetRegressor
from tests.sklearn.common import ENDLESS, classes, numbers, same


def test_names_of_features():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    X, y = classes()
    frame = pandas.DataFrame(X, columns=list("abcd"))
    net = NeuralNetClassifier(max_iter=2, **ENDLESS).fit(frame, pandas.Series(y).map({0: "x", 1: "y", 2: "z"}))
    assert net.feature_names_in_.tolist() == list("abcd")
    assert net.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names"):
        net.predict(frame[list("bacd")])


def test_computes_in_the_dtype_of_the_data_unless_told_otherwise():
    X, y = classes()
    for data, dtype, expected in [
        (X, "auto", "float64"), (X.astype(np.float32), "auto", "float32"), ((10 * X).astype(int), "auto", "float64"),
        (X, "float32", "float32"), (X.astype(np.float32), "float64", "float64"),
    ]:  # fmt: skip
        net = NeuralNetClassifier(max_iter=1, dtype=dtype, **ENDLESS).fit(data, y, sample_weight=y + 1.0)
        assert {p.array.dtype.name for p in net.model_.parameters()} == {expected}
        assert {s["exp_avg"].dtype.name for s in net._optimizer.state.values()} == {expected}
        assert net.predict_proba(X).dtype == expected


def test_partial_fit_is_one_epoch_at_a_time():
    X, y = classes()
    options = {"batch_size": 40, "dropout": 0.2, **ENDLESS}
    whole = NeuralNetClassifier(max_iter=3, **options).fit(X, y)
    parts = NeuralNetClassifier(**options)
    for i in range(3):
        assert parts.partial_fit(X, y, classes=[2, 0, 1]) is parts
        assert parts.n_iter_ == 1
        assert len(parts.loss_curve_) == i + 1
    assert same(parts, whole)
    np.testing.assert_allclose(parts.loss_curve_, whole.loss_curve_)


def test_partial_fit_learns_from_a_stream():
    X, y = classes(900)
    names = np.array(["ant", "bee", "cicada"])
    net = NeuralNetClassifier(learning_rate_init=0.01, random_state=0)
    for part in np.split(np.arange(900), 30):
        chosen = part[y[part] != part[0] // 30 % 3]  # a class is missing in each part
        net.partial_fit(X[chosen], names[y[chosen]], names)
    assert net.score(X, names[y]) > 0.8
    regressor = NeuralNetRegressor(learning_rate_init=0.01, random_state=0)
    X, y = numbers(900)
    for part in np.split(np.arange(900), 60):
        regressor.partial_fit(X[part], y[part], sample_weight=np.ones(15))
    assert regressor.score(X, y) > 0.8


def test_warm_start():
    X, y = classes()
    cold = NeuralNetClassifier(max_iter=5, **ENDLESS).fit(X, y)
    warm = clone(cold).set_params(warm_start=True)
    first = warm.fit(X, y).loss_curve_.copy()
    assert same(warm, cold)
    warm.fit(X, y)
    assert warm.loss_curve_[:5] == first
    assert len(warm.loss_curve_) == 10
    assert warm.loss_ < cold.loss_
    assert same(cold.fit(X, y), clone(cold).fit(X, y))  # without warm_start, all begins anew


def test_early_stopping_returns_to_the_best_weights():
    X, y = classes(300)
    y = np.where(np.random.default_rng(0).random(300) < 0.3, (y + 1) % 3, y)  # noise, to overfit
    net = NeuralNetClassifier(
        (100,), learning_rate_init=0.05, early_stopping=True, validation_fraction=0.3, max_iter=500, random_state=0
    ).fit(X, y)
    scores = net.validation_scores_
    assert len(scores) == net.n_iter_ < 500
    assert int(np.argmax(scores)) == net.n_iter_ - 1 - 10
    assert net.history_["validation_score"] == scores
    plain = clone(net).set_params(early_stopping=False, max_iter=net.n_iter_, n_iter_no_change=np.inf).fit(X, y)
    assert plain.validation_scores_ == []
    assert plain.score(X, y) > net.score(X, y)


@pytest.mark.parametrize("kind", ["classes", "labels", "numbers"])
def test_early_stopping_watches_the_score_of_the_estimator(kind):
    """A network that cannot learn: its score on the validation part is its score on all."""
    if kind == "numbers":
        X, y = numbers(outputs=2)
        y[:] = y[:1] * np.where(np.arange(120) % 2, 1, -1)[:, None]
        estimator = NeuralNetRegressor
    else:
        X, y = classes()
        y = y if kind == "classes" else np.eye(3, dtype=int)[y]
        estimator = NeuralNetClassifier
    net = estimator(
        early_stopping=True, validation_fraction=0.5, learning_rate_init=1e-12, max_iter=1, shuffle=False, **ENDLESS
    )
    X = np.tile(X[:1], (120, 1))
    weights = np.where(np.arange(120) % 3, 1.0, 2.0) if kind != "numbers" else None
    net.fit(X, y, sample_weight=weights)
    assert net.validation_scores_[0] == pytest.approx(net.score(X, y, sample_weight=weights), abs=0.1)


def test_a_fit_ends_for_lack_of_progress_or_says_that_it_did_not():
    X, y = classes()
    net = NeuralNetClassifier(learning_rate_init=0.05, max_iter=1000, tol=1e-3, random_state=0).fit(X, y)
    assert net.n_iter_ < 1000
    best = np.minimum.accumulate(net.loss_curve_)
    assert best[-11] - best[-1] < 1e-3
    net.set_params(max_iter=5)
    with pytest.warns(ConvergenceWarning, match=r"5 epochs \(max_iter\) have passed") as caught:
        net.fit(X, y)
    assert caught[0].filename == __file__
    for options in ({"n_iter_no_change": np.inf}, {"learning_rate": "cosine"}):
        clone(net).set_params(**options).fit(X, y)  # a warning would be an error


def test_ctrl_c_ends_the_fit_with_a_warning():
    X, y = classes()
    steps = []

    def loss(outputs, targets, reduction):
        steps.append(1)
        if len(steps) == 5:
            signal.raise_signal(signal.SIGINT)
        return nn.functional.cross_entropy(outputs, targets, reduction=reduction)

    net = NeuralNetClassifier(loss=loss, batch_size=60, max_iter=50, **ENDLESS)
    with pytest.warns(UserWarning, match="interrupted after 2 of 50 epochs"):
        net.fit(X, y)
    assert net.n_iter_ == len(net.loss_curve_) == 2
    assert len(steps) == 5
    assert net.predict(X).shape == (120,)


def test_divergence_stops_the_fit():
    X, y = numbers()
    net = NeuralNetRegressor(solver="sgd", learning_rate_init=1e6, max_iter=100, **ENDLESS)
    with pytest.raises(npnn.train.TrainingDiverged, match="learning rate"):
        net.fit(X, y)


def test_a_fit_that_was_broken_off_leaves_no_dropout():
    X, y = classes()
    steps = []

    def loss(outputs, targets, reduction):
        steps.append(1)
        if len(steps) == 3:
            raise ZeroDivisionError
        return nn.functional.cross_entropy(outputs, targets, reduction=reduction)

    net = NeuralNetClassifier(loss=loss, dropout=0.5, **ENDLESS)
    with pytest.raises(ZeroDivisionError):
        net.fit(X, y)
    np.testing.assert_array_equal(net.predict_proba(X), net.predict_proba(X))


def test_random_state_decides_everything_and_npnns_generator_is_left_alone():
    X, y = classes()
    net = NeuralNetClassifier(dropout=0.5, batch_size=20, early_stopping=True, max_iter=5, **ENDLESS)
    before = npnn.get_rng_state()
    net.fit(X, y)
    assert npnn.get_rng_state().equal(before)
    npnn.manual_seed(5)
    assert same(clone(net).fit(X, y), net)
    assert not same(clone(net).set_params(random_state=1).fit(X, y), net)
    state = np.random.RandomState(0)  # goes on from fit to fit
    assert not same(clone(net).set_params(random_state=state).fit(X, y), net.set_params(random_state=state).fit(X, y))
    with pytest.raises(ValueError, match="only 1 member"):
        net.fit(X[:3], y[:3])
    assert npnn.get_rng_state().equal(npnn.Generator().manual_seed(5).get_state())


def test_a_pickled_estimator_predicts_and_goes_on():
    X, y = classes()
    net = NeuralNetClassifier(dropout=0.2, batch_size=40, max_iter=3, **ENDLESS)
    assert same(pickle.loads(pickle.dumps(net)).fit(X, y), net.fit(X, y))
    twin = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(twin.predict_proba(X), net.predict_proba(X))
    assert same(twin.partial_fit(X, y), net.partial_fit(X, y))
    assert len(pickle.dumps(net)) < 40_000, "the data are not part of the estimator"


def test_grid_search_and_cross_validation():
    X, y = classes()
    pipeline = make_pipeline(StandardScaler(), NeuralNetClassifier(max_iter=5, learning_rate_init=0.05, **ENDLESS))
    grid = {
        "neuralnetclassifier__hidden_layer_sizes": [(), (20,)],
        "neuralnetclassifier__solver": ["sgd", optim.AdamW],
        "neuralnetclassifier__module": [None, nn.Linear],
    }
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_score_ > 0.8
    assert (
        cross_val_score(NeuralNetRegressor(max_iter=50, learning_rate_init=0.01, **ENDLESS), *numbers(), cv=3).min()
        > 0.5
    )
