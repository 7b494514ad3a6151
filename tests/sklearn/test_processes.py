"""Estimators in several processes and threads, and without scikit-learn."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
from joblib import cpu_count
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import npnn
from npnn.sklearn import NeuralNetClassifier
from tests.sklearn.common import ENDLESS, classes, same


def count_threads(estimator, X, y):
    return npnn.get_num_threads()


def test_workers_of_a_grid_search_share_the_cores():
    X, y = classes()
    net = NeuralNetClassifier(dropout=0.2, max_iter=3, **ENDLESS)
    scoring = {"accuracy": "accuracy", "threads": count_threads}
    results = []
    for n_jobs in (None, 2):
        search = GridSearchCV(net, {"alpha": [0.0, 0.1]}, scoring=scoring, refit=False, cv=2, n_jobs=n_jobs)
        results.append(search.fit(X, y).cv_results_)
    alone, shared = results
    assert set(shared["mean_test_threads"]) == {max(cpu_count() // 2, 1)}
    np.testing.assert_array_equal(shared["mean_test_accuracy"], alone["mean_test_accuracy"])


def test_fits_in_several_threads_do_not_disturb_each_other():
    X, y = classes(400)
    nets = [NeuralNetClassifier((64,), dropout=0.5, batch_size=32, max_iter=5, **ENDLESS) for _ in range(3)]
    for seed, net in enumerate(nets):
        net.set_params(random_state=seed)
    expected = [clone(net).fit(X, y) for net in nets]
    npnn.manual_seed(3)
    fits = [threading.Thread(target=net.fit, args=(X, y)) for net in nets]
    for fit in fits:
        fit.start()
    for fit in fits:
        fit.join()
    assert all(same(net, alone) for net, alone in zip(nets, expected, strict=True))
    assert npnn.get_rng_state().equal(npnn.Generator().manual_seed(3).get_state())


def test_predictions_in_several_threads():
    X, y = classes(3000)
    net = NeuralNetClassifier(dropout=0.5, max_iter=1, **ENDLESS).fit(X, y)
    expected, found = net.predict_proba(X), []
    threads = [threading.Thread(target=lambda: found.append(net.predict_proba(X))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for probability in found:
        np.testing.assert_array_equal(probability, expected)


def test_without_scikit_learn_one_line_says_what_to_install():
    code = "import sys; sys.modules['sklearn'] = None; import npnn.sklearn"
    root = Path(__file__).parent.parent.parent
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert result.stderr.splitlines()[-1] == "ImportError: npnn.sklearn needs scikit-learn: pip install npnn[sklearn]"
