"""The training loop: batches in, a trained model and its history out, for npnn and torch models alike."""

from __future__ import annotations

import contextlib
import inspect
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.io import load_checkpoint
from npnn.train import evaluation
from npnn.train.backend import backend_of, mode
from npnn.train.batches import as_loader, total_steps
from npnn.train.callbacks import Callback, Checkpoint
from npnn.train.check import look
from npnn.train.divergence import diverged
from npnn.train.evaluation import Metric
from npnn.train.health import all_finite, copy_weights
from npnn.train.history import History
from npnn.train.interrupt import Interrupt
from npnn.train.metrics import accuracy, named_metrics
from npnn.train.parallel import Single, together, world
from npnn.train.parts import check_parts
from npnn.train.progress import Progress
from npnn.train.resume import restore, snapshot
from npnn.train.run import Run

__all__ = ["Trainer"]


class Trainer:
    """Trains, evaluates and applies ``model``, an npnn or a torch module.

    loss             called as ``loss(model(x), y)``: the mean over the batch
    optimizer        of the model's framework, as is ``scheduler``
    scheduler        stepped once per epoch, or per step with ``schedule_per="step"``; one that needs a
                     figure (ReduceLROnPlateau) gets the validation or else the train loss of each record
    metrics          functions of (outputs, targets), both arrays, in a sequence or a dict of names; or the names
                     of those in ``npnn.train``, as in metrics=["accuracy"]
    callbacks        see ``npnn.train.callbacks``
    clip_grad_norm   largest total norm of a step's gradient; the records then show the largest norm
                     there was before clipping, as ``grad_norm``.  inf measures without clipping.
    clip_grad_value  largest absolute value of an entry of the gradient
    progress         a bar in a terminal or notebook, plain lines elsewhere; False for silence
    watched          what progress calls the data that records look at: "test" if they are the test set
    keep_losses      the history holds the loss of every step; False, for runs of a million steps, forgets
                     those of each record once it is made
    check            look for mistakes before the first step (``npnn.train.check``), and print what is found to stderr
    parallel         the processes that ``fit`` is called in together, see ``npnn.train.parallel``; by
                     default those that mpiexec started

    Batches are pairs (inputs, targets) of arrays or tensors.  A loader is anything that yields them,
    anew each time it is iterated over: ``[(X, y)]`` is full-batch training.

    ``run`` tells callbacks where training stands (epoch, step, history) and lets them stop it.
    """

    def __init__(
        self,
        model: Any,
        loss: Callable[[Any, Any], Any],
        optimizer: Any,
        scheduler: Any = None,
        metrics: Sequence[Metric | str] | Mapping[str, Metric] | str = (accuracy,),
        callbacks: Sequence[Callback] = (),
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
        schedule_per: str = "epoch",
        progress: bool = True,
        keep_losses: bool = True,
        parallel: Single | None = None,
        watched: str = "validation",
        check: bool = False,
    ):
        for name, limit in (("clip_grad_norm", clip_grad_norm), ("clip_grad_value", clip_grad_value)):
            if limit is not None and not limit > 0:
                raise ValueError(f"{name} must be positive, got {limit}")
        if schedule_per not in ("epoch", "step"):
            raise ValueError(f"schedule_per must be 'epoch' or 'step', got {schedule_per!r}")
        if scheduler is None:
            schedule_per = "never"
        elif "metrics" in inspect.signature(scheduler.step).parameters:
            schedule_per = "record"
        self.backend = backend_of(model)
        check_parts(model, loss, optimizer, callbacks)
        self.model, self.loss, self.optimizer, self.scheduler = model, loss, optimizer, scheduler
        self.metrics = named_metrics(metrics)
        # Checkpoints come last, as they save what the other callbacks remember.
        self.callbacks = sorted(callbacks, key=lambda callback: isinstance(callback, Checkpoint))
        self.parallel = world() if parallel is None else parallel
        self._called = self.callbacks if self.parallel.rank == 0 else []
        self._step_hooks = [c.on_step_end for c in self._called if type(c).on_step_end is not Callback.on_step_end]
        self.clip_grad_norm, self.clip_grad_value = clip_grad_norm, clip_grad_value
        self._clips = clip_grad_norm is not None or clip_grad_value is not None
        self.schedule_per, self.keep_losses = schedule_per, keep_losses
        self.progress, self.watched, self.check = progress, watched, check
        self.run = Run()
        self.loader: Any = None  # the one that fit was given
        self._good_weights: dict[str, NDArray[Any]] = {}  # those of the last record

    @property
    def history(self) -> History:
        """The history of the latest fit, also after an error."""
        return self.run.history

    # ---- training

    @together
    def fit(
        self,
        train_loader: Iterable[Any],
        epochs: int | None = None,
        validation: Any = None,
        *,
        max_steps: int | None = None,
        evaluate_every: int | None = None,
        resume_from: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train for ``epochs`` passes over the loader or ``max_steps`` optimiser steps, whichever ends first.

        The history gets a record after every epoch, or after every ``evaluate_every`` steps, with the
        figures of ``validation``, a loader or a pair of arrays (X, y), if there is one.

        ``resume_from``, the path of a checkpoint, goes on with the run that was saved there;
        ``epochs`` and ``max_steps`` count from its beginning.  Weights, optimiser, schedule,
        generators and history end up bit for bit as if it had never stopped, even if it did so in
        the middle of an epoch: the batches that it had used are drawn again and passed over.

        Ctrl-C ends the run after the current step: the checkpoint is saved and the history so far
        returned, with ``interrupted`` set.  A second Ctrl-C raises KeyboardInterrupt at once.

        A Dataset or a pair of arrays (X, y) in place of a loader is shuffled and cut into batches of 32.

        Errors: TrainingDiverged if the loss, a clipped gradient or the weights become nan or
        infinite; ValueError for an empty loader or a batch that is no pair; ShapeError for inputs
        and targets of different length.
        """
        train_loader = as_loader(train_loader, epochs)
        if epochs is None and max_steps is None:
            raise ValueError("say how long to train: epochs=... or max_steps=...")
        for name, n in (("epochs", epochs), ("max_steps", max_steps), ("evaluate_every", evaluate_every)):
            if n is not None and n < 1:
                raise ValueError(f"{name} must be at least 1, got {n}")
        last_epoch, last_step = epochs or math.inf, max_steps or math.inf
        self.run, self.loader = Run(), train_loader
        if resume_from is not None:
            restore(self, self.parallel.first(load_checkpoint, resume_from))
        elif self.check and self.parallel.rank == 0:
            look(self, train_loader)
        run, share = self.run, self.parallel.begin(self, train_loader)
        self._good_weights = copy_weights(self.model, self.backend)

        def is_over() -> bool:
            return run.should_stop or run.step >= last_step or run.epoch >= last_epoch

        def ends() -> bool:
            run.should_stop, interrupted = self.parallel.any(run.should_stop, interrupt.requested)
            return interrupted or is_over()

        show = self.progress and self.parallel.rank == 0
        progress = Progress(total_steps(train_loader, last_epoch, last_step), run.step, show, self.watched)
        quiet = np.errstate(over="ignore", invalid="ignore")  # we look at the loss ourselves
        stream = self.backend.stream(alone=self.parallel.size == 1)
        with mode(self.model, True), stream, contextlib.closing(progress), quiet, Interrupt() as interrupt:
            for callback in self._called:
                callback.on_train_begin(self)
            while not ends():
                for x, y in self.parallel.batches(share, run, self.backend):
                    progress.step(self._step(x, y), run.lr)
                    if evaluate_every and run.step % evaluate_every == 0:
                        self._record(validation, progress)
                    if ends():
                        break
                else:
                    self._end_epoch()
                    if not evaluate_every:
                        self._record(validation, progress)
            run.history.interrupted = not is_over()
            if run.sizes and is_over():  # a last, shorter stretch
                self._record(validation, progress)
            for callback in self._called:
                callback.on_train_end(self)
            self.parallel.end(self)
        return run.history

    def _step(self, x: Any, y: Any) -> float:
        """One optimiser step.  The loss is looked at first, so a bad one changes no weight."""
        run = self.run
        with self.parallel.own_generator(run):
            output = self.model(x)
            loss = self.loss(output, y)
        weight = self.parallel.weight(self.loss, y, self.backend)
        value, rows = self.parallel.mean(loss.item(), len(y), weight)
        if not math.isfinite(value):
            raise diverged(self, f"the loss became {value}", x)
        self.optimizer.zero_grad()
        self.parallel.backward(loss)
        if self._clips:
            self._clip(x)
        self.optimizer.step()
        run.lr = self.optimizer.param_groups[0]["lr"]
        if self.schedule_per == "step":
            self.scheduler.step()
        run.step += 1
        run.batch += 1
        run.sizes.append(rows)
        run.history.step_losses.append(value)
        if self.metrics:
            outputs, targets = self.parallel.rows(self.backend.array(output), self.backend.array(y))
            run.outputs.append(outputs)
            run.targets.append(targets)
        for hook in self._step_hooks:
            hook(self)
        return value

    def _clip(self, x: Any) -> None:
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        if self.clip_grad_norm is not None:
            try:
                norm = self.backend.clip_grad_norm(parameters, self.clip_grad_norm)
            except RuntimeError:
                raise diverged(self, "the gradient became nan or infinite", x) from None
            self.run.grad_norm = max(self.run.grad_norm, norm)
        if self.clip_grad_value is not None:
            self.backend.clip_grad_value(parameters, self.clip_grad_value)

    def _end_epoch(self) -> None:
        if not self.run.batch:
            raise ValueError(
                "the train loader yields no batches: it is empty, "
                "or an iterator that is used up (fit iterates over it once per epoch)"
            )
        self.run.epoch += 1
        self.run.batch = 0
        if self.schedule_per == "epoch":
            self.scheduler.step()

    def _record(self, validation: Any, progress: Progress) -> None:
        """Add to the history what the steps since the last record amount to."""
        run = self.run
        run.stop_clock()
        weights = copy_weights(self.model, self.backend)
        if self.parallel.any(not all_finite(weights.values()))[0]:
            raise diverged(self, "weights became nan or infinite", None)
        self._good_weights = weights
        self.parallel.check_weights(self.model, self.backend)
        record = self.parallel.first(self._new_record, validation)
        if record is None:
            raise diverged(self, "the outputs became nan or infinite", None)
        run.history.append(record)
        if self.schedule_per == "record":
            self.scheduler.step(record.get("validation_loss", record["train_loss"]))
        run.begin_record()
        if not self.keep_losses:
            del run.history.step_losses[:]
        progress.record(run.history.records[-1])
        for callback in self._called:
            callback.on_record(self, run.history.records[-1])

    def _new_record(self, validation: Any) -> dict[str, Any] | None:
        """The figures of these steps, and those of the validation data; None if there are none, as outputs are nan."""
        run = self.run
        record: dict[str, Any] = {"epoch": run.epoch + (run.batch > 0), "step": run.step}
        losses = run.history.step_losses[-len(run.sizes) :]
        try:
            figures = evaluation.figures(losses, run.sizes, run.outputs.array, run.targets.array, self.metrics)
            watched = {} if validation is None else self.evaluate(validation)
        except evaluation.NotFinite:
            return None
        record |= {f"train_{name}": value for name, value in figures.items()}
        record |= {f"validation_{name}": value for name, value in watched.items()}
        if self.clip_grad_norm is not None:
            record["grad_norm"] = run.grad_norm
        return record | {"lr": run.lr, "seconds": run.seconds}

    # ---- evaluation

    def evaluate(self, data: Any, batch_size: int = 256) -> dict[str, Any]:
        """The loss and the metrics on ``data``, a loader or a pair of arrays (X, y) taken ``batch_size`` at a time.

        The loss is the mean over all examples.  Nothing is recorded for backward, and layers like
        dropout are in evaluation mode.  Errors: ValueError if there are no examples.
        """
        return evaluation.evaluate(self.model, self.loss, self.metrics, self.backend, data, batch_size)

    def predict(self, data: Any, batch_size: int = 256) -> NDArray[Any]:
        """The model's outputs for an array of inputs, or for a loader's (whose targets, if any, are ignored)."""
        return evaluation.predict(self.model, self.backend, data, batch_size)

    # ---- saving

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser, schedule, callbacks, generators, position and history, for ``save_checkpoint``."""
        return snapshot(self)
