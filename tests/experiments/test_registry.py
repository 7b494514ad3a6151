"""What is an experiment, and what experiments may import."""

from __future__ import annotations

import ast
from pathlib import Path

from npnn.experiment.registry import names

ROOT = Path(__file__).parent.parent.parent


def test_a_module_without_variants_is_part_of_another():
    modules = {path.stem for path in (ROOT / "experiments").glob("[!_]*.py")}
    assert "mnist" in names()
    assert modules - set(names()) == {"looking", "mistakes", "mnist_faults"}


def test_the_roof_of_experiments_stands_without_that_of_benchmarks():
    for path in (ROOT / "experiments").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            found = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [module for module in found if module.split(".")[0] == "benchmarks"], path
