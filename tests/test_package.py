"""What is published: the wheel has all that runs and nothing else, and works where nothing of this folder is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import npnn

ROOT = Path(__file__).parent.parent
SMALL = """
import npnn
from npnn import nn, optim
assert "site" in npnn.__file__, npnn.__file__
x, y = npnn.randn(64, 3, 8, 8), npnn.randint(0, 4, (64,))
model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))
optimizer = optim.Adam(model.parameters(), 1e-2)
losses = []
for _ in range(30):
    optimizer.zero_grad()
    loss = nn.CrossEntropyLoss()(model(x), y)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[-1] < losses[0] / 2
"""


def call(*words, cwd, **env):
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist, and the wheel unpacked as pip does, in a folder that knows of nothing else of npnn."""
    pytest.importorskip("build.__main__", reason="the package build is not installed")
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if names.returncode:
        pytest.skip("this is no git checkout: what is published cannot be told from what lies about")
    for name in names.stdout.splitlines():
        if name.startswith("npnn/") or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    call("-m", "build", "--no-isolation", "--outdir", folder / "dist", source, cwd=folder)
    (wheel,), (sdist,) = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    call("-m", "pip", "install", "--quiet", "--no-deps", "--target", folder / "site", wheel, cwd=folder)
    return wheel, sdist, folder


def test_the_wheel_has_all_that_runs_and_nothing_else(built):
    wheel, sdist, _ = built
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "npnn").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == ours
    assert {"npnn/py.typed"} < names
    assert {name.split("/")[0] for name in names} == {"npnn", f"npnn-{npnn.__version__}.dist-info"}
    assert wheel.stat().st_size < 2e6
    with tarfile.open(sdist) as file:
        tops = {name.split("/")[1] for name in file.getnames() if "/" in name}
    assert {"npnn", "pyproject.toml", "README.md", "LICENSE"} <= tops
    assert not tops & {"figs", "best_models", "benchmarks", "experiments", "runs"}


def test_it_works_by_itself(built):
    _, _, folder = built
    alone = {"PYTHONPATH": str(folder / "site"), "NUMBA_CACHE_DIR": str(folder / "cache")}
    call("-c", SMALL, cwd=folder, **alone)
    told = call("-m", "npnn", cwd=folder, **alone)
    assert re.match(rf"npnn +{re.escape(npnn.__version__)}\n", told)
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: no toy data")
    call("-m", "npnn.experiment", "new", "mine", cwd=folder, **alone)
    assert "test accuracy" in call("-m", "npnn.experiment", "run", "./mine.py", cwd=folder, **alone)


def test_types_are_seen_from_outside(built):
    pytest.importorskip("mypy", reason="mypy is not installed")
    _, _, folder = built
    (folder / "uses.py").write_text(
        "from npnn import nn, optim\n"
        "from npnn.train import Trainer\n"
        "model = nn.Linear(2, 3)\n"
        "reveal_type(model)\n"
        "reveal_type(optim.Adam(model.parameters()))\n"
        "Trainer(1, 2, 3, patience=4)\n"
    )
    words = ["--no-incremental", "--follow-imports=silent", "uses.py"]
    env = {**os.environ, "MYPYPATH": str(folder / "site")}
    done = subprocess.run([sys.executable, "-m", "mypy", *words], cwd=folder, capture_output=True, text=True, env=env)
    assert 'Revealed type is "npnn.nn.linear.Linear"' in done.stdout
    assert 'Revealed type is "npnn.optim.adam.Adam"' in done.stdout
    assert 'Unexpected keyword argument "patience" for "Trainer"' in done.stdout


def test_one_version_everywhere():
    assert f"version: {npnn.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## {npnn.__version__}, " in (ROOT / "CHANGELOG.md").read_text()


def test_the_report_of_a_fault_names_what_one_would_ask_for(monkeypatch):
    from npnn.environment import report

    monkeypatch.setenv("NPNN_DATA", "/nowhere")
    told = dict(line.split(maxsplit=1) for line in report().splitlines())
    assert {"npnn", "system", "processor", "threads", "kernels", "BLAS", "data", "versions", "environment"} <= set(told)
    assert told["data"].startswith("/nowhere (not there), ")
    assert f"numpy {__import__('numpy').__version__}" in told["versions"]
    assert "NPNN_DATA=/nowhere" in told["environment"]
