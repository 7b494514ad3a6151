"""How far does a network of 20 hidden units get in 1500 steps of gradient descent on a toy problem?

    python -m experiments run mlp_toy --variant moons-lr0.1

Test accuracy in %, mean and standard deviation of five initialisations; a run takes less than 1 s:

                    lr 0.01, all 800     lr 0.01, batches     lr 0.1, all 800
                    points a step        of 32                points a step
    moons           87.6 ± 0.4           87.5 ± 0.4           98.8 ± 0.4
    moons-clean     88.3 ± 0.6           88.3 ± 0.6           99.5 ± 0.0
    circles         61.9 ± 6.9           61.4 ± 6.6           82.8 ± 0.8
    blobs           74.1 ± 0.4           74.1 ± 0.7           73.8 ± 1.2
    quantiles       95.5 ± 1.5           95.4 ± 1.8           98.3 ± 1.3
    classification  92.3 ± 0.4           92.3 ± 0.4           91.4 ± 0.4
    hastie          70.9 ± 3.9           70.9 ± 3.9           90.1 ± 1.1
    multiclass      82.4 ± 1.0           82.3 ± 1.2           86.4 ± 0.4

At a rate of 0.01 the network is not too small but unfinished.  What a step sees makes no difference,
a batch or everything: only the number of steps counts, and their length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.harness.config import RunConfig, option
from experiments.harness.registry import Tolerance
from experiments.harness.results import Result
from npnn.data import TOY_SETS, TrainTest, make_toy


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    dataset: str = option("moons", "the toy set", choices=TOY_SETS)
    n_samples: int = option(1000, "points, of which a fifth are for the test")
    hidden: int = option(20, "hidden units")
    steps: int | None = option(1500, "optimiser steps, instead of epochs")
    batch_size: int = option(800, "points per step; 800 is the whole training set")
    lr: float = option(1e-2, "learning rate of SGD")
    evaluate_every: int | None = option(10, "steps from one record of the history to the next")


def data(config: Config) -> TrainTest:
    return make_toy(config.dataset, config.n_samples)


def build(nn: Any, config: Config) -> Any:
    inputs = 10 if config.dataset == "hastie" else 2
    classes = 4 if config.dataset == "multiclass" else 2
    return nn.Sequential(nn.Linear(inputs, config.hidden), nn.ReLU(), nn.Linear(config.hidden, classes))


def optimizer(optim: Any, model: Any, config: Config) -> Any:
    return optim.SGD(model.parameters(), lr=config.lr)


def draw(result: Result) -> Any:
    """Loss and accuracy; for points in the plane also the decision boundary, under the test set."""
    from npnn import plot

    if result.data.test_x.shape[1] != 2:
        return plot.curves(result.histories, test=result.watched, x="step")
    sheet: Any = plot.figure(plot.PAGE, 3.4)
    left, right = sheet.subfigures(1, 2)
    plot.curves(result.histories, test=result.watched, x="step", figure=left, width=plot.COLUMN)
    plot.decision_boundary(result.predict, result.data.test_x, result.data.test_y, "test set", figure=right)
    return sheet


SETTINGS: dict[str, dict[str, Any]] = {"": {}, "-batch32": {"batch_size": 32}, "-lr0.1": {"lr": 0.1}}
VARIANTS = {
    dataset + suffix: Config(dataset=dataset, **changes) for suffix, changes in SETTINGS.items() for dataset in TOY_SETS
}
TOLERANCE = Tolerance(gap=1e-4, steps=1500)
BEST = {"moons-lr0.1": "float32"}
