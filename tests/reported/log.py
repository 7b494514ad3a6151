"""The log of reported faults: each test says what was reported, where, and what became of it here.

python -m tests.reported.log     writes README.md from the tests
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).with_name("README.md")
HEAD = """# Faults that people have reported elsewhere

Each was reported to another project of this field, is tried here by one small test, and this is what became of it.
Made by `python -m tests.reported.log` from the tests; do not edit.

| reported | what | here | test |
| --- | --- | --- | --- |
"""


class Case(NamedTuple):
    where: str  # owner/name#number
    what: str
    here: str
    test: str


CASES: list[Case] = []


def reported(where: str, what: str, here: str) -> Callable[[Any], Any]:
    """Decorator of a test: a report of the project ``where`` (owner/name#number), and what became of it."""

    def note(test: Any) -> Any:
        CASES.append(Case(where, what, here, test.__name__))
        return test

    return note


def page() -> str:
    from tests.reported import test_data, test_numbers, test_training  # noqa: F401  their tests are the cases

    cases = {case.test: case for case in CASES}  # a module may have been imported under two names
    lines = []
    for case in sorted(cases.values(), key=lambda c: (c.where.split("#")[0].lower(), int(c.where.split("#")[1]))):
        project, number = case.where.split("#")
        link = f"[{case.where}](https://github.com/{project}/issues/{number})"
        lines.append(f"| {link} | {case.what} | {case.here} | `{case.test}` |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    from tests.reported import log

    PAGE.write_text(log.page(), encoding="utf-8")
    print(PAGE)
