"""Ctrl-C: the first ends the run after the step, the second at once, and Python's own handler comes back."""

from __future__ import annotations

import signal
import threading

import pytest

from npnn.train import Callback
from npnn.train.interrupt import Interrupt
from tests.train.common import assert_same_weights, batches, data, trainer


class CtrlC(Callback):
    """Presses Ctrl-C after the given steps, ``times`` times in a row."""

    def __init__(self, step, times=1):
        self.step, self.times = step, times

    def on_step_end(self, trainer):
        if trainer.run.step == self.step:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def handler_comes_back():
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


def test_the_first_finishes_the_step_and_returns_the_history():
    driven, whole = trainer(callbacks=[CtrlC(5)]), trainer()
    history = driven.fit(batches(), epochs=10)
    whole.fit(batches(), max_steps=5)
    assert history.interrupted
    assert driven.run.step == 5
    assert history["step"] == [3]  # the unfinished epoch has no record
    assert len(history.step_losses) == 5
    assert_same_weights(driven.model, whole.model)


def test_the_second_is_obeyed_at_once():
    driven = trainer(callbacks=[CtrlC(5, times=2)])
    with pytest.raises(KeyboardInterrupt):
        driven.fit(batches(), epochs=10)
    assert driven.run.step == 5
    assert driven.history["step"] == [3]


def test_after_the_last_step_nothing_is_left_to_interrupt():
    history = trainer(callbacks=[CtrlC(6)]).fit(batches(), max_steps=6)
    assert not history.interrupted
    assert history["step"] == [3, 6]


def test_during_evaluation_the_record_is_finished():
    driven = trainer()
    loss = driven.loss

    def interrupting(output, y):
        if not driven.model.training:
            signal.raise_signal(signal.SIGINT)
        return loss(output, y)

    driven.loss = interrupting
    history = driven.fit(batches(), epochs=5, validation=data())
    assert history.interrupted
    assert history["step"] == [3]
    assert "validation_loss" in history


def test_the_next_fit_is_not_interrupted():
    driven = trainer(callbacks=[CtrlC(2)])
    assert driven.fit(batches(), epochs=1).interrupted
    driven.callbacks[0].step = -1
    driven._step_hooks.clear()
    assert not driven.fit(batches(), epochs=1).interrupted


def test_the_handler_comes_back_after_an_error():
    with pytest.raises(ValueError, match="no batches"):
        trainer().fit([], epochs=1)


def test_in_another_thread_nothing_is_installed():
    found = []

    def work():
        with Interrupt():
            found.append(signal.getsignal(signal.SIGINT))
        found.append(trainer().fit(batches(), epochs=1).interrupted)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before, False]


def test_a_job_that_ignores_the_signal_goes_on_ignoring_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert not trainer(callbacks=[CtrlC(2)]).fit(batches(), epochs=1).interrupted
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
