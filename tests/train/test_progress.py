"""What the user sees: plain lines in a log, a bar in a terminal, silence on request."""

from __future__ import annotations

import re
import sys
import types

import pytest

from npnn.train import progress
from npnn.train.progress import Progress
from tests.train.common import batches, data, trainer


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""

    class Clock:
        now = 100.0

        def perf_counter(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def record(step, **more):
    return {"epoch": 1, "step": step, "train_loss": 0.5, "train_accuracy": 0.25, "lr": 0.1, **more}


def test_silence(capsys):
    trainer(progress=False).fit(batches(), epochs=2, validation=data())
    assert capsys.readouterr() == ("", "")


def test_lines_for_a_log_go_to_stderr(capsys):
    trainer(progress=True).fit(batches(), epochs=3, validation=data())
    out, err = capsys.readouterr()
    assert out == ""
    first, *_, last = err.splitlines()
    figures = r"loss 0\.\d{4} \(validation 0\.\d{4}\), accuracy [\d.]+% \(validation [\d.]+%\)"
    assert re.fullmatch(rf"epoch 1, step 3: {figures}, lr 0\.1, 0 s, 0 s left", first)
    assert re.fullmatch(rf"epoch 3, step 9: {figures}, lr 0\.1, 0 s, 0 s left", last)


def test_what_is_watched_is_called_by_its_name(clock, capsys):
    trainer(progress=True, watched="test").fit(batches(), epochs=1, validation=data())
    assert re.search(r"loss [\d.]+ \(test [\d.]+\), accuracy [\d.]+% \(test [\d.]+%\), lr", capsys.readouterr().err)


def test_at_most_one_line_a_second_and_the_last_always(clock, capsys):
    shown = Progress(total=100)
    for step in range(1, 51):
        clock.now += 0.25
        shown.step(0.5, 0.1)
        shown.record(record(step))
    shown.close()
    lines = capsys.readouterr().err.splitlines()
    assert [int(re.search(r"step (\d+)", line)[1]) for line in lines] == [*range(1, 50, 4), 50]
    assert "12 s, 12 s left" in lines[-1]


def test_the_last_record_is_not_told_twice(clock, capsys):
    shown = Progress(total=1)
    shown.step(0.5, 0.1)
    shown.record(record(1))
    shown.close()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_time_left_counts_from_where_the_run_was_resumed(clock, capsys):
    shown = Progress(total=100, done=90)
    clock.now += 5
    for _ in range(5):
        shown.step(0.5, 0.1)
    shown.record(record(95))
    assert "5 s, 5 s left" in capsys.readouterr().err


def test_nobody_knows_the_time_left_of_a_loader_without_length(clock, capsys):
    shown = Progress(total=None)
    shown.step(0.5, 0.1)
    shown.record(record(1))
    assert "left" not in capsys.readouterr().err


def test_a_run_without_records_says_nothing(capsys):
    Progress(total=10).close()
    assert capsys.readouterr().err == ""


def test_a_bar_in_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress, "BAR_EVERY", 0.0)
    monkeypatch.setenv("COLUMNS", "200")  # of a narrower one the bar's end is left away
    monkeypatch.setenv("LINES", "50")
    trainer(progress=True).fit(batches(), epochs=3, validation=data())
    err = capsys.readouterr().err
    assert "9/9" in err
    assert re.search(r"epoch 3: +100%", err)
    assert re.search(r"loss 0\.\d+, accuracy [\d.]+% \(validation [\d.]+%\), lr 0\.1", err)


def test_a_bar_in_a_notebook(monkeypatch, capsys):
    """There stderr is no terminal.  Without ipywidgets, which draw the bar in colour, it is drawn in letters."""
    import tqdm.auto

    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setattr(tqdm.auto, "tqdm", tqdm.std.tqdm)
    trainer(progress=True).fit(batches(), epochs=3)
    assert "9/9" in capsys.readouterr().err


@pytest.mark.parametrize("stream", [None, types.SimpleNamespace(write=lambda text: None, flush=lambda: None)])
def test_without_a_console(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    assert len(trainer(progress=True).fit(batches(), epochs=3)) == 3


def test_a_bar_is_drawn_ten_times_a_second_at_most(clock, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    shown = Progress(total=1000)
    drawn = []
    monkeypatch.setattr(shown.bar, "set_postfix_str", lambda text, refresh: drawn.append(text))
    for _ in range(1000):
        clock.now += 0.001
        shown.step(0.5, 0.1)
    shown.close()
    assert 9 <= len(drawn) <= 11
    assert shown.bar.n == 1000
