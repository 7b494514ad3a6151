"""Finds the experiments: the files of the folder ``experiments`` where one works, and any file that is named.

An experiment is a file that opens with its question and answer, and defines

    data(config)                    both parts of the data: a TrainTest; or four arrays, as train_test_split
                                    returns them or (train_x, train_y, test_x, test_y); or two pairs of
                                    arrays; or two Datasets.  What needs no chance but the config
                                    (normalising) is done here, and holds for evaluation, too
    build(nn, config)               the model, from ``npnn.nn`` or ``torch.nn``

and, if the usual will not do,

    Config                          a dataclass: the settings, each of them an option of the command line.  Those of
                                    RunConfig (seed, epochs, batch_size, lr, ...) are there in any case; one
                                    that is named again has another default.  ``option`` adds a help text
    VARIANTS                        named instances of it, the first of them the default; else one, "default"
    optimizer(optim, model, config) from ``npnn.optim`` or ``torch.optim``; else Adam at config.lr
    loss(nn, config)                called with (outputs, targets); else CrossEntropyLoss
    schedule(lr_scheduler, optimizer, config, steps_per_epoch)
                                    a Schedule, or None for a constant rate; ``lr_scheduler`` is
                                    ``npnn.optim.lr_scheduler`` or ``torch.optim.lr_scheduler``
    transform(config)               augmentation of the batches of training, a function of (images,
                                    generator) as in npnn.data.transforms, or None
    callbacks(config)               more npnn.train.Callbacks, a sequence
    draw(result)                    the figure, of a Result; else the curves, what was taken for what, and the kernels
                                    or, of points in a plane, the border between the classes
    overview(rows)                  a figure of all variants together, such as accuracy against a
                                    setting, or None.  ``rows`` has a Row for each variant that ran.
    answers(rows)                   {question: answer}, sentences for the top of the table of results, with numbers
                                    of the same rows (npnn.experiment.answers.accuracy)
    TOLERANCE                       how closely npnn and torch agree, see Tolerance
    REPORTED                        {variant: Reported}: what has been published for these settings; a
                                    tuple of them where several publications are to be told apart
    TORCH_EPOCHS                    after how many epochs torch, which stands beside, may end where many runs are asked
                                    for (sweep, run --missing); else it runs as long as npnn
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

import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from npnn.data import TrainTest
from npnn.experiment import defaults
from npnn.experiment.config import RunConfig, UserError
from npnn.experiment.source import Source, checked
from npnn.train import Callback

__all__ = ["Experiment", "Reported", "Schedule", "Tolerance", "experiment", "experiments", "names", "question"]


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


USUAL = Tolerance(gap=1e-3, steps=50)


def _none(*args: Any) -> None:
    return None


def _no_answers(rows: Any) -> Mapping[str, str]:
    return {}


def _no_callbacks(config: Any) -> Sequence[Callback]:
    return ()


@dataclass(frozen=True)
class Experiment:
    """What the file of an experiment defines, under these names."""

    name: str
    question: str  # the first line of the file
    Config: type[RunConfig]
    VARIANTS: Mapping[str, RunConfig]
    data: Callable[[Any], TrainTest]
    build: Callable[[Any, Any], Any]
    optimizer: Callable[[Any, Any, Any], Any] = defaults.adam
    draw: Callable[[Any], Any] = defaults.sheet
    TOLERANCE: Tolerance = USUAL
    loss: Callable[[Any, Any], Any] = defaults.cross_entropy
    schedule: Callable[[Any, Any, Any, int], Schedule | None] = _none
    transform: Callable[[Any], Any] = _none
    callbacks: Callable[[Any], Sequence[Callback]] = _no_callbacks
    overview: Callable[[Any], Any] = _none
    answers: Callable[[Any], Mapping[str, str]] = _no_answers
    REPORTED: Mapping[str, Reported | tuple[Reported, ...]] = field(default_factory=dict)
    GROUPS: Mapping[str, Sequence[str]] = field(default_factory=dict)
    BEST: Mapping[str, str] = field(default_factory=dict)
    TORCH_EPOCHS: int | None = None
    file: str | None = None  # of one that is not in the folder ``experiments``: where it is

    @property
    def address(self) -> str:
        """What the command line calls it."""
        return self.file or self.name

    @property
    def program(self) -> str:
        """How it is run."""
        return "python -m npnn.experiment" if self.file else "python -m experiments"

    def reported(self, variant: str) -> tuple[Reported, ...]:
        """What has been published for a variant's settings."""
        found = self.REPORTED.get(variant, ())
        return (found,) if isinstance(found, Reported) else found


def names() -> list[str]:
    """The names of all experiments of the folder, sorted.  Files that begin with _ or build no model are parts of
    them; one that cannot be read is among them, so that somebody learns of it."""
    return sorted(name for name, source in _sources().items() if source.problem or source.is_experiment)


def question(name: str) -> str:
    """The first line of an experiment's file, which is not run for it.  Errors: UserError for one that is broken."""
    return _source(name).question


def experiments() -> Iterator[Experiment]:
    """All experiments of the folder that are whole; those that are not are named on the error output."""
    for name in names():
        try:
            yield experiment(name)
        except UserError as error:
            print(f"left out: {error}", file=sys.stderr)


def experiment(address: str) -> Experiment:
    """Import one experiment, by its name in the folder ``experiments`` or by the path of its file.

    Errors: UserError that names the file, the line and what has to be there.
    """
    source = _source(address)
    return _made(source, None if address == source.name else Path(address).as_posix())


def _source(address: str) -> Source:
    found = _sources().get(address)
    if found is not None:
        return found
    if not address.endswith(".py"):
        raise UserError(f"the experiment {address!r} is not here")
    if not Path(address).is_file():
        raise UserError(f"there is no file {address}")
    return Source(Path(address), state=(Path(address).resolve(), Path(address).stat().st_mtime_ns))


@functools.cache
def _sources() -> dict[str, Source]:
    """The files of the folder by their names.  Without such a folder there are none."""
    package = importlib.util.find_spec("experiments")
    if package is None and Path("experiments").is_dir():  # a script elsewhere is run from here
        sys.path.append(str(Path.cwd()))
        package = importlib.util.find_spec("experiments")
    places = [] if package is None else package.submodule_search_locations or []
    files = (path for place in places for path in Path(place).glob("[!_]*.py"))
    return {path.stem: Source(path, f"experiments.{path.stem}") for path in files}


def _made(source: Source, file: str | None) -> Experiment:
    module = source.load()
    given = {part.name: getattr(module, part.name) for part in fields(Experiment) if hasattr(module, part.name)}
    return Experiment(**{**checked(source, given), "name": source.name, "question": source.question, "file": file})
