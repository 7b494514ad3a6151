"""What a run leaves behind: a figure, the weights, and its numbers; and the way back from the files to the model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import npnn
from experiments.harness import numbers as numbers_of
from experiments.harness.config import UserError
from experiments.harness.job import Job, Start
from npnn.data import TrainTest
from npnn.io.weights import read
from npnn.train import History, Trainer

__all__ = ["Folders", "Result", "draw_again", "evaluate", "finished", "save", "save_figure"]


class Folders(NamedTuple):
    """Where results go, and where unfinished runs wait to be resumed."""

    figs: Path = Path("figs")
    models: Path = Path("best_models")
    runs: Path = Path("runs")
    results: Path = Path("experiments/results")

    @property
    def options(self) -> str:
        """What to add to a command for folders other than these."""
        usual = Folders()
        return "".join(f" --{k} {v}" for k, v in self._asdict().items() if v != getattr(usual, k))

    def figure(self, stem: str) -> Path:
        return self.figs / f"{stem}.png"

    def numbers(self, stem: str) -> Path:
        return self.results / f"{stem}.json"

    def weights(self, job: Job) -> Path:
        """The weights of the best variants are for everyone, those of other runs stay with the checkpoints."""
        return self.models / f"{job.stem}.safetensors" if job.kept else self.runs / job.stem / "weights.safetensors"


@dataclass(frozen=True)
class Result:
    """A finished run, as the experiment's ``draw`` gets it."""

    job: Job
    data: TrainTest
    trainer: Trainer
    metrics: Mapping[str, Any]  # loss, accuracy and class_accuracy on the test set
    history: History  # with the records that numbers.compact leaves
    folders: Folders

    @property
    def config(self) -> Any:
        return self.job.config

    @property
    def histories(self) -> dict[str, History]:
        """For plot.curves: the history by backend, this run's and that of the same run in the other framework,
        if it is finished."""
        other = {name: numbers_of.history_of(numbers) for name, numbers in self._twin.items()}
        return dict(sorted({self.job.backend: self.history, **other}.items()))

    @property
    def class_accuracies(self) -> dict[str, list[float]]:
        """For plot.per_class: the accuracy on each class of the test set, by backend as in ``histories``."""
        other = {name: numbers["metrics"]["test_class_accuracy"] for name, numbers in self._twin.items()}
        found = dict(sorted({self.job.backend: self.metrics["class_accuracy"], **other}.items()))
        return {name: [np.nan if share is None else share for share in shares] for name, shares in found.items()}

    @cached_property
    def _twin(self) -> dict[str, dict[str, Any]]:
        """The numbers of the same run in the other framework, by its name; empty if it is not finished."""
        other = dataclasses.replace(self.job, backend="torch" if self.job.backend == "npnn" else "npnn")
        numbers = finished(other, self.folders)
        return {} if numbers is None else {other.backend: numbers}

    @property
    def watched(self) -> str:
        """The set that the records looked at, "validation" or "test": what plot.curves is to call it."""
        return "validation" if self.config.validation else "test"

    @property
    def model(self) -> Any:
        return self.trainer.model

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

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
    numbers = numbers_of.read(folders.numbers(job.stem))
    if numbers is None or not numbers["finished"]:
        return None
    try:
        return numbers if numbers_of.config_of(numbers) == job.config else None
    except UserError:  # it was run when the experiment was another
        return None


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
        npnn.io.save_file(arrays, path)
        trainer.model.load_state_dict(trainer.backend.state(read(path)[0]))
    metrics = start.test()
    numbers = numbers_of.measure(job, trainer, metrics)
    if keep:
        npnn.io.save_file(arrays, path, {"run": json.dumps(numbers_of.identity(job, metrics))})
        if job.kept:
            numbers["weights"] = {"dtype": job.kept, "bytes": path.stat().st_size}
    numbers_of.write(numbers, folders.runs / job.stem / "run.json")
    numbers_of.write(numbers, folders.numbers(job.stem))
    result = Result(job, start.data, trainer, metrics, numbers_of.history_of(numbers), folders)
    if keep:
        save_figure(job.experiment.draw(result), folders, job.stem)
    return result


def _stored(trainer: Trainer, dtype: str) -> dict[str, NDArray[Any]]:
    """The weights as a file shall hold them: halved are matrices and kernels, not biases and running means."""
    arrays = {name: trainer.backend.array(value) for name, value in trainer.model.state_dict().items()}
    return {name: a.astype(dtype) if a.ndim > 1 and a.dtype == np.float32 else a for name, a in arrays.items()}


def save_figure(figure: Any, folders: Folders, stem: str) -> Path:
    folders.figs.mkdir(parents=True, exist_ok=True)
    path = folders.figure(stem)
    npnn.plot.save(figure, path)
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
    metrics = {name.removeprefix("test_"): value for name, value in numbers["metrics"].items()}
    result = Result(job, start.data, start.trainer, metrics, numbers_of.history_of(numbers), folders)
    return save_figure(job.experiment.draw(result), folders, job.stem)


def evaluate(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures of a saved model on the test set, measured again by npnn, and those that were saved with it.

    Errors: CheckpointError for a damaged file; UserError for one that no experiment wrote.
    """
    weights, notes = read(path)
    if "run" not in notes:
        raise UserError(f"{path} does not say which experiment it belongs to: it was not written by a run")
    run = json.loads(notes["run"])
    try:
        job = dataclasses.replace(numbers_of.job_of(run), backend="npnn")
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    start = job.start(progress=False)
    start.trainer.model.load_state_dict(weights)
    return {f"test_{name}": value for name, value in start.test().items()}, run["metrics"]
