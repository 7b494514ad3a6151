"""Docstrings as the code has them, set for reading in a terminal, into reStructuredText.

A paragraph with columns or indented lines, such as a formula or a table of arguments, stays as it is set; any
other is prose.
"""

from __future__ import annotations

import re

__all__ = ["rst"]

COLUMNS = re.compile(r"[^\s.:;?!,)] {2,}\S|\S {3,}\S")  # two spaces that do not end a sentence, or more
LEADS = re.compile(r"^(Errors?|Sources?|Gradients?|Shapes?):", re.MULTILINE)
ENUMERATOR = re.compile(r"^(\(?[A-Za-z0-9#]+[.)]\s|[-+•:>]|\.\. )")


def rst(text: str) -> list[str]:
    """The lines of reStructuredText for a docstring that inspect.cleandoc has dedented."""
    lines: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines += [*(_literal(block) if _is_set(block) else _prose(block)), ""]
    return lines


def _is_set(block: str) -> bool:
    lines = block.split("\n")
    return any(line.startswith((" ", ">>>")) or COLUMNS.search(line) for line in lines)


def _literal(block: str) -> list[str]:
    language = "python" if block.lstrip().startswith((">>>", "import ", "from ")) else "text"
    return [f".. code-block:: {language}", "", *(f"   {line}" for line in block.split("\n"))]


def _prose(block: str) -> list[str]:
    return [_escaped(line) for line in LEADS.sub(r"\n\1:", block).strip("\n").split("\n")]


def _escaped(line: str) -> str:
    """One line of prose: what is between back quotes is code, no other sign has a meaning."""
    if not line:
        return ""
    lead = LEADS.match(line)
    parts = re.split(r"(``.+?``|`[^`]+`)", line[lead.end() :] if lead else line)
    text = "".join(_code(part) if part.startswith("`") and len(part) > 2 else _plain(part) for part in parts)
    if lead:
        return f"**{lead.group()}**{text}"
    return f"\\{text}" if ENUMERATOR.match(text) else text


def _code(part: str) -> str:
    return f"``{part.strip('`').strip()}``"


def _plain(part: str) -> str:
    part = part.replace("\\", "\\\\")
    return re.sub(r"([*|`])|(?<=\w)_(?!\w)", lambda found: f"\\{found.group()}", part)
