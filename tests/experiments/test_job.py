"""What an experiment may add to the usual: schedule, loss, augmentation, callbacks, a validation set."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from npnn.experiment.config import UserError, replace
from npnn.experiment.job import Job
from npnn.experiment.numbers import read
from npnn.experiment.registry import Schedule, experiment, names
from npnn.experiment.run import run
from npnn.train import Callback
from tests.experiments.conftest import tiny_job
from tests.parity import requires_torch


def changed(job, **parts):
    return dataclasses.replace(job, experiment=dataclasses.replace(job.experiment, **parts))


@pytest.mark.parametrize("per", ["epoch", "step"])
@pytest.mark.parametrize("backend", ["npnn", pytest.param("torch", marks=requires_torch)])
def test_a_schedule_is_stepped_as_it_says_and_knows_the_epoch(per, backend):
    known = []

    def schedule(lr_scheduler, optimizer, config, steps_per_epoch):
        known.append(steps_per_epoch)
        return Schedule(lr_scheduler.StepLR(optimizer, 1, 0.5), per)

    job = changed(tiny_job("mlp_toy", steps=None, epochs=2, batch_size=24, lr=1.0, backend=backend), schedule=schedule)
    job = dataclasses.replace(job, config=replace(job.config, evaluate_every=1))
    history = job.start(progress=False).fit(job.config)
    assert known == [2]  # 48 of the 60 points are for training
    assert history["lr"] == ([1, 1, 0.5, 0.5] if per == "epoch" else [1, 0.5, 0.25, 0.125])


def test_an_experiment_may_have_a_loss_and_callbacks_of_its_own():
    class Count(Callback):
        steps = 0

        def on_step_end(self, trainer):
            self.steps += 1

    count = Count()
    job = changed(
        tiny_job("mlp_toy", evaluate_every=1),
        loss=lambda nn, config: lambda outputs, targets: 0 * nn.CrossEntropyLoss()(outputs, targets) + 7,
        callbacks=lambda config: (count,),
    )
    assert job.start(progress=False).fit(job.config)["validation_loss"] == [7.0, 7.0]
    assert count.steps == 2


def test_augmentation_is_for_training_only():
    job = tiny_job("cnn_digits", evaluate_every=1)
    seen = []

    def transform(config):
        return lambda x, generator: seen.append(len(x)) or np.zeros_like(x)

    start = changed(job, transform=transform).start(progress=False)
    start.fit(job.config)
    assert seen == [8, 8]
    assert start.watched[0].max() == 1


def test_a_validation_set_is_taken_from_the_training_set_and_is_the_same_for_every_seed():
    jobs = [tiny_job("mlp_toy", validation=12, seed=seed) for seed in (0, 1)]
    starts = [job.start(progress=False) for job in jobs]
    np.testing.assert_array_equal(starts[0].watched[0], starts[1].watched[0])
    (data, loader, (x, y)) = starts[0].data, starts[0].loader, starts[0].watched
    assert (len(loader.dataset), len(x), len(y), len(data.test_x)) == (36, 12, 12, 12)
    trained = {row.tobytes() for row in loader.dataset.gather(np.arange(36))[0]}
    held_out = {row.tobytes() for row in x}
    assert not trained & held_out
    assert trained | held_out == {row.tobytes() for row in data.train_x}
    with pytest.raises(UserError, match="--validation 48 leaves nothing of the 48 examples"):
        tiny_job("mlp_toy", validation=48).start(progress=False)


def test_with_a_validation_set_the_test_set_is_looked_at_once(folders, monkeypatch):
    looks = []
    from npnn.train import Trainer

    honest = Trainer.evaluate
    monkeypatch.setattr(Trainer, "evaluate", lambda self, data: looks.append(len(data[0])) or honest(self, data))
    job = tiny_job("mlp_toy", steps=6, evaluate_every=2, validation=9)
    run(job, folders, keep=False)
    assert looks == [9, 9, 9, 12]
    numbers = read(folders.numbers(job), job.stem)
    assert numbers["test_set_measured"] == "once, after training"
    assert numbers["validation_accuracy"] == pytest.approx(numbers["history"]["validation_accuracy"][-1], abs=1e-5)


def test_a_run_that_stops_early_ends_with_its_best_weights():
    found = experiment("mlp_toy")
    config = found.Config(
        dataset="moons", n_samples=200, steps=3000, evaluate_every=2, lr=1.0, validation=40, patience=5
    )
    job = Job(found, "moons", config)
    start = job.start(progress=False)
    history = start.fit(config)
    best = max(history["validation_accuracy"])
    assert history["step"][-1] < 3000
    assert history["validation_accuracy"].index(best) == len(history) - 6
    assert start.trainer.evaluate(start.watched)["accuracy"] == best


@pytest.mark.parametrize("name", names())
def test_what_is_reported_and_kept_belongs_to_a_variant(name):
    found = experiment(name)
    assert found.REPORTED.keys() | found.BEST.keys() <= found.VARIANTS.keys()
    assert set(found.BEST.values()) <= {"float32", "float16"}
    for variant in found.REPORTED:
        for reported in found.reported(variant):
            assert reported.row
            assert reported.figure or reported.note
            assert "\n" not in reported.figure + reported.note
            assert reported.on in ("test", "validation")
            assert reported.on == "test" or found.VARIANTS[variant].validation
    for variants in found.GROUPS.values():
        assert set(variants) <= found.VARIANTS.keys()


@pytest.mark.parametrize(("validation", "watched"), [(0, "test"), (9, "validation")])
def test_the_progress_says_which_set_the_records_look_at(validation, watched, capsys):
    job = tiny_job("mlp_toy", validation=validation)
    job.start().fit(job.config)
    assert f" ({watched} " in capsys.readouterr().err
