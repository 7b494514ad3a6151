"""What a run leaves behind: a figure, the weights, and its numbers; and the way back from the files to the model."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from npnn.data import TrainTest
from npnn.experiment import numbers as numbers_of
from npnn.experiment.config import UserError
from npnn.experiment.job import Job, Start
from npnn.experiment.peer import framework
from npnn.experiment.registry import Experiment
from npnn.io.weights import read, save_file
from npnn.train import History, Trainer

__all__ = [
    "Evaluation",
    "Folders",
    "Result",
    "draw_again",
    "evaluate",
    "finished",
    "is_done",
    "named",
    "restored",
    "save",
    "save_figure",
]

SAME = 2000  # test examples, of which one may come out otherwise on another processor


class Folders(NamedTuple):
    """Where results go, and where unfinished runs wait to be resumed.

    ``figs``, ``models`` and ``results`` have what the table of results shows.  All that another run leaves is
    in its own folder, ``runs``/STEM, unless it is given other folders than these.
    """

    figs: Path = Path("figs")
    models: Path = Path("best_models")
    runs: Path = Path("runs")
    results: Path = Path("experiments/results")

    @property
    def options(self) -> str:
        """What to add to a command for folders other than these."""
        usual = Folders()
        return "".join(f" --{k} {v}" for k, v in self._asdict().items() if v != getattr(usual, k))

    def overview(self, name: str) -> Path:
        """The figure of all variants of an experiment."""
        return self.figs / f"{name}.png"

    def figure(self, job: Job) -> Path:
        shared = job.heads_row or self.figs != Folders().figs
        return self.figs / f"{job.stem}.png" if shared else self.runs / job.stem / "figure.png"

    def comparison(self, job: Job, name: str) -> Path:
        """The figure of a comparison with torch, which is in no table."""
        shared = self.figs != Folders().figs
        return self.figs / f"{job.stem}-{name}.png" if shared else self.runs / job.stem / f"{name}.png"

    def sofar(self, stem: str) -> Path:
        """The numbers of a run, as it goes."""
        return self.runs / stem / "run.json"

    def numbers(self, job: Job) -> Path:
        """Where the numbers of a run that is finished are: in the file of its variant, or in the run's own folder."""
        shared = job.in_table or self.results != Folders().results
        return self.results / f"{job.experiment.name}-{job.variant}.json" if shared else self.sofar(job.stem)

    def weights(self, job: Job) -> Path:
        """The weights of the best variants are for everyone, those of other runs stay with the checkpoints."""
        return self.models / f"{job.stem}.safetensors" if job.kept else self.runs / job.stem / "weights.safetensors"


@dataclass(frozen=True)
class Result:
    """A finished run, as the experiment's ``draw`` gets it."""

    job: Job
    data: TrainTest
    trainer: Trainer
    numbers: Mapping[str, Any]
    folders: Folders

    @property
    def config(self) -> Any:
        return self.job.config

    @property
    def metrics(self) -> dict[str, Any]:
        """loss, accuracy and class_accuracy on the test set."""
        return {name.removeprefix("test_"): value for name, value in self.numbers["metrics"].items()}

    @cached_property
    def history(self) -> History:
        """With the records that numbers.compact leaves."""
        return numbers_of.history_of(self.numbers)

    @property
    def histories(self) -> dict[str, History]:
        """For plot.curves: the history by backend, this run's and that of the same run in the other framework,
        if it is finished."""
        other = {name: numbers_of.history_of(numbers) for name, numbers in self._twin.items()}
        return dict(sorted({self.job.backend: self.history, **other}.items()))

    @property
    def class_accuracies(self) -> dict[str, list[float]]:
        """For plot.per_class: the accuracy on each class of the test set, by backend as in ``histories``."""
        whole = {name: numbers for name, numbers in self._twin.items() if "stop_after" not in numbers}
        other = {name: numbers["metrics"]["test_class_accuracy"] for name, numbers in whole.items()}
        found = dict(sorted({self.job.backend: self.metrics["class_accuracy"], **other}.items()))
        return {name: [np.nan if share is None else share for share in shares] for name, shares in found.items()}

    @cached_property
    def _twin(self) -> dict[str, dict[str, Any]]:
        """The numbers of the same run in the other framework, by its name; empty if it is not finished.

        Of its first epochs, if that is all there is.
        """
        other = "torch" if self.job.backend == "npnn" else "npnn"
        for end in (None, self.job.experiment.TORCH_EPOCHS):
            numbers = finished(dataclasses.replace(self.job, backend=other, stop_after=end), self.folders)
            if numbers is not None:
                return {other: numbers}
        return {}

    @property
    def watched(self) -> str:
        """What plot.curves is to call the set that the records looked at."""
        return self.config.watched

    @property
    def model(self) -> Any:
        return self.trainer.model

    @cached_property
    def outputs(self) -> NDArray[Any]:
        """The model's outputs for the test set."""
        return self.predict(self.data.test_x)

    def predict(self, x: Any, part: Any = None) -> Any:
        """The outputs (array) of the model, or of a part such as ``model[:2]``, for an array of inputs."""
        if part is None:
            return self.trainer.predict(x)
        return Trainer(part, self.trainer.loss, self.trainer.optimizer).predict(x)


def finished(job: Job, folders: Folders) -> dict[str, Any] | None:
    """The numbers of a finished run of exactly this job, None if there are none."""
    numbers = numbers_of.read(folders.numbers(job), job.stem)
    if numbers is None or not numbers["finished"]:
        return None
    try:
        found = numbers_of.job_of(numbers)
    except UserError:  # it was run when the experiment was another
        return None
    return numbers if (found.stem, found.config) == (job.stem, job.config) else None


def is_done(job: Job, folders: Folders) -> bool:
    """True if there is a finished run of this job, or of all the epochs of which it is the first."""
    whole = dataclasses.replace(job, stop_after=None)
    return finished(job, folders) is not None or finished(whole, folders) is not None


def named(stem: str, folders: Folders) -> dict[str, Any]:
    """The numbers of the finished run of this name.  Errors: UserError, with the nearest name."""
    files = sorted(folders.results.glob("*.json"))
    for path in (*(path for path in files if stem.startswith(path.stem)), folders.sofar(stem)):
        numbers = numbers_of.read(path, stem)
        if numbers is not None and numbers["finished"]:
            return numbers
    known = [name for path in files for name in numbers_of.runs(path)]
    known += [path.parent.name for path in folders.runs.glob("*/run.json")]
    near = difflib.get_close_matches(stem, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"they are in the files of {folders.results}"
    raise UserError(f"there is no finished run {stem!r}: {hint}")


def save(job: Job, start: Start, folders: Folders, keep: bool = True) -> Result:
    """Measure a trained model on the test set; write the weights, the numbers and, last of all, the figure.

    The weights are measured as they are in their file: if this rounds them, so does the model here.
    Without ``keep`` only the numbers are written.
    """
    trainer = start.trainer
    if keep:
        path = folders.weights(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = _stored(trainer, job.kept or "float32")
        save_file(arrays, path)
        trainer.model.load_state_dict(trainer.backend.state(read(path)[0]))
    metrics = start.test()
    numbers = numbers_of.measure(job, trainer, metrics)
    if keep:
        save_file(arrays, path, {"run": json.dumps(numbers_of.identity(job, metrics))})
        if job.kept:
            numbers["weights"] = {"dtype": job.kept, "bytes": path.stat().st_size}
    numbers_of.write(numbers, folders.sofar(job.stem))
    if folders.numbers(job) != folders.sofar(job.stem):
        numbers_of.write(numbers, folders.numbers(job), job.stem)
    result = Result(job, start.data, trainer, numbers, folders)
    if keep:
        save_figure(job.experiment.draw(result), folders.figure(job))
    return result


def _stored(trainer: Trainer, dtype: str) -> dict[str, NDArray[Any]]:
    """The weights as a file shall hold them: halved are matrices and kernels, not biases and running means."""
    arrays = {name: trainer.backend.array(value) for name, value in trainer.model.state_dict().items()}
    return {name: a.astype(dtype) if a.ndim > 1 and a.dtype == np.float32 else a for name, a in arrays.items()}


def save_figure(figure: Any, path: Path) -> Path:
    from npnn import plot

    path.parent.mkdir(parents=True, exist_ok=True)
    plot.save(figure, path)
    return path


def draw_again(job: Job, folders: Folders) -> Path | None:
    """Draw a finished run's figure from its files, as when its twin in the other framework has come.

    None if the run is not finished or has no weights.
    """
    numbers, weights = finished(job, folders), folders.weights(job)
    if numbers is None or not weights.exists():
        return None
    start = job.start(progress=False)
    start.trainer.model.load_state_dict(start.trainer.backend.state(read(weights)[0]))
    result = Result(job, start.data, start.trainer, numbers, folders)
    return save_figure(job.experiment.draw(result), folders.figure(job))


class Restored(NamedTuple):
    """A saved model, as its run left it."""

    model: Any
    experiment: Experiment
    config: Any
    run: dict[str, Any]  # what the file says of the run

    @property
    def job(self) -> Job:
        any_variant = next(iter(self.experiment.VARIANTS))  # its own may be called otherwise; the settings say all
        return Job(self.experiment, any_variant, self.config)


def restored(path: str | os.PathLike[str]) -> Restored:
    """The model of a file that a run wrote, with npnn, and without its data.

    Errors: CheckpointError for a damaged file; UserError for one that no experiment wrote.
    """
    weights, notes = read(path)
    if "run" not in notes:
        raise UserError(f"{path} does not say which experiment it belongs to: it was not written by a run")
    run = json.loads(notes["run"])
    try:
        found, config = numbers_of.config_of(run)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    model = found.build(framework("npnn").nn, config)
    model.load_state_dict(weights)
    return Restored(model, found, config, run)


class Evaluation(NamedTuple):
    """The figures of a saved model on its test set: measured again, and as they were recorded."""

    measured: dict[str, Any]
    recorded: dict[str, Any]
    examples: int  # in the test set

    @property
    def apart(self) -> int:
        """By how many examples that are right the two differ."""
        return round(self.examples * abs(self.measured["test_accuracy"] - self.recorded["test_accuracy"]))

    @property
    def agrees(self) -> bool:
        """Another processor rounds otherwise, and a few examples lie on the boundary of two classes."""
        return self.apart <= 1 + self.examples // SAME


def evaluate(path: Path) -> Evaluation:
    """Measure a saved model again, with npnn.  All that this takes is in its file.

    Errors: CheckpointError for a damaged file; UserError for one that no experiment wrote.
    """
    saved = restored(path)
    start = saved.job.start(progress=False)
    start.trainer.model.load_state_dict(saved.model.state_dict())
    measured = {f"test_{name}": value for name, value in start.test().items()}
    return Evaluation(measured, saved.run["metrics"], len(start.data.test))
