"""The README's tables are those of the recorded results, and its example of an operation runs."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.readme import render, results

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_tables_are_generated():
    """If this fails: python -m benchmarks readme"""
    assert render(README) == README
    assert results() == (ROOT / "benchmarks" / "RESULTS.md").read_text()


def test_the_operation_of_your_own_checks():
    (example,) = re.findall(r"```python\n(import numpy as np\nfrom npnn import Function.*?)```", README, re.DOTALL)
    code, check = example.rsplit("\n\n", 1)
    scope: dict = {}
    exec(code, scope)
    assert eval(check.split("#")[0].strip(), scope) is True


def test_figures_that_it_shows_exist():
    for path in re.findall(r"\]\((figs/[^)]+)\)", README):
        assert (ROOT / path).exists()
