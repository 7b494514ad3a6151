"""The estimators among scikit-learn's tools: what they learn, what they take, what they remember."""

from __future__ import annotations

import pickle
import warnings
from functools import partial

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import class_weight

import npnn
from npnn import nn, optim
from npnn.sklearn import NeuralNetClassifier, NeuralNetRegressor

F = nn.functional
ENDLESS = {"n_iter_no_change": np.inf, "random_state": 0}  # exactly max_iter epochs


def classes(n=120, dtype=np.float64, seed=0):
    """Three clouds in four dimensions."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return (rng.standard_normal((n, 4)) + 2 * np.eye(3, 4)[y]).astype(dtype), y


def numbers(n=120, outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 4))
    y = np.tanh(X @ rng.standard_normal((4, outputs))) + 0.1 * rng.standard_normal((n, outputs))
    return X, y[:, 0] if outputs == 1 else y


def same(a, b):
    """Equal networks, bit for bit."""
    ours, theirs = a.model_.state_dict(), b.model_.state_dict()
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[k].data, theirs[k].data) for k in ours)


# ---- the same as scikit-learn's own


def weights_of(mlp, model):
    """A trained MLP's weights under the names of npnn's."""
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    layers = zip(linear, mlp.coefs_, mlp.intercepts_, strict=True)
    return {f"{name}.{kind}": a for name, W, b in layers for kind, a in (("weight", W.T), ("bias", b))}


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize(
    "options",
    [
        {"solver": "sgd", "learning_rate_init": 0.1},
        {"solver": "sgd", "learning_rate_init": 0.1, "nesterovs_momentum": False, "alpha": 1.0, "batch_size": 40},
        {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.1},
        {"solver": "adam", "learning_rate_init": 0.01, "alpha": 0.1, "batch_size": 30, "epsilon": 1e-15},
    ],
    ids=["sgd", "sgd, momentum, decay", "sgd, plain", "adam"],
)
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_trains_as_scikit_learns_mlp_does(kind, options, activation):
    """From the same weights, over the same batches, to the same weights."""
    (X, y), ours, theirs = (classes(), NeuralNetClassifier, MLPClassifier)
    if kind == "regressor":
        (X, y), ours, theirs = (numbers(), NeuralNetRegressor, MLPRegressor)
    options = {"hidden_layer_sizes": (8, 5), "activation": activation, "shuffle": False, "warm_start": True} | options
    mlp = theirs(max_iter=1, **ENDLESS, **options)
    if options.pop("epsilon", None):  # scikit-learn's Adam adds ε before it corrects the bias of v, npnn's after
        options["solver"] = partial(optim.Adam, eps=1e-15)
    net = ours(max_iter=1, **ENDLESS, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        net.fit(X, y)
        mlp.fit(X, y)
        net.model_.load_state_dict(weights_of(mlp, net.model_))
        net.set_params(max_iter=20).fit(X, y)
        mlp.set_params(max_iter=20).fit(X, y)
    assert len(net.loss_curve_) == 21
    ours, theirs = {k: v.data for k, v in net.model_.state_dict().items()}, weights_of(mlp, net.model_)
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], 1e-7, 1e-9, err_msg=name)
    function = "predict_proba" if kind == "classifier" else "predict"
    np.testing.assert_allclose(getattr(net, function)(X), getattr(mlp, function)(X), 1e-7, 1e-9)


# ---- what it takes


def test_digits_in_a_pipeline():
    X, y = load_digits(return_X_y=True)
    net = NeuralNetClassifier(dropout=0.1, learning_rate_init=0.01, max_iter=15, dtype="float32", **ENDLESS)
    model = make_pipeline(StandardScaler(), net).fit(X[:1400], y[:1400])
    assert model.score(X[1400:], y[1400:]) > 0.9
    assert {p.data.dtype.name for p in model[-1].model_.parameters()} == {"float32"}


def test_labels_of_any_kind():
    X, y = classes()
    names = np.array(["ant", "bee", "cicada"])
    net = NeuralNetClassifier(max_iter=30, **ENDLESS).fit(X, y)
    strings = clone(net).fit(X, names[y])
    assert strings.classes_.tolist() == names.tolist()
    np.testing.assert_array_equal(strings.predict(X), names[net.predict(X)])
    np.testing.assert_array_equal(strings.predict_proba(X), net.predict_proba(X))
    objects = clone(net).fit(X, names.astype(object)[y])
    assert objects.score(X, names.astype(object)[y]) == net.score(X, y) > 0.8
    signs = clone(net).fit(X, (y > 0) * 2 - 1)
    assert set(signs.predict(X)) == {-1, 1}
    assert ((signs.decision_function(X) > 0) == (signs.predict(X) == 1)).all()


def test_names_of_features():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    X, y = classes()
    frame = pandas.DataFrame(X, columns=list("abcd"))
    net = NeuralNetClassifier(max_iter=2, **ENDLESS).fit(frame, pandas.Series(y).map({0: "x", 1: "y", 2: "z"}))
    assert net.feature_names_in_.tolist() == list("abcd")
    assert net.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names"):
        net.predict(frame[list("bacd")])


def test_several_labels():
    X, y = make_multilabel_classification(200, 6, n_classes=4, random_state=0)
    net = NeuralNetClassifier((50,), alpha=0.0, max_iter=100, learning_rate_init=0.01, **ENDLESS).fit(X, y)
    probability = net.predict_proba(X)
    assert net.n_outputs_ == 4
    assert probability.shape == (200, 4)
    np.testing.assert_array_equal(net.predict(X), probability > 0.5)
    np.testing.assert_allclose(net.predict_log_proba(X), np.log(probability), 1e-6)
    assert (net.predict(X) == y).mean() > 0.8
    np.testing.assert_array_equal(clone(net).fit(X, csr_array(y)).predict(X), net.predict(X))
    # the loss is the mean over all labels, whatever they weigh
    weighted = clone(net).set_params(class_weight=[{0: 2, 1: 2}] * 4).fit(X, y)
    np.testing.assert_allclose(weighted.predict_proba(X), probability, 1e-6)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", F.smooth_l1_loss])
def test_several_outputs(loss):
    X, y = numbers(outputs=3)
    net = NeuralNetRegressor(loss=loss, learning_rate_init=0.01, max_iter=60, **ENDLESS).fit(X, y)
    assert net.predict(X).shape == (120, 3)
    assert net.score(X, y) > 0.8
    column = NeuralNetRegressor(loss=loss, max_iter=2, **ENDLESS).fit(X, y[:, :1])
    assert column.predict(X).shape == (120, 1)


def test_sparse_rows():
    X, y = classes()
    X[X < 0.5] = 0
    dense = NeuralNetClassifier(max_iter=5, batch_size=16, **ENDLESS).fit(X, y)
    sparse = NeuralNetClassifier(max_iter=5, batch_size=16, **ENDLESS).fit(csr_array(X), y)
    assert same(dense, sparse)
    np.testing.assert_array_equal(sparse.predict_proba(csr_array(X)), dense.predict_proba(X))


def test_computes_in_the_dtype_of_the_data_unless_told_otherwise():
    X, y = classes()
    for data, dtype, expected in [
        (X, "auto", "float64"), (X.astype(np.float32), "auto", "float32"), ((10 * X).astype(int), "auto", "float64"),
        (X, "float32", "float32"), (X.astype(np.float32), "float64", "float64"),
    ]:  # fmt: skip
        net = NeuralNetClassifier(max_iter=1, dtype=dtype, **ENDLESS).fit(data, y, sample_weight=y + 1.0)
        assert {p.data.dtype.name for p in net.model_.parameters()} == {expected}
        assert {s["exp_avg"].dtype.name for s in net._optimizer.state.values()} == {expected}
        assert net.predict_proba(X).dtype == expected


# ---- networks of one's own


class Convolution(nn.Module):
    def __init__(self, n_features, n_outputs):
        self.conv = nn.Conv2d(1, 4, 3)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 6 * 6, n_outputs))

    def forward(self, x):
        return self.head(F.relu(self.conv(x)))


def test_a_network_of_ones_own_and_inputs_of_more_axes():
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 1, 8, 8).astype(np.float32) / 16
    net = NeuralNetClassifier(module=Convolution, learning_rate_init=0.01, max_iter=8, **ENDLESS)
    assert net.fit(images[:600], y[:600]).score(images[600:900], y[600:900]) > 0.8
    with pytest.raises(ValueError, match="dim 4"):
        clone(net).set_params(module=None).fit(images, y)


def test_a_module_is_a_starting_point_and_stays_as_it_is():
    X, y = classes(dtype=np.float32)
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    before = {k: v.data.copy() for k, v in module.state_dict().items()}
    net = NeuralNetClassifier(module=module, max_iter=3, **ENDLESS).fit(X, y)
    again = clone(net)
    assert again.module is not module
    assert same(again.fit(X, y), net)
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(value.data, before[name])
        assert not np.array_equal(net.model_.state_dict()[name].data, before[name])


def test_modules_that_do_not_fit():
    X, y = classes()
    with pytest.raises(TypeError, match="got int"):
        NeuralNetClassifier(module=3).fit(X, y)
    with pytest.raises(TypeError, match="got str"):
        NeuralNetClassifier(module=lambda n, m: "no").fit(X, y)
    net = NeuralNetClassifier(module=nn.Linear(4, 5))
    with pytest.raises(ValueError, match=r"turns an input of shape \(1, 4\) into \(1, 3\), got \(1, 5\)"):
        net.fit(X, y)
    assert not hasattr(net, "model_")
    with pytest.raises(ValueError, match="no parameters to train"):
        NeuralNetClassifier(module=nn.Flatten()).fit(X[:, :3], y)


# ---- losses, optimisers, schedules


def test_dropout_and_label_smoothing():
    X, y = classes()
    options = {"learning_rate_init": 0.01, "max_iter": 80, **ENDLESS}
    plain = NeuralNetClassifier(**options).fit(X, y)
    smooth = NeuralNetClassifier(label_smoothing=0.3, **options).fit(X, y)
    assert smooth.predict_proba(X).max() < 0.95 < plain.predict_proba(X).max()
    dropped = NeuralNetClassifier(dropout=0.5, **options).fit(X, y)
    assert dropped.loss_ > plain.loss_
    np.testing.assert_array_equal(dropped.predict_proba(X), dropped.predict_proba(X))


def test_the_absolute_error_finds_the_median():
    rng = np.random.default_rng(0)
    X, y = np.zeros((200, 1)), np.where(rng.random(200) < 0.2, 10.0, 1.0)
    options = {"hidden_layer_sizes": (), "learning_rate_init": 0.05, "max_iter": 200, **ENDLESS}
    assert NeuralNetRegressor(loss="absolute_error", **options).fit(X, y).predict(X)[0] == pytest.approx(1, abs=0.1)
    assert NeuralNetRegressor(**options).fit(X, y).predict(X)[0] == pytest.approx(y.mean(), abs=0.1)


@pytest.mark.parametrize("solver", ["adagrad", "adam", "adamw", "rmsprop", "sgd", optim.Adam])
@pytest.mark.parametrize("schedule", ["constant", "adaptive", "cosine", "one_cycle"])
def test_every_solver_with_every_schedule(solver, schedule):
    X, y = classes()
    net = NeuralNetClassifier(
        solver=solver, learning_rate=schedule, learning_rate_init=0.05, batch_size=40, max_iter=20, **ENDLESS
    )
    assert net.fit(X, y).score(X, y) > 0.8


def test_schedules():
    X, y = classes()

    def rates(**options):
        net = NeuralNetClassifier(**{"batch_size": 40, "max_iter": 6, **ENDLESS, **options}).fit(X, y)
        return np.array(net.history_["lr"]) / net.learning_rate_init

    np.testing.assert_allclose(rates(learning_rate="cosine"), (1 + np.cos(np.pi * np.arange(6) / 6)) / 2)
    cycle = rates(learning_rate="one_cycle", solver="sgd")
    assert 0.5 < cycle.max() <= 1
    assert cycle[-1] < 1e-3
    np.testing.assert_allclose(rates(learning_rate=lambda o: optim.lr_scheduler.StepLR(o, 2, 0.1))[2:4], 0.1)
    adaptive = rates(learning_rate="adaptive", learning_rate_init=1e-5, tol=10.0, n_iter_no_change=1, max_iter=9)
    np.testing.assert_allclose(adaptive, [1, 1, 0.2, 0.04], err_msg="nothing is progress: down to 1e-6, then the end")


def test_alpha_holds_the_weights_down_but_not_the_biases():
    X, y = numbers()
    net = NeuralNetRegressor(alpha=1e4, learning_rate_init=0.1, max_iter=200, **ENDLESS).fit(X, y + 5)
    first, last = net.model_[0], net.model_[2]
    assert np.abs(first.weight.data).max() < 0.1
    assert last.bias.item() == pytest.approx(5, abs=0.2)


# ---- weights


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("estimator", [NeuralNetClassifier, NeuralNetRegressor])
def test_a_weight_counts_like_so_many_samples(estimator, outputs):
    X, y = classes() if estimator is NeuralNetClassifier else numbers(outputs=outputs)
    times = np.random.default_rng(1).integers(0, 4, len(X))
    net = estimator(max_iter=50, alpha=1.0, batch_size=1000, **ENDLESS)
    repeated = clone(net).fit(X.repeat(times, axis=0), y.repeat(times, axis=0))
    weighted = clone(net).fit(X, y, sample_weight=times)
    np.testing.assert_allclose(weighted.model_[0].weight.data, repeated.model_[0].weight.data, 1e-6, 1e-9)
    assert weighted.loss_ == pytest.approx(repeated.loss_, rel=1e-9)
    scaled = clone(net).set_params(alpha=0.25).fit(X, y, sample_weight=times / 4)  # the penalty is added to their sum
    np.testing.assert_allclose(scaled.model_[0].weight.data, repeated.model_[0].weight.data, 1e-6, 1e-9)


def test_class_weights_are_sample_weights():
    X, y = classes()
    net = NeuralNetClassifier(max_iter=10, **ENDLESS)
    weights = np.array([1.0, 0.2, 3.0])
    expected = clone(net).fit(X, y, sample_weight=weights[y])
    assert same(clone(net).set_params(class_weight=dict(enumerate(weights))).fit(X, y), expected)
    few = np.r_[np.flatnonzero(y)[:30], np.flatnonzero(y == 0)[:5]]
    balanced = class_weight.compute_sample_weight("balanced", y[few])
    expected = clone(net).fit(X[few], y[few], sample_weight=balanced * weights[y[few]])
    net.set_params(class_weight="balanced")
    assert same(net.fit(X[few], y[few], sample_weight=weights[y[few]]), expected)


def test_a_loss_that_cannot_be_weighted():
    X, y = numbers()

    def total(outputs, targets, reduction):
        return F.mse_loss(outputs, targets)

    net = NeuralNetRegressor(loss=total, max_iter=2, **ENDLESS)
    net.fit(X, y)
    with pytest.raises(ValueError, match=r"one value for each of 120 samples .* got shape \(\)"):
        net.fit(X, y, sample_weight=1 + np.arange(120))


# ---- going on


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


def test_errors_of_partial_fit():
    X, y = classes()
    net = NeuralNetClassifier(random_state=0)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        net.partial_fit(X, y)
    with pytest.raises(ValueError, match=r"not among those known, \[0 1\]: \[2\]"):
        net.partial_fit(X, y, classes=[0, 1])
    net.partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="not those of the first call"):
        net.partial_fit(X, y, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="classes in every call"):
        net.partial_fit(X, np.eye(3, dtype=int)[y])
    with pytest.raises(ValueError, match="features"):
        net.partial_fit(X[:, 1:], y)
    with pytest.raises(ValueError, match="not 'balanced'"):
        NeuralNetClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])
    regressor = NeuralNetRegressor().partial_fit(*numbers())
    with pytest.raises(ValueError, match="2 outputs, the fit before had 1"):
        regressor.partial_fit(*numbers(outputs=2))
    for options in ({"early_stopping": True}, {"learning_rate": "cosine"}):
        assert not hasattr(NeuralNetClassifier(**options), "partial_fit")
        assert not hasattr(NeuralNetRegressor(**options), "partial_fit")


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


# ---- when it ends


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


def test_divergence_stops_the_fit():
    X, y = numbers()
    net = NeuralNetRegressor(solver="sgd", learning_rate_init=1e6, max_iter=100, **ENDLESS)
    with pytest.raises(npnn.train.TrainingDiverged, match="learning rate"):
        net.fit(X, y)


# ---- randomness, copies, processes


def test_random_state_decides_everything_and_npnns_generator_is_left_alone():
    X, y = classes()
    net = NeuralNetClassifier(dropout=0.5, batch_size=20, early_stopping=True, max_iter=5, **ENDLESS)
    before = npnn.get_rng_state()
    net.fit(X, y)
    assert npnn.get_rng_state() == before
    npnn.manual_seed(5)
    assert same(clone(net).fit(X, y), net)
    assert not same(clone(net).set_params(random_state=1).fit(X, y), net)
    state = np.random.RandomState(0)  # goes on from fit to fit
    assert not same(clone(net).set_params(random_state=state).fit(X, y), net.set_params(random_state=state).fit(X, y))
    with pytest.raises(ValueError, match="only 1 member"):
        net.fit(X[:3], y[:3])
    assert npnn.get_rng_state() == npnn.manual_seed(5).bit_generator.state


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


# ---- what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -1}, "alpha must be a number of at least 0, got -1"),
        ({"learning_rate_init": 0}, "learning_rate_init must be a positive number, got 0"),
        ({"max_iter": 2.5}, "max_iter must be a whole number of at least 1, got 2.5"),
        ({"n_iter_no_change": 0}, "n_iter_no_change must be a whole number of at least 1, or inf, got 0"),
        ({"tol": "no"}, "tol must be a number of at least 0, got 'no'"),
        ({"momentum": 1}, "momentum must be a number from 0 to below 1, got 1"),
        ({"validation_fraction": 1.0}, "validation_fraction must be a number between 0 and 1, got 1.0"),
        ({"batch_size": 0}, "batch_size must be 'auto' or a whole number of at least 1, got 0"),
        ({"dtype": "float16"}, "dtype must be one of auto, float32, float64, got 'float16'"),
        ({"learning_rate": "fast"}, "learning_rate must be one of adaptive, constant, cosine, one_cycle"),
        ({"hidden_layer_sizes": (3, 0)}, r"hidden_layer_sizes must be whole numbers of at least 1, got \[3, 0\]"),
        ({"activation": "step"}, "activation must be one of elu, .* got 'step'"),
        ({"solver": "lbfgs"}, "solver must be one of adagrad, .* got 'lbfgs'"),
        ({"loss": "hinge"}, "loss must be one of cross_entropy, or a function, got 'hinge'"),
        ({"loss": F.cross_entropy, "label_smoothing": 0.1}, "label_smoothing belongs to loss='cross_entropy'"),
        ({"label_smoothing": 2}, "label_smoothing must be between 0 and 1"),
        ({"dropout": 1.5}, "dropout probability has to be between 0 and 1"),
        ({"clip_grad_norm": -1}, "clip_grad_norm must be positive"),
        ({"early_stopping": True, "validation_fraction": 0.1}, "test_size = 1 should be"),
    ],
    ids=lambda v: "" if isinstance(v, str) else ", ".join(v),
)
def test_bad_parameters(options, message):
    X, y = classes(9)
    with pytest.raises(ValueError, match=message):
        NeuralNetClassifier(**options).fit(X, y)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(5), r"one weight for each of 120 samples, got shape \(5,\)"),
        (np.full(120, -1.0), "must not be negative"),
        (np.full(120, np.nan), "sample_weight contains NaN"),
        (np.zeros(120), "weights of all samples are zero"),
    ],
)
def test_bad_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        NeuralNetClassifier().fit(*classes(), sample_weight=weights)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_bad_data():
    X, y = classes()
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        NeuralNetClassifier().fit(X, y)
    X[3, 1] = 1e300
    with pytest.raises(ValueError, match="too large for dtype\\('float32'\\)"):
        NeuralNetClassifier(dtype="float32").fit(X, y)
    X, y = numbers()
    with pytest.raises(ValueError, match="Unknown label type"):
        NeuralNetClassifier().fit(X, y)
    with pytest.raises(ValueError, match="leaves 1 sample"):
        NeuralNetRegressor(early_stopping=True).fit(X[:5], y[:5])
