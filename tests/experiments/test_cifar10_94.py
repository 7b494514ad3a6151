"""The parts of the recipe do what they say."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import numpy as np
import pytest

import npnn
from experiments import cifar10_94
from npnn.experiment.config import replace
from npnn.train import Callback, Checkpoint, Trainer
from tests.experiments.conftest import tiny_job

CONFIG = replace(cifar10_94.FULL, channels=4)
IMAGES = np.random.default_rng(0).standard_normal((40, 3, 32, 32)).astype(np.float32)


def test_whitened_patches_are_uncorrelated():
    rng = np.random.default_rng(1)
    mixed = np.einsum("nchw,cd->ndhw", IMAGES, rng.standard_normal((3, 3))).astype(
        np.float32
    )  # colours that go together
    kernels = cifar10_94.whitening(mixed)
    np.testing.assert_array_equal(kernels[12:], -kernels[:12])
    answers = npnn.conv2d(npnn.tensor(mixed), npnn.tensor(kernels[:12])).numpy().transpose(1, 0, 2, 3).reshape(12, -1)
    second = answers @ answers.T / answers.shape[1]
    np.testing.assert_allclose(second, np.diag(np.diag(second)), atol=1e-3)
    assert (np.abs(np.diag(second) - 1) < 0.1).all()


def test_a_convolution_begins_as_the_identity():
    model = cifar10_94.build(npnn.nn, CONFIG)
    layer = next(m for m in model if isinstance(m, npnn.nn.Conv2d) and m.in_channels == 4)
    x = npnn.randn(1, 4, 5, 5)
    np.testing.assert_array_equal(layer(x).detach().numpy()[:, :4], x.numpy())


def test_every_picture_is_mirrored_in_every_other_epoch():
    change = cifar10_94.transform(replace(CONFIG, shift=0))
    first = change(IMAGES, npnn.Generator())
    change.epoch = 1
    second = change(IMAGES[::-1], npnn.Generator())[::-1]
    mirrored = [np.array_equal(a, x[:, :, ::-1]) for a, x in zip(first, IMAGES, strict=True)]
    assert 8 < sum(mirrored) < 32
    for a, b, x, was in zip(first, second, IMAGES, mirrored, strict=True):
        np.testing.assert_array_equal(b if was else a, x)


@pytest.mark.parametrize("views", [1, 2, 6])
def test_an_answer_is_the_mean_of_its_views(views):
    npnn.manual_seed(0)
    model = cifar10_94.build(npnn.nn, replace(CONFIG, views=views)).eval()
    x = npnn.tensor(IMAGES[:2])
    looks = [x.numpy()]
    if views > 1:
        looks.append(IMAGES[:2, :, :, ::-1])
    if views > 2:
        moved = np.pad(IMAGES[:2], ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
        for corner in (0, 2):
            view = moved[:, :, corner : corner + 32, corner : corner + 32]
            looks += [view, view[:, :, :, ::-1]]
    model.views = 1
    answers = [model(npnn.tensor(np.ascontiguousarray(look))).detach().numpy() for look in looks]
    weights = {1: [1], 2: [1 / 2] * 2, 6: [1 / 4] * 2 + [1 / 8] * 4}[views]
    model.views = views
    mean = sum(w * a for w, a in zip(weights, answers, strict=True))
    np.testing.assert_allclose(model(x).detach().numpy(), mean, atol=1e-5)


def test_the_rates_rise_and_fall():
    model = cifar10_94.build(npnn.nn, CONFIG)
    optimizer = cifar10_94.optimizer(npnn.optim, model, CONFIG)
    scheduler = cifar10_94.schedule(npnn.optim.lr_scheduler, optimizer, CONFIG, 50).scheduler
    rates = []
    for _ in range(500):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    weights, first, fast = np.array(rates).T
    assert weights.argmax() == 115
    assert weights[0] == pytest.approx(0.2 * CONFIG.lr)
    assert weights[-1] == pytest.approx(0.07 * CONFIG.lr, rel=0.05)
    np.testing.assert_allclose(fast, CONFIG.bias_rate * weights)
    assert first[149] > 0
    assert (first[150:] == 0).all()
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert id(model[0].weight) not in trained  # the whitening is not learnt


def test_lookahead_ends_with_the_running_mean():
    model = npnn.nn.Linear(1, 1, bias=False)
    trainer = Trainer(model, npnn.nn.MSELoss(), npnn.optim.SGD(model.parameters(), lr=0.1), metrics=())
    trainer.loader = [None] * 10
    look = cifar10_94.Lookahead(replace(CONFIG, epochs=1))
    model.weight.data.fill_(0)
    look.on_train_begin(trainer)
    slow = 0.0
    for step in range(1, 11):
        model.weight.data.fill_(step)
        trainer.run.step = step
        look.on_step_end(trainer)
        if step % 5 == 0:
            slow += (1 - 0.95**5 * (step / 10) ** 3) * (step - slow)
            assert model.weight.item() == pytest.approx(slow)
    again = cifar10_94.Lookahead(CONFIG)
    again.load_state_dict(look.state_dict())
    model.weight.data.fill_(99)
    again.on_train_end(SimpleNamespace(model=model, backend=trainer.backend, history=trainer.history))
    assert model.weight.item() == pytest.approx(slow)


def test_a_resumed_run_is_the_unbroken_one(tmp_path):
    """Also in the middle of an epoch: the mirroring, the running mean and the whitening go on where they stood."""

    class CtrlC(Callback):
        def on_step_end(self, trainer):
            if trainer.run.step == 7:
                signal.raise_signal(signal.SIGINT)

    class Quiet(CtrlC):
        def on_step_end(self, trainer):
            pass

    def fit(callback, resume_from=None):
        job = tiny_job("cifar10_94", steps=12, batch_size=16)
        saver = Checkpoint(tmp_path, monitor=None)
        callback.__class__.__name__ = "Same"  # a checkpoint knows its callbacks by name
        start = job.start((callback, saver), progress=False)
        history = start.fit(job.config, resume_from=resume_from)
        return history, start.trainer.model, saver

    _, unbroken, _ = fit(Quiet())
    history, _, saver = fit(CtrlC())
    assert history.interrupted
    _, resumed, _ = fit(Quiet(), saver.last)
    for name, value in unbroken.state_dict().items():
        np.testing.assert_array_equal(resumed.state_dict()[name].numpy(), value.numpy(), err_msg=name)
