"""The rules of the house: imports only go down, files stay readable, randomness has one source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = [
    {"kernels"},
    {"device", "errors", "memory"},
    {"dtypes", "generator"},
    {"anomaly", "random"},
    {"modes"},
    {"engine", "views"},
    {"tensor"},
    {"function", "hooks", "copying"},
    {"cast", "static_function", "printing", "second_order"},
    {"inplace", "autograd"},
    {"ops"},
    {"nn"},
    {"optim", "data", "io", "jacobians"},
    {"testing"},
    {"train", "plot", "onnx", "utils", "vision", "distributions", "linalg", "func"},
    {"environment"},
    {"experiment"},
    {"sklearn", "look", "amp", "backends", "accelerator", "mps", "jit"},
    {"cuda", "demo"},
    {"torch"},
    {"__main__"},
]
FLOOR = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted((ROOT / "npnn").rglob("*.py"))


def imports(path: Path) -> set[str]:
    """The rooms of npnn that a file imports, wherever in the file it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "npnn":
                found |= {f"npnn.{alias.name}" for alias in node.names}
            else:
                found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def room(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_go_down(path):
    here = path.relative_to(ROOT / "npnn").parts
    if here == ("__init__.py",):
        return  # the front door opens onto every floor
    mine = here[0].removesuffix(".py")
    for module in imports(path):
        if module.startswith("npnn."):
            other = room(module)
            assert other == mine or FLOOR[other] < FLOOR[mine], f"{mine} must not import {other}"
        assert module != "npnn", "import the room, not the front door"
        assert not module.startswith("matplotlib") or mine == "plot", "only npnn.plot draws"


def test_every_room_has_a_floor():
    rooms = {p.relative_to(ROOT / "npnn").parts[0].removesuffix(".py") for p in FILES} - {"__init__"}
    assert rooms == set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text())), "the file needs an opening docstring"


def test_experiments_use_the_public_interface_only():
    for path in (ROOT / "experiments").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("npnn"):
                assert not [a.name for a in node.names if a.name.startswith("_")], path
                assert "kernels" not in (node.module or ""), path


def test_importing_npnn_leaves_the_heavy_libraries_alone():
    """numba, SciPy and matplotlib come when they are first needed: a script pays for what it uses."""
    code = (
        "import sys, npnn; "
        "heavy = {'numba', 'scipy', 'matplotlib', 'torch', 'sklearn', 'onnx', 'requests', 'tqdm', 'threadpoolctl'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"


def test_every_dependency_has_a_lower_bound():
    """Else pip, in search of a numba that allows the newest NumPy, walks back to one that knows of no limit."""
    required = (ROOT / "pyproject.toml").read_text().split("\ndependencies = [")[1].split("]")[0].split(",")
    assert [line for line in required if line.strip() and ">=" not in line] == []
