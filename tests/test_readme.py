"""Tables of the README and the guides are those of the recorded results, its operation runs, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.readme import PAGES, render, results

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_tables_are_generated(page):
    """If this fails: python -m benchmarks readme"""
    assert render(page) == (ROOT / page).read_text()


def test_results_are_generated():
    assert results() == (ROOT / "benchmarks" / "RESULTS.md").read_text()


def test_the_operation_of_your_own_checks():
    (example,) = re.findall(r"```python\n(import numpy as np\nfrom npnn import Function.*?)```", README, re.DOTALL)
    code, check = example.rsplit("\n\n", 1)
    scope: dict = {}
    exec(code, scope)
    assert eval(check.split("#")[0].strip(), scope) is True


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) > 10
    assert [path for path in links if not (ROOT / path).exists()] == []
