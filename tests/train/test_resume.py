"""A run that is cut off and taken up again ends bit for bit where the unbroken one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import npnn
from npnn import nn, optim
from npnn.data.dataset import TensorDataset
from npnn.data.loader import DataLoader
from npnn.io import load_checkpoint
from npnn.train import Callback, Checkpoint, EarlyStopping, Trainer
from tests.parity import requires_torch, torch
from tests.train.common import FRAMEWORKS, assert_same_weights, batches, build, data, framework, seed, trainer

OPTIMIZERS = {
    "SGD": lambda o, p: o.SGD(p, lr=0.1, weight_decay=1e-3),
    "SGD momentum": lambda o, p: o.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda o, p: o.Adam(p, lr=0.01),
    "Adam amsgrad": lambda o, p: o.Adam(p, lr=0.01, amsgrad=True),
    "AdamW": lambda o, p: o.AdamW(p, lr=0.01),
    "RMSprop": lambda o, p: o.RMSprop(p, lr=0.01, centered=True, momentum=0.9),
    "Adagrad": lambda o, p: o.Adagrad(p, lr=0.1),
    "NAdam": lambda o, p: o.NAdam(p, lr=0.01),
    "RAdam": lambda o, p: o.RAdam(p, lr=0.01),
    "Adamax": lambda o, p: o.Adamax(p, lr=0.01),
    "Adadelta": lambda o, p: o.Adadelta(p),
}


class Stop(Callback):
    """Interrupts the run after a step, as Ctrl-C would; twice, which ends it at once, if ``hard``."""

    def __init__(self, step, hard=False):
        self.step, self.hard = step, hard

    def on_step_end(self, trainer):
        if trainer.run.step == self.step:
            for _ in range(1 + self.hard):
                signal.raise_signal(signal.SIGINT)


def loader(**options):
    X, y = data()
    return DataLoader(TensorDataset(X, y), batch_size=16, shuffle=True, **options)


def run(
    folder,
    name="npnn",
    stop=None,
    hard=False,
    resume=False,
    make=OPTIMIZERS["Adam"],
    batches=None,
    schedule=None,
    keep_losses=True,
    **length,
):
    """One process's part of a run of four epochs: dropout, shuffled batches, early stopping, checkpoints."""
    seed(1 if not resume else 77)  # a new process starts from another state
    layers, optimizers = framework(name)
    model = build(layers, dropout=0.3)
    optimizer = make(optimizers, model.parameters())
    checkpoint = Checkpoint(folder)
    driven = Trainer(
        model,
        layers.CrossEntropyLoss(),
        optimizer,
        None if schedule is None else schedule(optimizers, optimizer),
        callbacks=[checkpoint, EarlyStopping(patience=3), Stop(stop, hard)],
        clip_grad_norm=0.5,
        progress=False,
        keep_losses=keep_losses,
    )
    history = driven.fit(
        loader() if batches is None else batches(),
        validation=data(30, seed=5),
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
        for file in ("last.safetensors", "best.safetensors"):
            assert_same_state(load_checkpoint(part / file), load_checkpoint(tmp_path / "whole" / file))


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_after_any_epoch_with_every_optimizer(make, tmp_path):
    assert_resumed_equals_unbroken(tmp_path, 3, 6, 9, make=make)


@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.parametrize("length", [{"epochs": 4}, {"max_steps": 11, "evaluate_every": 4}])
def test_a_run_that_was_killed_goes_on_from_its_last_record(name, length, tmp_path):
    whole, _ = run(tmp_path / "whole", name, **length)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "part", name, stop=8, hard=True, **length)
    again, _ = run(tmp_path / "part", name, resume=True, **length)
    assert_same_weights(again.model, whole.model)
    assert_same_state(*(load_checkpoint(tmp_path / folder / "last.safetensors") for folder in ("part", "whole")))


@pytest.mark.parametrize("length", [{"epochs": 4}, {"max_steps": 11, "evaluate_every": 4}])
def test_the_losses_of_past_records_need_not_be_kept(length, tmp_path):
    assert_resumed_equals_unbroken(tmp_path, 2, 5, 9, keep_losses=False, **length)
    _, forgetful = run(tmp_path / "forgetful", keep_losses=False, **length)
    _, complete = run(tmp_path / "complete", **length)
    assert forgetful["train_loss"] == complete["train_loss"]
    assert (len(forgetful.step_losses), len(complete.step_losses)) == (0, complete["step"][-1])


@requires_torch
@pytest.mark.parametrize("make", [OPTIMIZERS["SGD momentum"], OPTIMIZERS["Adam"]], ids=["SGD", "Adam"])
def test_a_torch_model_too(make, tmp_path):
    assert_resumed_equals_unbroken(tmp_path, 3, 5, name="torch", make=make)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_in_the_middle_of_an_epoch(name, tmp_path):
    assert_resumed_equals_unbroken(tmp_path, 1, 5, 8, name=name)


SCHEDULES = {
    "StepLR": lambda o, p: o.lr_scheduler.StepLR(p, 2, 0.1),
    "MultiStepLR": lambda o, p: o.lr_scheduler.MultiStepLR(p, [1, 3], 0.5),
    "OneCycleLR": lambda o, p: o.lr_scheduler.OneCycleLR(p, 0.1, total_steps=20),
    "ReduceLROnPlateau": lambda o, p: o.lr_scheduler.ReduceLROnPlateau(p, patience=0, threshold=0.5),
}


@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_with_a_schedule(schedule, name, tmp_path):
    assert_resumed_equals_unbroken(tmp_path, 4, 6, schedule=schedule, name=name)


def test_counted_in_steps(tmp_path):
    assert_resumed_equals_unbroken(tmp_path, 2, 5, 7, max_steps=10, evaluate_every=2)


@pytest.mark.parametrize("kind", ["own generator", "prefetch", "augmentation", "a list"])
def test_with_any_loader(kind, tmp_path):
    def jitter(x, generator):
        return x + generator.standard_normal(x.shape).astype(x.dtype)

    make = {
        "own generator": lambda: loader(generator=np.random.Generator(np.random.PCG64(3))),
        "prefetch": lambda: loader(prefetch=2),
        "augmentation": lambda: loader(transform=jitter, prefetch=1),
        "a list": batches,
    }[kind]
    assert_resumed_equals_unbroken(tmp_path, 3, 5, batches=make)


@requires_torch
@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.parametrize("own", [False, True])
def test_with_the_loader_of_torch(name, own, tmp_path):
    def make():
        X, y = (torch.from_numpy(a) for a in data())
        generator = torch.Generator().manual_seed(3) if own else None
        rows = torch.utils.data.TensorDataset(X, y)
        return torch.utils.data.DataLoader(rows, batch_size=16, shuffle=True, generator=generator)

    assert_resumed_equals_unbroken(tmp_path, 3, 5, name=name, batches=make)


def test_in_a_new_process(tmp_path):
    code = "import sys; from tests.train import test_resume as t; t.run(sys.argv[1], resume=True)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    run(tmp_path / "whole")
    run(tmp_path / "part", stop=5)
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "part")], check=True, cwd=root, env=environment)
    for file in ("last.safetensors", "best.safetensors"):
        ours, theirs = (load_checkpoint(tmp_path / folder / file) for folder in ("part", "whole"))
        for state in (ours, theirs):
            state["generators"].pop("torch", None)  # the other process did not import torch
            state["run"]["epoch_generators"].pop("torch", None)
        assert_same_state(ours, theirs)


def test_a_run_may_go_on_beyond_its_end(tmp_path):
    run(tmp_path, epochs=2)
    longer, history = run(tmp_path, resume=True, epochs=3)
    whole, expected = run(tmp_path / "whole", epochs=3)
    assert history["train_loss"] == expected["train_loss"]
    assert longer.run.step == whole.run.step == 9


def test_a_finished_run_is_left_as_it_is(tmp_path):
    whole, history = run(tmp_path)
    again, same = run(tmp_path, resume=True)
    assert_same_weights(again.model, whole.model)
    assert same.to_dict() == history.to_dict()


def test_early_stopping_is_not_forgotten(tmp_path):
    def stopping(resume):
        driven = trainer(callbacks=[EarlyStopping(patience=1, min_delta=100.0), Checkpoint(tmp_path)])
        driven.fit(batches(), 9, data(), resume_from=tmp_path / "last.safetensors" if resume else None)
        return driven

    stopped, again = stopping(resume=False), stopping(resume=True)
    assert stopped.history["step"] == again.history["step"] == [3, 6]
    assert_same_weights(stopped.model, again.model)


def test_what_does_not_fit_the_checkpoint_is_refused(tmp_path):
    driven = trainer(callbacks=[Checkpoint(tmp_path, None)])
    driven.fit(batches(), epochs=1)
    last = tmp_path / "last.safetensors"
    with pytest.raises(ValueError, match=r"had the callbacks \['Checkpoint'\], this trainer has \[\]"):
        trainer().fit(batches(), epochs=2, resume_from=last)
    model = build(nn)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    loss = nn.CrossEntropyLoss()

    class Schedule:
        def step(self):
            pass

    with pytest.raises(ValueError, match="had no scheduler, this trainer has one"):
        Trainer(model, loss, optimizer, Schedule(), callbacks=[Checkpoint(tmp_path, None)], progress=False).fit(
            batches(), epochs=2, resume_from=last
        )
    other = nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="missing keys: weight, bias"):
        trainer(model=other, callbacks=[Checkpoint(tmp_path, None)]).fit(batches(), epochs=2, resume_from=last)


def test_a_loader_that_is_shorter_than_the_epoch_already_done(tmp_path):
    trainer(callbacks=[Checkpoint(tmp_path, None), Stop(2)]).fit(batches(), epochs=1)
    again = trainer(callbacks=[Checkpoint(tmp_path, None), Stop(None)])
    with pytest.raises(ValueError, match="had used 2 batches of its epoch, this loader has only 1"):
        again.fit([data()], epochs=1, resume_from=tmp_path / "last.safetensors")


def test_resuming_leaves_the_generator_where_the_unbroken_run_leaves_it(tmp_path):
    run(tmp_path / "whole")
    expected = npnn.get_rng_state()
    run(tmp_path / "part", stop=5)
    run(tmp_path / "part", resume=True)
    assert npnn.get_rng_state() == expected
