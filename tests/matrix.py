"""The table of ``make matrix``: how each session ended, from the report that nox writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from npnn.environment import describe


def table(report: dict) -> str:
    """One line for each session, in the order in which they ran."""
    about = describe()
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    lines = ["# The tests elsewhere", "", "Made by `make matrix`; do not edit.", "",
             f"{about['processor']}, {about['cores']} cores; {versions}.", "",
             "| session | result | seconds |", "| --- | --- | ---: |"]  # fmt: skip
    lines += [f"| {s['signatures'][0]} | {s['result']} | {s.get('duration', 0):.0f} |" for s in report["sessions"]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    text = table(json.loads(Path(sys.argv[1]).read_text()))
    Path(__file__).with_name("MATRIX.md").write_text(text)
    print(text)
