"""What one process began another one ends, bit for bit: the second knows nothing but the checkpoint."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from npnn.io import load_checkpoint
from tests.train.resuming import Stop, assert_same_checkpoints, run

ROOT = Path(__file__).parents[2]


class Wait(Stop):
    """After step ``stop`` says so and waits for an answer: meanwhile the parent presses Ctrl-C."""

    def on_step_end(self, trainer):
        if trainer.run.step == self.step:
            print("ready", flush=True)
            sys.stdin.readline()


Wait.__name__ = "Stop"  # for the checkpoint it is the same callback


def start(folder, options):
    program = f"""
import sys; sys.modules["torch"] = None  # it takes longer to load than all the rest
from pathlib import Path
from tests.train.resuming import run
from tests.train.test_resume_process import Wait
_, history = run(Path({str(folder)!r}), **{options})
print(history.interrupted)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *(p for p in sys.path if p)])}
    return subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def output(process):
    out, _ = process.communicate()
    assert process.returncode == 0
    return out.split()


@pytest.mark.parametrize(
    "options",
    [
        {"make": "Adam", "schedule": "ReduceLROnPlateau"},
        {"make": "SGD nesterov", "schedule": "OneCycleLR", "schedule_per": "step"},
    ],
)
def test_in_a_new_process(options, tmp_path):
    run(tmp_path / "whole", **options)
    run(tmp_path / "part", stop=5, **options)
    assert output(start(tmp_path / "part", {**options, "resume": True})) == ["False"]
    assert_same_checkpoints(tmp_path / "part", tmp_path / "whole")


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is another thing there")
def test_after_a_real_ctrl_c(tmp_path):
    run(tmp_path / "whole")
    process = start(tmp_path / "part", "dict(stop=5, interruption=Wait)")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    process.stdin.write("\n")
    assert output(process) == ["True"]
    assert load_checkpoint(tmp_path / "part" / "last.safetensors")["run"]["step"] == 5
    run(tmp_path / "part", resume=True)
    assert_same_checkpoints(tmp_path / "part", tmp_path / "whole")


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")
def test_after_a_kill(tmp_path):
    """What was done since the last record is done once more."""
    run(tmp_path / "whole")
    process = start(tmp_path / "part", "dict(stop=8, interruption=Wait)")
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate()
    assert load_checkpoint(tmp_path / "part" / "last.safetensors")["run"]["step"] == 6
    run(tmp_path / "part", resume=True)
    assert_same_checkpoints(tmp_path / "part", tmp_path / "whole")
