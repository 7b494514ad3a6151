"""A run that is cut off and taken up again ends bit for bit where the unbroken one does."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from npnn import nn, optim
from npnn.data import transforms
from npnn.data.dataset import TensorDataset
from npnn.data.loader import DataLoader
from npnn.io import save_checkpoint
from npnn.train import Checkpoint, EarlyStopping, Trainer
from tests.parity import requires_torch, torch
from tests.train.common import FRAMEWORKS, assert_same_weights, batches, build, data, trainer
from tests.train.resuming import (
    OPTIMIZERS,
    SCHEDULES,
    Stop,
    assert_resumed_equals_unbroken,
    assert_same_checkpoints,
    loader,
    run,
)

# ---- every optimiser, every schedule


def test_the_tables_have_every_optimizer_and_every_schedule():
    is_class = [name for name in optim.__all__ if isinstance(getattr(optim, name), type) and name != "Optimizer"]
    assert {name.split()[0] for name in OPTIMIZERS} == set(is_class) - {"LBFGS", "Muon"}, "a closure; no vectors"
    assert set(SCHEDULES) == set(optim.lr_scheduler.__all__) - {"LRScheduler", "CyclicLR", "MultiplicativeLR"}


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_after_any_epoch_with_every_optimizer(make, tmp_path):
    assert_resumed_equals_unbroken(tmp_path, 3, 6, 9, make=make)


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_within_an_epoch_with_every_optimizer(make, tmp_path):
    assert_resumed_equals_unbroken(tmp_path, 4, make=make)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_with_every_schedule(schedule, tmp_path):
    assert_resumed_equals_unbroken(tmp_path, 3, 4, 6, 9, schedule=schedule)


@pytest.mark.parametrize("schedule", sorted(SCHEDULES.keys() - {"ReduceLROnPlateau"}))
def test_with_every_schedule_stepped_with_the_optimizer(schedule, tmp_path):
    assert_resumed_equals_unbroken(tmp_path, 5, make="SGD nesterov", schedule=schedule, schedule_per="step")


@requires_torch
@pytest.mark.parametrize("make", ["SGD nesterov", "Adam"])
def test_a_torch_model_too(make, tmp_path):
    assert_resumed_equals_unbroken(tmp_path, 3, 5, name="torch", make=make)


@requires_torch
@pytest.mark.parametrize("schedule", ["StepLR", "MultiStepLR", "OneCycleLR", "ReduceLROnPlateau"])
def test_a_torch_schedule_too(schedule, tmp_path):
    assert_resumed_equals_unbroken(tmp_path, 4, 6, name="torch", schedule=schedule)


# ---- at any moment


def test_after_any_step(tmp_path):
    assert_resumed_equals_unbroken(tmp_path, *range(1, 12))


@requires_torch
def test_in_the_middle_of_an_epoch_with_torch(tmp_path):
    assert_resumed_equals_unbroken(tmp_path, 1, 5, 8, name="torch")


def test_counted_in_steps(tmp_path):
    assert_resumed_equals_unbroken(tmp_path, 2, 5, 7, max_steps=10, evaluate_every=2)


@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.parametrize("length", [{"epochs": 4}, {"max_steps": 11, "evaluate_every": 4}])
def test_a_run_that_was_killed_goes_on_from_its_last_record(name, length, tmp_path):
    whole, _ = run(tmp_path / "whole", name, **length)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "part", name, stop=8, hard=True, **length)
    again, _ = run(tmp_path / "part", name, resume=True, **length)
    assert_same_weights(again.model, whole.model)
    assert_same_checkpoints(tmp_path / "part", tmp_path / "whole")


def test_interrupted_again_and_again(tmp_path):
    whole, _ = run(tmp_path / "whole")
    run(tmp_path / "part", stop=2)
    for stop in (3, 4, 8):
        run(tmp_path / "part", stop=stop, resume=True)
    again, _ = run(tmp_path / "part", resume=True)
    assert_same_weights(again.model, whole.model)
    assert_same_checkpoints(tmp_path / "part", tmp_path / "whole")


def test_the_generator_ends_where_the_unbroken_run_leaves_it(tmp_path):
    run(tmp_path / "whole")
    expected = npnn.get_rng_state().tolist()
    run(tmp_path / "part", stop=5)
    run(tmp_path / "part", resume=True)
    assert npnn.get_rng_state().tolist() == expected


@pytest.mark.parametrize("length", [{"epochs": 4}, {"max_steps": 11, "evaluate_every": 4}])
def test_the_losses_of_past_records_need_not_be_kept(length, tmp_path):
    assert_resumed_equals_unbroken(tmp_path, 2, 5, 9, keep_losses=False, **length)
    _, forgetful = run(tmp_path / "forgetful", keep_losses=False, **length)
    _, complete = run(tmp_path / "complete", **length)
    assert forgetful["train_loss"] == complete["train_loss"]
    assert (len(forgetful.step_losses), len(complete.step_losses)) == (0, complete["step"][-1])


# ---- with any model, with any loader


def images(n, seed):
    rng = np.random.default_rng(seed)
    return rng.random((n, 1, 8, 8)).astype(np.float32), rng.integers(0, 3, n)


class Recurrent(nn.Module):
    """Reads an image row by row."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(8, 5, num_layers=2, batch_first=True, dropout=0.3)
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.rnn(x.reshape(len(x), 8, 8))[0][:, -1])


MODELS = {
    "convolutions": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Dropout(0.3), nn.Flatten(), nn.Linear(64, 3),
    ),
    "recurrent": Recurrent,
}  # fmt: skip


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_images_and_buffers(model, prefetch, tmp_path):
    augment = transforms.Compose(
        [
            transforms.RandomCrop(8, 2),
            transforms.RandomHorizontalFlip(),
            transforms.RandomAffine(10),
            transforms.Cutout(2),
        ]
    )

    def make():
        dataset = TensorDataset(*images(40, seed=0))
        return DataLoader(dataset, batch_size=16, shuffle=True, transform=augment, prefetch=prefetch)

    assert_resumed_equals_unbroken(tmp_path, 3, 5, model=model, batches=make, validation=images(20, seed=1))


@pytest.mark.parametrize("kind", ["own generator", "prefetch", "no augmentation", "a list"])
def test_with_any_loader(kind, tmp_path):
    make = {
        "own generator": lambda: loader(generator=npnn.Generator().manual_seed(3)),
        "prefetch": lambda: loader(prefetch=2),
        "no augmentation": lambda: loader(transform=None, prefetch=1),
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


# ---- beyond the end, and what is refused


def test_a_run_may_go_on_beyond_its_end(tmp_path):
    run(tmp_path, epochs=2)
    longer, history = run(tmp_path, resume=True, epochs=3)
    whole, expected = run(tmp_path / "whole", epochs=3)
    assert history["train_loss"] == expected["train_loss"]
    assert longer.run.step == whole.run.step == 9
    assert_same_weights(longer.model, whole.model)


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
    save_checkpoint({"model": model.state_dict(), "epoch": 3}, last)
    with pytest.raises(
        ValueError, match="not the checkpoint of a Trainer's run: it has no optimizer, scheduler, callb"
    ):
        trainer().fit(batches(), epochs=2, resume_from=last)


def test_a_loader_that_is_shorter_than_the_epoch_already_done(tmp_path):
    trainer(callbacks=[Checkpoint(tmp_path, None), Stop(2)]).fit(batches(), epochs=1)
    again = trainer(callbacks=[Checkpoint(tmp_path, None), Stop(None)])
    with pytest.raises(ValueError, match="had used 2 batches of its epoch, this loader has only 1"):
        again.fit([data()], epochs=1, resume_from=tmp_path / "last.safetensors")
