"""scikit-learn's MLPClassifier beside NeuralNetClassifier: whole fits with the same settings.

One hidden layer of 100 ReLUs, Adam at 0.001, batches of 200, shuffled: MLPClassifier's defaults, for a
fixed number of epochs.  Each data set is fitted as float64, which is what scikit-learn users mostly
have, and as float32; both estimators compute in the dtype of the data.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import table as tables
from benchmarks.timing import alternate

__all__ = ["measure", "table"]

Data = tuple[NDArray[Any], NDArray[Any]]

#: After training from the same weights on the same batches, the two may disagree on this share of the samples
#: (ε enters scikit-learn's Adam in another place).
TOLERANCE = 0.02


def _digits() -> Data:
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X / 16, y


def _random() -> Data:
    rng = np.random.default_rng(0)
    return rng.standard_normal((10_000, 784)), rng.integers(0, 10, 10_000)


DATA: dict[str, tuple[Callable[[], Data], int]] = {
    "digits, 1,797 × 64": (_digits, 20),
    "random numbers, 10,000 × 784": (_random, 2),
}  # and for how many epochs


def _estimators(epochs: int, **options: Any) -> dict[str, Any]:
    from sklearn.neural_network import MLPClassifier

    from npnn.sklearn import NeuralNetClassifier

    settings = {"max_iter": epochs, "n_iter_no_change": np.inf, "random_state": 0, **options}
    return {"npnn": NeuralNetClassifier(**settings), "scikit-learn": MLPClassifier(**settings)}


def check(X: NDArray[Any], y: NDArray[Any], epochs: int) -> float:
    """The share of right answers after training, which both must reach from the same weights on the same batches.

    Errors: AssertionError if the two predict different classes.
    """
    net, mlp = _estimators(1, shuffle=False, warm_start=True).values()
    net.fit(X, y)
    mlp.fit(X, y)
    weights = [a for layer in zip(mlp.coefs_, mlp.intercepts_, strict=True) for a in (layer[0].T, layer[1])]
    net.model_.load_state_dict(dict(zip(net.model_.state_dict(), weights, strict=True)))
    ours, theirs = (estimator.set_params(max_iter=epochs).fit(X, y).predict(X) for estimator in (net, mlp))
    differ = np.mean(ours != theirs)
    if differ > TOLERANCE:
        raise AssertionError(f"after {epochs} epochs from the same weights, {differ:.1%} of the predictions differ")
    return float(np.mean(ours == y))


def measure(rounds: int, threads: int) -> list[dict[str, Any]]:
    """Rows of the table: one per data set, dtype and estimator."""
    from threadpoolctl import threadpool_limits

    from npnn import set_num_threads

    set_num_threads(threads)
    rows = []
    with threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLPClassifier's, of not having converged
        for name, (load, epochs) in DATA.items():
            for dtype in ("float64", "float32"):
                X, y = load()
                X = X.astype(dtype)
                accuracy = check(X, y, epochs)
                fits = {k: lambda e=e, X=X, y=y: e.fit(X, y) for k, e in _estimators(epochs).items()}
                times = alternate(fits, 2, rounds)
                rows += [
                    {
                        "data": name,
                        "dtype": dtype,
                        "epochs": epochs,
                        "peer": peer,
                        "median_ms": taken.median * 1e3,
                        "min_ms": taken.min * 1e3,
                        "spread": taken.spread,
                        "ratio": taken.median / times["scikit-learn"].median,
                        "accuracy": accuracy,
                        "threads": threads,
                        "scikit-learn": version("scikit-learn"),
                    }
                    for peer, taken in times.items()
                ]
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line per data set and dtype."""
    theirs = {(r["data"], r["dtype"]): r for r in rows if r["peer"] == "scikit-learn"}
    return tables.markdown(
        ["data", "dtype", "epochs", "npnn ms", "MLPClassifier ms", "ratio", "± %", "training accuracy"],
        [
            [
                r["data"],
                r["dtype"],
                str(r["epochs"]),
                f"{r['median_ms']:.1f}",
                f"{theirs[r['data'], r['dtype']]['median_ms']:.1f}",
                f"{r['ratio']:.2f}",
                f"{r['spread'] * 100:.0f}",
                f"{r['accuracy'] * 100:.1f} %",
            ]
            for r in rows
            if r["peer"] == "npnn"
        ],
    )
