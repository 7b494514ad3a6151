"""The page of mistakes says what the checks say now, and their right twins pass."""

from __future__ import annotations

import pytest

from experiments import mistakes
from experiments.mistakes import GALLERY, examined


@pytest.mark.parametrize("mistake", GALLERY, ids=lambda m: m.title)
def test_the_right_twin_passes(mistake):
    assert examined(mistake.right) == []
    assert examined(mistake.wrong)


def test_the_page_is_generated():
    """If this fails: python -m experiments.mistakes"""
    assert mistakes.PAGE.read_text(encoding="utf-8") == mistakes.page()
