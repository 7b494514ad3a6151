"""One run as the command line describes it, and what is needed to begin it: model, optimiser, data."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from npnn.data import DataLoader, Dataset, TrainTest, random_split
from npnn.experiment.config import RunConfig, UserError, flag
from npnn.experiment.peer import framework
from npnn.experiment.registry import Experiment
from npnn.generator import Generator
from npnn.train import Callback, EarlyStopping, History, Trainer, accuracy, class_accuracy
from npnn.train.parallel import world

__all__ = ["Job", "Start"]

ACCURACY = "validation_accuracy"


@dataclass(frozen=True)
class Job:
    """A variant of an experiment, as it is or with some settings changed, on one of the two frameworks."""

    experiment: Experiment
    variant: str
    config: RunConfig
    backend: str = "npnn"
    stop_after: int | None = None  # epochs: the run ends there, with the schedule of all that are planned

    @property
    def changes(self) -> dict[str, Any]:
        """The settings in which the config differs from the variant's."""
        usual = dataclasses.asdict(self.experiment.VARIANTS[self.variant])
        return {k: v for k, v in dataclasses.asdict(self.config).items() if v != usual[k] and v is not None}

    @property
    def stem(self) -> str:
        """The name of this run's files.  Whatever differs from the variant is part of it: no run hides another.

        A change is written with signs that no variant's name has: moons+lr=0.1 is not the variant moons-lr0.1.
        """
        changes = self.changes
        seed = [f"-seed{changes.pop('seed')}"] if "seed" in changes else []
        changes |= {} if self.stop_after is None else {"stop_after": self.stop_after}
        changed = [f"+{name}={value}" for name, value in changes.items()]
        torch = ["-torch"] * (self.backend == "torch")
        return "".join([f"{self.experiment.name}-{self.variant}", *changed, *seed, *torch])

    @property
    def command(self) -> str:
        """What to type for this run."""
        words = [f"{self.experiment.program} run", self.experiment.address, "--variant", self.variant]
        for name, value in self.changes.items():
            words.append(flag(f"no_{name}" if value is False else name))
            words += [] if isinstance(value, bool) else [str(value)]
        words += [] if self.stop_after is None else ["--stop-after", str(self.stop_after)]
        return " ".join(words + ["--backend torch"] * (self.backend == "torch"))

    @property
    def in_table(self) -> bool:
        """True for a variant as it is, whatever the seed and the framework: its numbers are in the table of results.

        The first epochs are enough of torch, which stands beside.  What was written outside the folder of the
        experiments is in no table.
        """
        whole = self.stop_after is None or self.backend == "torch"
        return self.experiment.file is None and whole and self.changes.keys() <= {"seed"}

    @property
    def heads_row(self) -> bool:
        """True for npnn's run of the variant's own seed: the one whose figure the table of results shows."""
        return self.in_table and self.backend == "npnn" and not self.changes

    @property
    def kept(self) -> str | None:
        """The dtype in which the weights are kept for everyone to use; None if only this run's own folder has them."""
        return self.experiment.BEST.get(self.variant) if self.heads_row else None

    def start(
        self,
        callbacks: tuple[Callback, ...] = (),
        progress: bool = True,
        keep_losses: bool = True,
        double: bool = False,
    ) -> Start:
        """Everything as it is before the first step; with ``double`` all is drawn and computed in float64.

        Nothing is copied between the frameworks: from one seed both draw the same initial weights, the same
        batches and the same dropout masks, so that runs of the two differ by rounding only.
        Errors: UserError for settings that the data, the model or the optimiser refuse.
        """
        config = self.config
        framework("npnn").manual_seed(config.seed)
        try:
            data = self.experiment.data(config)
            backend = framework(self.backend)
            if self.backend == "torch":
                backend.manual_seed(config.seed)
                if world().size > 1:
                    backend.set_num_threads(framework("npnn").get_num_threads())
            if double:
                data = _in_float64(data)
            with _default_dtype(backend, double):
                model = self.experiment.build(backend.nn, config)
            optimizer = self.experiment.optimizer(backend.optim, model, config)
            loss = self.experiment.loss(backend.nn, config)
            train, watched = _held_out(data, config.validation)
            loader = DataLoader(train, config.batch_size, shuffle=True, transform=self.experiment.transform(config))
            schedule = self.experiment.schedule(backend.optim.lr_scheduler, optimizer, config, len(loader))
        except ValueError as error:
            raise UserError(f"{self.stem}: {error}") from error
        scheduler, per = schedule or (None, "epoch")
        stopping = () if config.patience is None else (EarlyStopping(ACCURACY, config.patience, mode="max"),)
        ending = () if self.stop_after is None else (_StopAfter(self.stop_after),)
        trainer = Trainer(
            model,
            loss,
            optimizer,
            scheduler,
            callbacks=(*stopping, *ending, *self.experiment.callbacks(config), *callbacks),
            clip_grad_norm=config.clip_grad_norm,
            schedule_per=per,
            progress=progress,
            keep_losses=keep_losses,
            watched=config.watched,
            check=progress,
        )
        return Start(data, loader, watched, trainer)


class _StopAfter(Callback):
    """Ends a run after some of its epochs."""

    def __init__(self, epochs: int):
        self.epochs = epochs

    def on_record(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        if trainer.run.epoch >= self.epochs:
            trainer.run.should_stop = True


@contextlib.contextmanager
def _default_dtype(backend: Any, double: bool) -> Iterator[None]:
    """Inside the block new layers are float64, if ``double``."""
    before = backend.get_default_dtype()
    backend.set_default_dtype(backend.float64 if double else before)
    try:
        yield
    finally:
        backend.set_default_dtype(before)


def _in_float64(data: TrainTest) -> TrainTest:
    """Indices of words or characters stay whole numbers."""
    parts = {"train_x": data.train_x, "test_x": data.test_x}
    floats: dict[str, Any] = {name: x.astype(np.float64) for name, x in parts.items() if x.dtype.kind == "f"}
    return dataclasses.replace(data, **floats)


def _held_out(data: TrainTest, count: int) -> tuple[Dataset, tuple[Any, Any]]:
    """What to train on, and the pair of arrays that the records look at: the test set, if nothing is held out.

    The division is the same whatever the seed of the run, so that seeds can be compared.
    """
    if not count:
        return data.train, (data.test_x, data.test_y)
    n = len(data.train)
    if count >= n:
        raise UserError(f"--validation {count} leaves nothing of the {n} examples to train on")
    train, validation = random_split(data.train, [n - count, count], Generator().manual_seed(0))
    return train, (data.train_x[validation.indices], data.train_y[validation.indices])


@dataclass(frozen=True)
class Start:
    data: TrainTest
    loader: DataLoader
    watched: tuple[Any, Any]  # what the records look at: the validation or the test set
    trainer: Trainer

    def fit(self, config: RunConfig, resume_from: Any = None) -> History:
        """Train for as long as the config says, with a look at the validation or else the test set at each record."""
        return self.trainer.fit(
            self.loader,
            config.epochs,
            self.watched,
            max_steps=config.steps,
            evaluate_every=config.evaluate_every,
            resume_from=resume_from,
        )

    def test(self) -> dict[str, Any]:
        """Loss, accuracy, and accuracy by class (None for a class without examples) on the test set."""
        examiner = Trainer(
            self.trainer.model, self.trainer.loss, self.trainer.optimizer, metrics=(accuracy, class_accuracy)
        )
        found = examiner.evaluate((self.data.test_x, self.data.test_y))
        by_class = [None if np.isnan(share) else float(share) for share in found["class_accuracy"]]
        return {**found, "class_accuracy": by_class}
