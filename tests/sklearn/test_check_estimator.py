"""scikit-learn's own conformance checks: all of them, with no expected failures."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from npnn import nn
from npnn.sklearn import NeuralNetClassifier, NeuralNetRegressor


class Gated(nn.Sequential):
    """A network that the estimators' own parameters cannot describe."""

    def __init__(self, n_features, n_outputs):
        super().__init__(nn.Linear(n_features, 40), nn.GLU(), nn.LayerNorm(20), nn.Linear(20, n_outputs))


ESTIMATORS = [
    NeuralNetClassifier(),
    NeuralNetRegressor(),
    NeuralNetClassifier(module=Gated, solver="adamw", learning_rate_init=0.01, learning_rate="one_cycle"),
    NeuralNetRegressor(module=Gated, loss="huber", solver="rmsprop", learning_rate="cosine"),
]
# parametrize_with_checks would do the same, but hands pytest a generator in scikit-learn before 1.8
CASES = [case for estimator in ESTIMATORS for case in estimator_checks_generator(estimator)]


def name(value):
    return getattr(value, "func", value).__name__ if callable(value) else type(value).__name__


@pytest.mark.parametrize(("estimator", "check"), CASES, ids=name)
@pytest.mark.filterwarnings("ignore")  # the checks' data make many an estimator warn
def test_conforms(estimator, check):
    check(estimator)
