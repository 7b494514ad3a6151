"""A run that is cut off and taken up again, and the comparison with one that is not."""

from __future__ import annotations

import signal

import numpy as np

from npnn.data.dataset import TensorDataset
from npnn.data.loader import DataLoader
from npnn.io import load_checkpoint
from npnn.train import Callback, Checkpoint, EarlyStopping, Trainer
from tests.train.common import assert_same_weights, build, data, framework, seed

OPTIMIZERS = {
    "SGD": lambda o, p: o.SGD(p, lr=0.1, weight_decay=1e-3),
    "SGD nesterov": lambda o, p: o.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "Momentum": lambda o, p: o.Momentum(p, lr=0.1),
    "Rprop": lambda o, p: o.Rprop(p, lr=0.01),
    "ASGD": lambda o, p: o.ASGD(p, lr=0.05, t0=5),
    "Adam": lambda o, p: o.Adam(p, lr=0.01),
    "Adam amsgrad": lambda o, p: o.Adam(p, lr=0.01, amsgrad=True),
    "AdamW": lambda o, p: o.AdamW(p, lr=0.01),
    "RMSprop": lambda o, p: o.RMSprop(p, lr=0.01),
    "RMSprop centered": lambda o, p: o.RMSprop(p, lr=0.01, centered=True, momentum=0.9),
    "Adagrad": lambda o, p: o.Adagrad(p, lr=0.1, lr_decay=0.01),
    "NAdam": lambda o, p: o.NAdam(p, lr=0.01),
    "RAdam": lambda o, p: o.RAdam(p, lr=0.01),
    "Adamax": lambda o, p: o.Adamax(p, lr=0.01),
    "Adadelta": lambda o, p: o.Adadelta(p),
    "Adafactor": lambda o, p: o.Adafactor(p),
}

SCHEDULES = {
    "StepLR": lambda s, o: s.StepLR(o, 2, 0.1),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [1, 3], 0.5),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.5, 3),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.1, 1.0, 3),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 5, 2.0),
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda t: 1 / (1 + t)),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 5, 0.001),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, 2),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=20),
    "ReduceLROnPlateau": lambda s, o: s.ReduceLROnPlateau(o, patience=0, threshold=0.5),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler([s.LinearLR(o, 0.1, 1.0, 3), s.ExponentialLR(o, 0.9)]),
    "SequentialLR": lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 2), s.CosineAnnealingLR(o, 3)], [2]),
}


class Stop(Callback):
    """Interrupts the run after a step, as Ctrl-C would; twice, which ends it at once, if ``hard``."""

    def __init__(self, step, hard=False):
        self.step, self.hard = step, hard

    def on_step_end(self, trainer):
        if trainer.run.step == self.step:
            for _ in range(1 + self.hard):
                signal.raise_signal(signal.SIGINT)


def jitter(x, generator):
    return x + generator.randn(*x.shape, dtype=x.dtype)


def loader(**options):
    """Shuffled, augmented batches, three an epoch."""
    X, y = data()
    return DataLoader(TensorDataset(X, y), batch_size=16, shuffle=True, **{"transform": jitter, **options})


def run(
    folder,
    name="npnn",
    stop=None,
    hard=False,
    resume=False,
    make="Adam",
    schedule=None,
    model=None,
    batches=loader,
    validation=None,
    interruption=Stop,
    schedule_per="epoch",
    keep_losses=True,
    **length,
):
    """One process's part of a run of four epochs: dropout, augmented batches, early stopping, checkpoints."""
    seed(1 if not resume else 77)  # a new process starts from another state
    layers, optimizers = framework(name)
    model = build(layers, dropout=0.3) if model is None else model()
    optimizer = OPTIMIZERS[make](optimizers, model.parameters())
    checkpoint = Checkpoint(folder)
    driven = Trainer(
        model,
        layers.CrossEntropyLoss(),
        optimizer,
        None if schedule is None else SCHEDULES[schedule](optimizers.lr_scheduler, optimizer),
        callbacks=[checkpoint, EarlyStopping(patience=3), interruption(stop, hard)],
        clip_grad_norm=0.5,
        schedule_per=schedule_per,
        progress=False,
        keep_losses=keep_losses,
    )
    history = driven.fit(
        batches(),
        validation=data(30, seed=5) if validation is None else validation,
        resume_from=checkpoint.last if resume else None,
        **(length or {"epochs": 4}),
    )
    return driven, history


def assert_same_state(a, b, path="state"):
    """Equal in every bit, except for the times taken."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a.keys() - {"seconds"}:
            assert_same_state(a[key], b[key], f"{path}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same_state(x, y, f"{path}.{i}")
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, path
        np.testing.assert_array_equal(a, b, err_msg=path)
    else:
        assert a == b or (a != a and b != b), (path, a, b)


def assert_same_checkpoints(one, other):
    for file in ("last.safetensors", "best.safetensors"):
        ours, theirs = load_checkpoint(one / file), load_checkpoint(other / file)
        for state in (ours, theirs):  # only one of two processes may have imported torch
            state["generators"].pop("torch", None)
            state["run"]["epoch_generators"].pop("torch", None)
        assert_same_state(ours, theirs)


def assert_resumed_equals_unbroken(tmp_path, *stops, **options):
    whole, history = run(tmp_path / "whole", **options)
    for stop in stops:
        part = tmp_path / f"stopped after {stop}"
        _, first = run(part, stop=stop, **options)
        assert first.interrupted
        assert load_checkpoint(part / "last.safetensors")["run"]["step"] == stop
        resumed, second = run(part, resume=True, **options)
        assert not second.interrupted
        assert_same_weights(resumed.model, whole.model)
        assert list(second.step_losses) == list(history.step_losses)
        assert len(second) == len(history)
        assert_same_checkpoints(part, tmp_path / "whole")
