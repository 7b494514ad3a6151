"""What a run leaves behind: a figure, the weights, and a JSON file that says how they came about."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import npnn
from experiments.harness.config import UserError
from experiments.harness.job import Job
from experiments.harness.registry import experiment, names
from npnn.data import TrainTest
from npnn.io.atomic import atomic_write
from npnn.io.weights import read
from npnn.train import History, Trainer

__all__ = ["Folders", "Result", "evaluate", "save", "save_figure", "save_numbers"]


class Folders(NamedTuple):
    """Where results go, and where unfinished runs wait to be resumed."""

    figs: Path = Path("figs")
    models: Path = Path("best_models")
    runs: Path = Path("runs")

    @property
    def options(self) -> str:
        """What to add to a command for folders other than these."""
        usual = Folders()
        return "".join(f" --{k} {v}" for k, v in self._asdict().items() if v != getattr(usual, k))


@dataclass(frozen=True)
class Result:
    """A finished run, as the experiment's ``draw`` gets it."""

    job: Job
    data: TrainTest
    trainer: Trainer
    metrics: dict[str, float]  # loss and accuracy on the test set

    @property
    def config(self) -> Any:
        return self.job.config

    @property
    def history(self) -> History:
        return self.trainer.history

    @property
    def histories(self) -> dict[str, History]:
        """For plot.curves: the history by backend, and that of the other one where the same run of it is at hand."""
        return {self.job.backend: self.history}

    @property
    def watched(self) -> str:
        """For plot.curves: the set that the records looked at, "validation" or "test"."""
        return "validation" if self.config.validation else "test"

    @property
    def model(self) -> Any:
        return self.trainer.model

    @property
    def seconds(self) -> float:
        """Of the training steps, without evaluation, in all processes that took part."""
        return sum(self.history["seconds"])

    @property
    def length(self) -> str:
        config = self.config
        return f"{config.steps:,} steps" if config.steps else f"{config.epochs:,} epochs"

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    def figure(self, folders: Folders) -> Path:
        return folders.figs / f"{self.job.stem}.png"

    def weights(self, folders: Folders) -> Path:
        return folders.models / f"{self.job.stem}.safetensors"

    def predict(self, x: Any, part: Any = None) -> Any:
        """The outputs (array) of the model, or of a part such as ``model[:2]``, for an array of inputs."""
        if part is None:
            return self.trainer.predict(x)
        return Trainer(part, self.trainer.loss, self.trainer.optimizer).predict(x)

    def identity(self) -> dict[str, Any]:
        """What was run and what came out: the same for every run of the same command."""
        return {
            "experiment": self.job.experiment.name,
            "variant": self.job.variant,
            "backend": self.job.backend,
            "command": self.job.command,
            "config": dataclasses.asdict(self.config),
            "metrics": {f"test_{name}": value for name, value in self.metrics.items()},
        }

    def circumstances(self) -> dict[str, Any]:
        """Where and how fast it ran, and every step of the way."""
        packages = ["numpy", "numba", "scipy", "scikit-learn", *(["torch"] if self.job.backend == "torch" else [])]
        return {
            "seed": self.config.seed,
            "parameters": self.parameters,
            "seconds": round(self.seconds, 3),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, "
            f"{npnn.get_num_threads()} threads used",
            "versions": {
                "python": platform.python_version(),
                "npnn": npnn.__version__,
                **{package: _version(package) for package in packages},
            },
            "history": self.history.to_dict(),
        }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def save(result: Result, folders: Folders) -> None:
    """Write the figure, the weights and, last of all, the numbers."""
    save_figure(result.job.experiment.draw(result), folders, result.job.stem)
    folders.models.mkdir(parents=True, exist_ok=True)
    npnn.io.save_file(result.model.state_dict(), result.weights(folders), {"run": json.dumps(result.identity())})
    save_numbers(result, folders)


def save_numbers(result: Result, folders: Folders, seeds: Mapping[str, Any] | None = None) -> None:
    """Write the JSON file; ``seeds`` are the figures of the same run with several seeds."""
    numbers = {**result.identity(), **({"seeds": seeds} if seeds else {}), **result.circumstances()}
    with atomic_write(result.weights(folders).with_suffix(".json")) as file:
        file.write(json.dumps(numbers, indent=1).encode() + b"\n")


def save_figure(figure: Any, folders: Folders, stem: str) -> Path:
    folders.figs.mkdir(parents=True, exist_ok=True)
    path = folders.figs / f"{stem}.png"
    npnn.plot.save(figure, path)
    return path


def evaluate(path: Path) -> tuple[dict[str, float], dict[str, float]]:
    """The figures of a saved model on the test set, measured again by npnn, and those that were saved with it.

    Errors: CheckpointError for a damaged file; UserError for one that no experiment wrote.
    """
    weights, notes = read(path)
    if "run" not in notes:
        raise UserError(f"{path} does not say which experiment it belongs to: it was not written by a run")
    run = json.loads(notes["run"])
    if run["experiment"] not in names():
        raise UserError(f"{path} belongs to the experiment {run['experiment']!r}, which is not here")
    found = experiment(run["experiment"])
    start = Job(found, run["variant"], found.Config(**run["config"])).start(progress=False)
    start.trainer.model.load_state_dict(weights)
    return {f"test_{name}": value for name, value in start.test().items()}, run["metrics"]
