"""Classification: labels of any kind, several at once, and weights of classes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import class_weight

from npnn.sklearn import NeuralNetClassifier, NeuralNetRegressor
from tests.sklearn.common import ENDLESS, classes, numbers, same


def test_digits_in_a_pipeline():
    X, y = load_digits(return_X_y=True)
    net = NeuralNetClassifier(dropout=0.1, learning_rate_init=0.01, max_iter=15, dtype="float32", **ENDLESS)
    model = make_pipeline(StandardScaler(), net).fit(X[:1400], y[:1400])
    assert model.score(X[1400:], y[1400:]) > 0.9
    assert {p.array.dtype.name for p in model[-1].model_.parameters()} == {"float32"}


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


def test_several_labels():
    X, y = make_multilabel_classification(200, 6, n_classes=4, random_state=0)
    net = NeuralNetClassifier((50,), alpha=0.0, max_iter=100, learning_rate_init=0.01, **ENDLESS).fit(X, y)
    probability = net.predict_proba(X)
    assert net.n_outputs_ == 4
    assert probability.shape == (200, 4)
    np.testing.assert_array_equal(net.predict(X), probability > 0.5)
    np.testing.assert_allclose(net.predict_log_proba(X), np.log(probability), 1e-6, 1e-12)
    assert (net.predict(X) == y).mean() > 0.8
    np.testing.assert_array_equal(clone(net).fit(X, csr_array(y)).predict(X), net.predict(X))
    # the loss is the mean over all labels, whatever they weigh
    weighted = clone(net).set_params(class_weight=[{0: 2, 1: 2}] * 4).fit(X, y)
    np.testing.assert_allclose(weighted.predict_proba(X), probability, 1e-6)


def test_dropout_and_label_smoothing():
    X, y = classes()
    options = {"learning_rate_init": 0.01, "max_iter": 80, **ENDLESS}
    plain = NeuralNetClassifier(**options).fit(X, y)
    smooth = NeuralNetClassifier(label_smoothing=0.3, **options).fit(X, y)
    assert smooth.predict_proba(X).max() < 0.95 < plain.predict_proba(X).max()
    dropped = NeuralNetClassifier(dropout=0.5, **options).fit(X, y)
    assert dropped.loss_ > plain.loss_
    np.testing.assert_array_equal(dropped.predict_proba(X), dropped.predict_proba(X))


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
