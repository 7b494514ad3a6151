"""An experiment of one's own: a plain file anywhere, and what is said of one that is not right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from npnn import Tensor
from npnn.data import TensorDataset, TrainTest
from npnn.experiment import defaults
from npnn.experiment.command_line import main
from npnn.experiment.config import RunConfig, UserError
from npnn.experiment.registry import experiment
from tests.parity import requires_torch

ROOT = Path(__file__).parent.parent.parent
SMALLEST = """
import numpy as np


def data(config):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    y = (x[:, 0] > 0).astype(int)
    return x[:30], y[:30], x[30:], y[30:]


def build(nn, config):
    return nn.Linear(3, 2)
"""
PLAIN = '''"""Is a line enough?"""

from __future__ import annotations

from dataclasses import dataclass
'''
CONFIG = """

@dataclass
class Config:
    width: int = 4
    kind: str = "relu"
    rate: float | None = None
    bias: bool = True
    epochs: int = 3

    @property
    def twice(self):
        return 2 * self.width


VARIANTS = {"narrow": Config(width=2), "wide": Config(width=8)}
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text, name="mine.py"):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return f"./{name}"


def test_two_functions_are_an_experiment():
    found = experiment(written(SMALLEST, "smallest.py"))
    assert (found.name, found.file, list(found.VARIANTS)) == ("smallest", "smallest.py", ["default"])
    assert isinstance(found.VARIANTS["default"], RunConfig)
    assert (found.VARIANTS["default"].epochs, found.VARIANTS["default"].lr) == (10, 1e-3)
    sets = found.data(found.VARIANTS["default"])
    assert (sets.train_x.dtype, sets.train_y.dtype, sets.classes) == (np.float32, np.int64, ("0", "1"))


def test_a_plain_dataclass_has_the_settings_of_all_experiments_too():
    found = experiment(written(PLAIN + CONFIG + SMALLEST, "plain.py"))
    assert found.question == "Is a line enough?"
    narrow = found.VARIANTS["narrow"]
    assert (narrow.width, narrow.twice, narrow.epochs, narrow.lr, narrow.seed) == (2, 4, 3, 1e-3, 0)
    assert found.Config(steps=4, epochs=None).total_steps(9) == 4
    with pytest.raises(UserError, match="--batch-size must be at least 1"):
        found.Config(batch_size=0)


@requires_torch
def test_every_command_takes_a_file(here, capsys):
    path = written(PLAIN + CONFIG + SMALLEST, "folder/every.py")
    for words in (
        ["run", path, "--width", "3", "--no-bias", "--rate", "0.5"],
        ["run", path],
        ["compare", path, "--epochs", "1"],
        ["sweep", path, "--variants", "narrow", "wide", "--seeds", "2", "--backends", "npnn", "torch", "--jobs", "1"],
        ["draw", "every-narrow"],
        ["report", path, "--out", "page.html"],
        ["list", path],
    ):
        assert main(words, "python -m npnn.experiment") == 0, words
    out = capsys.readouterr().out
    assert "every-narrow+width=3+rate=0.5+bias=False" in out
    assert "7 of 8 runs done, 1 were done before" not in out  # narrow's own seed was: and wide's four, narrow's three
    assert "7 of 7 runs done, 1 were done before" in out
    assert " (2)" in out.split("variant")[-1]
    page = Path("page.html").read_text()
    assert 'id="every-wide"' in page
    assert "npnn.experiment run folder/every.py --variant wide" in page
    numbers = json.loads(Path("runs/every-narrow/run.json").read_text())
    assert (numbers["file"], numbers["finished"]) == ("folder/every.py", True)
    assert sorted(p.name for p in here.iterdir()) == ["folder", "page.html", "runs"]


def test_the_file_that_new_writes_runs_at_once(capsys):
    assert main(["new", "questions/mine"], "python -m npnn.experiment") == 0
    assert "run ./questions/mine.py" in capsys.readouterr().out
    assert len(Path("questions/mine.py").read_text().splitlines()) < 40
    assert main(["run", "questions/mine.py", "--steps", "3"]) == 0
    assert main(["new", "questions/mine.py"]) == 1
    assert "is there already" in capsys.readouterr().err
    assert main(["new", "my-file"]) == 1
    assert "'my-file' cannot be the name" in capsys.readouterr().err


DATA = SMALLEST[: SMALLEST.index("def build")]
BUILD = SMALLEST[SMALLEST.index("def build") :]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DATA + "def build(nn, config)\n    pass", ":12: expected ':'"),
        (DATA, ": there is no build(nn, config), which returns the model"),
        (BUILD, ": there is no data(config), which returns the data"),
        ("import missing_package\n" + SMALLEST, ":1: ModuleNotFoundError: No module named 'missing_package'"),
        (SMALLEST + "\nVALUE = nonsense\n", ":15: NameError: name 'nonsense' is not defined"),
        (SMALLEST + "\nclass Config:\n    width: int = 3\n", ":15: Config must be a dataclass"),
        (PLAIN + "@dataclass\nclass Config:\n    width: int\n" + SMALLEST, ":7: Config: width needs a default"),
        (
            PLAIN + "@dataclass\nclass Config:\n    sizes: tuple = (1, 2)\n" + SMALLEST,
            ":7: Config: sizes must be a bool, int, float or str, not tuple",
        ),
        (SMALLEST + "\nVARIANTS = {}\n", ":15: VARIANTS must be a dictionary of names and Configs"),
        (SMALLEST + "\nVARIANTS = {'a': 1}\n", ":15: the variant 'a' must be a Config, not a int"),
        (PLAIN + CONFIG.replace("wide", "a/b") + SMALLEST, ":21: a variant's name has letters, digits"),
        (
            PLAIN + CONFIG.replace("width=8", "epochs=0") + SMALLEST,
            ":21: the variant 'wide': --epochs must be at least",
        ),
        (SMALLEST + "\ndef optimizer(model):\n    pass\n", ":15: it must be optimizer(optim, model, config): too many"),
        (SMALLEST + "\nloss = 3\n", ":15: loss must be a function, loss(nn, config)"),
        (SMALLEST + "\nREPORTED = [1]\n", ":15: REPORTED must be a dictionary, not list"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_line(text, message, capsys):
    path = written(text, "wrong.py")
    for words in (["run", path], ["compare", path], ["sweep", path], ["list", path], ["run", path, "--help"]):
        assert main(words) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert f"wrong.py{message}" in said
        assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALLEST.replace("return nn.Linear(3, 2)", "nn.Linear(3, 2)"),
         ":12: build(nn, config) must return a model, made of the layers of nn, not None"),
        (SMALLEST + "\ndef loss(nn, config):\n    return 3.0\n", ":15: loss(nn, config) must return a function of"),
        (SMALLEST + "\ndef optimizer(optim, model, config):\n    return optim.SGD\n", ":15: optimizer(optim, model, conf"),
        (SMALLEST.replace("return x[:30], y[:30], x[30:], y[30:]", "return x"), ":5: data(config) must return a TrainTest"),
        (SMALLEST.replace("y[:30]", "y[:29]"), ":5: data(config) returned 30 training inputs and 29 labels"),
        (SMALLEST.replace("x[30:]", "x[30:, :2]"), ":5: data(config) returned training inputs of shape (3,) and test"),
        (SMALLEST.replace("astype(int)", "astype(int) - 1"), ":5: data(config) returned training labels from -1 on"),
        (SMALLEST.replace("> 0).astype(int)", "* 1)"), ":5: data(config) returned training labels that are no whole"),
        (SMALLEST.replace("x[30:], y[30:]", "x[40:], y[40:]"), ":5: data(config) returned no test examples"),
    ],
)  # fmt: skip
def test_what_a_function_returns_is_checked(text, message, capsys):
    assert main(["run", written(text, "returns.py")]) == 1
    assert f"returns.py{message}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["run", "./nobody.py"], ["run", "nobody"], ["list", "nobody"], ["report", "no.py"]])
def test_a_file_that_is_not_there_is_named(words, capsys):
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code
    assert code in (1, 2)
    assert words[1].removeprefix("./") in capsys.readouterr().err


def test_a_broken_file_disturbs_nobody_else(here):
    """In a folder ``experiments`` with a whole and two broken ones, the whole one lists and runs."""
    written("", "experiments/__init__.py")
    written(SMALLEST, "experiments/whole.py")
    written("def build(nn, config:\n", "experiments/syntax.py")
    written(SMALLEST + "\nCALL = nonsense\n", "experiments/names.py")
    written("x = 1\n", "experiments/helper.py")

    def call(*words):
        command = [sys.executable, "-m", "npnn.experiment", *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=here, capture_output=True, text=True, env=env)

    listed = call()
    assert listed.returncode == 0, listed.stderr
    assert "whole\n    1 variant, default by default" in listed.stdout
    assert "syntax.py:1: '(' was never closed" in listed.stdout
    assert "names.py:15: NameError: name 'nonsense' is not defined" in listed.stdout
    assert "helper" not in listed.stdout
    ran = call("run", "whole", "--epochs", "1")
    assert ran.returncode == 0, ran.stderr
    for words in (["run", "--help"], ["results"]):
        assert call(*words).returncode == 0
    broken = call("run", "syntax")
    assert broken.returncode == 1
    assert "syntax.py:1" in broken.stderr


# ---- the forms that data may have


def parts(seed, images=False):
    rng = np.random.default_rng(seed)
    shape = (1, 4, 4) if images else (3,)
    return (rng.normal(size=(n, *shape)) if k % 2 == 0 else rng.integers(0, 3, n) for k, n in enumerate((9, 9, 7, 7)))


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("equal", [False, True])
def test_all_forms_of_data_are_the_same_data(images, equal):
    a, b, c, d = parts(1, images)
    if equal:
        a, b = a[:7], b[:7]
    forms = {
        "plain": (a, b, c, d),
        "as scikit-learn's train_test_split": [a, c, b, d],
        "as Keras": ((a, b), (c, d)),
        "datasets": (TensorDataset(Tensor(a), Tensor(b)), TensorDataset(Tensor(c), Tensor(d))),
        "tensors": (Tensor(a), Tensor(b), Tensor(c), Tensor(d)),
        "lists": (a.tolist(), b.tolist(), c.tolist(), d.tolist()),
        "columns of labels": (a, b[:, None], c, d[:, None]),
        "labels as floats": (a, b.astype(float), c, d.astype(float)),
        "TrainTest": TrainTest(a.astype(np.float32), b, c.astype(np.float32), d, ("0", "1", "2")),
    }
    for name, form in forms.items():
        found = defaults.train_test(form)
        for got, want in zip((found.train_x, found.train_y, found.test_x, found.test_y), (a, b, c, d), strict=True):
            np.testing.assert_array_equal(got, want.astype(got.dtype), err_msg=name)
        assert found.train_x.dtype == np.float32, name
        assert len(found.classes) == 3, name
