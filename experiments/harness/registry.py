"""Finds the experiments: every module of the package ``experiments`` that defines VARIANTS is one.

An experiment is a file that opens with its question and answer, and defines

    Config                          a frozen dataclass derived from RunConfig: the settings
    VARIANTS                        named instances of it, the first of them the default
    TOLERANCE                       how closely npnn and torch agree, see Tolerance
    data(config)                    both parts of the data, a TrainTest; what needs no chance but the
                                    config (normalising) is done here, and holds for evaluation, too
    build(nn, config)               the model, from ``npnn.nn`` or ``torch.nn``
    optimizer(optim, model, config) from ``npnn.optim`` or ``torch.optim``
    draw(result)                    the figure, of a Result

and, if the usual will not do,

    loss(nn, config)                called with (outputs, targets); else CrossEntropyLoss
    schedule(lr_scheduler, optimizer, config, steps_per_epoch)
                                    a Schedule, or None for a constant rate; ``lr_scheduler`` is
                                    ``npnn.optim.lr_scheduler`` or ``torch.optim.lr_scheduler``
    transform(config)               augmentation of the batches of training, a function of (images,
                                    generator) as in npnn.data.transforms, or None
    callbacks(config)               more npnn.train.Callbacks, a sequence
    overview(rows)                  a figure of all variants together, such as accuracy against a
                                    setting, or None.  ``rows`` has a Row for each variant that ran.
    REPORTED                        {variant: Reported}: what has been published for these settings; a
                                    tuple of them where several publications are to be told apart
    GROUPS                          {label: variants}: those that the table of results tells in one line
    BEST                            {variant: "float32" or "float16"}: the variants whose weights are
                                    kept in best_models/, and how; large models are halved

``draw`` finds in a Result: data, model, config, history; histories and class_accuracies, of npnn and,
where that run exists, torch (for plot.curves, plot.gradient_norms, plot.per_class); watched, the set of
the records, "validation" or "test"; outputs, the logits for the test set; and predict(x).  Data that are
downloaded are loaded by a name of the module (``from npnn.data import load_mnist``), where the tests put
a few images instead.

One text serves both frameworks.  What holds data back for choosing a model (``validation``) and stops
early (``patience``) is in every Config, and works without a line in the experiment.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import experiments
from experiments.harness.config import RunConfig
from npnn.data import TrainTest
from npnn.train import Callback

__all__ = ["Experiment", "Reported", "Schedule", "Tolerance", "experiment", "names"]


class Tolerance(NamedTuple):
    """How far the training losses of npnn and torch may be apart at any of the first ``steps`` steps."""

    gap: float
    steps: int


class Schedule(NamedTuple):
    """A scheduler, and whether it is stepped once per "epoch" or per optimiser "step"."""

    scheduler: Any
    per: str = "epoch"


class Reported(NamedTuple):
    """A published result that a variant stands beside.

    With a ``target`` the table of results says whether it was reached, within 3 points of accuracy.
    """

    row: str  # where it is from: "S0-3", or "S0-1, S1-1"
    figure: str  # what was reported, "test about 85 %"; "" where a row says what its settings should have given
    note: str = ""  # one line: what went wrong there, what differs here
    target: float | None = None  # the reported accuracy in %
    on: str = "test"  # or "validation", if the reported model was chosen by the set that it was measured on
    exact: bool = False  # the faults of the report are made again: a better figure misses it, too


def _cross_entropy(nn: Any, config: Any) -> Any:
    return nn.CrossEntropyLoss()


def _none(*args: Any) -> None:
    return None


def _no_callbacks(config: Any) -> Sequence[Callback]:
    return ()


@dataclass(frozen=True)
class Experiment:
    """What the file of an experiment defines, under these names."""

    name: str
    question: str  # the first line of the file
    Config: type[RunConfig]
    VARIANTS: Mapping[str, RunConfig]
    TOLERANCE: Tolerance
    data: Callable[[Any], TrainTest]
    build: Callable[[Any, Any], Any]
    optimizer: Callable[[Any, Any, Any], Any]
    draw: Callable[[Any], Any]
    loss: Callable[[Any, Any], Any] = _cross_entropy
    schedule: Callable[[Any, Any, Any, int], Schedule | None] = _none
    transform: Callable[[Any], Any] = _none
    callbacks: Callable[[Any], Sequence[Callback]] = _no_callbacks
    overview: Callable[[Any], Any] = _none
    REPORTED: Mapping[str, Reported | tuple[Reported, ...]] = field(default_factory=dict)
    GROUPS: Mapping[str, Sequence[str]] = field(default_factory=dict)
    BEST: Mapping[str, str] = field(default_factory=dict)

    def reported(self, variant: str) -> tuple[Reported, ...]:
        """What has been published for a variant's settings."""
        found = self.REPORTED.get(variant, ())
        return (found,) if isinstance(found, Reported) else found


def names() -> list[str]:
    """The names of all experiments, sorted.  Modules that begin with _ or have no VARIANTS are parts of them."""
    modules = (m.name for m in pkgutil.iter_modules(experiments.__path__) if not (m.ispkg or m.name.startswith("_")))
    return sorted(name for name in modules if hasattr(_module(name), "VARIANTS"))


def _module(name: str) -> Any:
    return importlib.import_module(f"experiments.{name}")


def experiment(name: str) -> Experiment:
    """Import one experiment.  Errors: TypeError naming what its file fails to define."""
    module = _module(name)
    question = (module.__doc__ or "").strip().split("\n")[0]
    parts = {part.name: getattr(module, part.name) for part in fields(Experiment) if hasattr(module, part.name)}
    return Experiment(name=name, question=question, **parts)
