"""Finds the experiments: every module of the package ``experiments`` is one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import experiments
from experiments.harness.config import RunConfig
from npnn.data import TrainTest

__all__ = ["Experiment", "Tolerance", "experiment", "names"]


class Tolerance(NamedTuple):
    """How far the training losses of npnn and torch may be apart at any of the first ``steps`` steps."""

    gap: float
    steps: int


@dataclass(frozen=True)
class Experiment:
    """What the file of an experiment defines, under these names.

    ``Config`` is a dataclass derived from RunConfig, and ``VARIANTS`` are named instances of it, the
    first of them the default.  ``data(config)`` gives the two parts of the data.  ``build(nn, config)``
    gets ``npnn.nn`` or ``torch.nn`` and ``optimizer(optim, parameters, config)`` gets ``npnn.optim`` or
    ``torch.optim``: one text serves both frameworks.  ``draw(result)`` returns the figure.
    """

    name: str
    question: str  # the first line of the file
    Config: type[RunConfig]
    VARIANTS: Mapping[str, RunConfig]
    TOLERANCE: Tolerance
    data: Callable[[Any], TrainTest]
    build: Callable[[Any, Any], Any]
    optimizer: Callable[[Any, Any, Any], Any]
    draw: Callable[[Any], Any]


def names() -> list[str]:
    """The names of all experiments, sorted."""
    found = pkgutil.iter_modules(experiments.__path__)
    return sorted(m.name for m in found if not m.ispkg and not m.name.startswith("_"))


def experiment(name: str) -> Experiment:
    """Import one experiment.  Errors: AttributeError naming what its file fails to define."""
    module = importlib.import_module(f"experiments.{name}")
    question = (module.__doc__ or "").strip().split("\n")[0]
    parts = {part: getattr(module, part) for part in Experiment.__annotations__ if part not in ("name", "question")}
    return Experiment(name=name, question=question, **parts)
