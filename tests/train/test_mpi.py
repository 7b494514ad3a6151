"""Training under mpiexec, in two processes: the same as in one, resumed bit for bit, and never waiting for the dead."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.mpi import mpiexec
from npnn.experiment.command_line import main
from npnn.experiment.numbers import read

ROOT = Path(__file__).parent.parent.parent
MPIEXEC = mpiexec()

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("mpi4py") is None, reason="mpi4py is not installed (npnn[mpi])"),
    pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec (npnn[mpi])"),
]

PROGRAM = """
import os, signal, sys
import numpy as np
import npnn
from npnn import nn
from npnn.data import DataLoader, TensorDataset
from npnn.train import Callback, Checkpoint, Trainer
from npnn.train.parallel import world

out = sys.argv[1]
rng = np.random.default_rng(0)
images = rng.standard_normal((45, 1, 8, 8)).astype(np.float32)
labels = rng.integers(0, 3, 45)

def mlp(dropout=0.0):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2000), nn.ReLU(), nn.Dropout(dropout), nn.Linear(2000, 3))

def cnn():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3))

def trainer(model, callbacks=()):
    optimizer = npnn.optim.Adam(model.parameters(), lr=0.01)
    return Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=callbacks, clip_grad_norm=1.0, progress=False)

def fit(driven, **options):
    return driven.fit(DataLoader(TensorDataset(images, labels), 14, shuffle=True), 4, (images, labels), **options)

"""

SAME = """
results = {}
for name, build in (("mlp", mlp), ("cnn", cnn)):
    npnn.manual_seed(world().rank if world().size > 1 else 0)  # rank 0's counts
    driven = trainer(build())
    history = fit(driven)
    results |= {f"{name} {key}": t.detach().numpy() for key, t in driven.model.state_dict().items()}
    figures = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "grad_norm")
    results |= {f"{name} {key}": history[key] for key in figures}
    results[f"{name} losses"] = history.step_losses
np.savez(f"{out}/{world().size}-{world().rank}.npz", threads=npnn.get_num_threads(), **results)
"""

RESUMED = """
class CtrlC(Callback):
    def on_step_end(self, trainer):
        if trainer.run.step == 6:
            signal.raise_signal(signal.SIGINT)

def run(folder, callbacks, **options):
    npnn.manual_seed(0)
    driven = trainer(mlp(0.5), [*callbacks, Checkpoint(f"{out}/{folder}")])
    return driven, fit(driven, **options)

whole, expected = run("whole", [Callback()])
_, broken = run("broken", [CtrlC()])
assert broken.interrupted and len(broken.step_losses) == 6
driven, history = run("broken", [CtrlC()], resume_from=f"{out}/broken/last.safetensors")
assert history.step_losses == expected.step_losses
assert history["train_accuracy"] == expected["train_accuracy"]
for key, t in whole.model.state_dict().items():
    assert np.array_equal(t.detach().numpy(), driven.model.state_dict()[key].detach().numpy()), key
print("resumed")
"""

FAILING = """
how = sys.argv[2]
if how == "before" and world().rank == 1:
    raise LookupError("no data here")
driven = trainer(mlp())
step = driven._step
def failing(x, y):
    if world().rank == 1 and driven.run.step == 3:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise LookupError("no data here")
    return step(x, y)
driven._step = failing
try:
    fit(driven)
except LookupError:
    print("caught")
"""


def start(ranks, *command):
    """Run a command in so many processes."""
    inherited = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    return subprocess.run(
        [*([MPIEXEC, "-n", str(ranks)] if ranks > 1 else []), sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture
def run(tmp_path):
    def run(ranks, body, *arguments):
        script = tmp_path / "program.py"
        script.write_text(PROGRAM + body)
        return start(ranks, script, tmp_path, *arguments)

    return run


def test_two_processes_equal_one(run, tmp_path):
    """Batches of 14, 14, 14 and 3; one matrix is large enough to be summed where it lies."""
    for ranks in (1, 2):
        result = run(ranks, SAME)
        assert result.returncode == 0, result.stderr
    alone, first, second = (np.load(tmp_path / f"{name}.npz") for name in ("1-0", "2-0", "2-1"))
    assert second["threads"] == max(1, alone["threads"] // 2)
    for name in alone.files:
        if name != "threads":
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)
            np.testing.assert_allclose(first[name], alone[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_interrupted_and_resumed(run):
    result = run(2, RESUMED)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("resumed") == 2


@pytest.mark.parametrize("how", ["before", "raised", "killed"])
def test_the_death_of_one_is_the_end_of_all(run, how):
    result = run(2, FAILING, how)
    assert result.returncode != 0
    assert "caught" not in result.stdout
    if how == "killed":
        assert "KILLED" in (result.stdout + result.stderr).upper()
    else:
        assert "LookupError: no data here" in result.stderr
        assert "rank 1 of 2 failed, and so the run ends in all processes" in result.stderr


LEAVING = """
import os, sys
if os.environ["PMI_RANK"] == "1":
    if sys.argv[2] == "at once":
        sys.exit(0)
    if sys.argv[2] == "by an error":
        raise LookupError("no data here")
driven = trainer(mlp())
if world().rank == 1:
    sys.exit(0)  # it has a trainer, and does not train
fit(driven)
"""


@pytest.mark.parametrize("when", ["at once", "by an error", "before fit"])
def test_nobody_waits_for_one_that_left_before_training(run, when):
    result = run(2, LEAVING, when)
    assert result.returncode != 0
    if when == "before fit":
        assert "rank 1 has ended, and does not train: every process must call fit" in result.stderr
    else:
        assert "ended before training began" in result.stderr
    assert ("LookupError: no data here" in result.stderr) == (when == "by an error")


def test_an_experiment(tmp_path):
    """``mpiexec -n 2 python -m experiments run``: one figure, one set of files, said once, as from one process."""
    folders = [f"--{name}={tmp_path / name}" for name in ("figs", "models", "runs", "results")]
    command = ["run", "mlp_toy", "--variant", "moons", "--steps", "20", *folders]
    file, stem = tmp_path / "results" / "mlp_toy-moons.json", "mlp_toy-moons+steps=20"
    assert main(command) == 0
    one = read(file, stem)
    result = start(2, "-m", "experiments", *command)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("test accuracy") == 1
    two = read(file, stem)
    assert (one["processes"], two["processes"]) == (1, 2)
    np.testing.assert_allclose(two["history"]["train_loss"], one["history"]["train_loss"], rtol=1e-4)


def test_an_experiment_that_fails_says_so_once(tmp_path):
    result = start(2, "-m", "experiments", "run", "mlp_toy", "--resume", f"--runs={tmp_path}")
    assert result.returncode == 1
    assert result.stderr.count("error: there is nothing to resume") == 1


def test_only_runs_are_for_mpiexec():
    result = start(2, "-m", "experiments", "list")
    assert result.returncode == 1
    assert "error: mpiexec is for `run`" in result.stderr
