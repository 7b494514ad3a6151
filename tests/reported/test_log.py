"""The log is that of the tests."""

from __future__ import annotations

import re

from tests.reported import log


def test_the_log_is_generated():
    """If this fails: python -m tests.reported.log"""
    assert log.PAGE.read_text(encoding="utf-8") == log.page()


def test_there_are_forty_cases_and_each_has_its_test():
    text = log.page()
    cases = re.findall(r"^\| \[([\w.-]+/[\w.-]+#\d+)\]", text, re.MULTILINE)
    assert len(cases) >= 40
    assert len(set(cases)) == len(cases)
