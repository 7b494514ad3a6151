"""What a script uses of torch and torchvision, and which of it npnn lacks, without running it."""

from __future__ import annotations

import ast
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from npnn.torch import module_for
from npnn.torch.reasons import reason

__all__ = ["missing", "source_of", "uses"]


def source_of(path: str | Path) -> str:
    """The Python text of a script, or of a notebook's code cells, where lines for the shell are left out."""
    text = Path(path).read_text(encoding="utf-8")
    if str(path).endswith(".ipynb"):
        cells = ["".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
        text = "\n".join(
            "pass" if line.lstrip().startswith(("!", "%")) else line for c in cells for line in c.split("\n")
        )
    return text


def _chain(node: ast.AST) -> list[str] | None:
    """a.b.c as its names; None for anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return [node.id, *names] if isinstance(node, ast.Name) else None


class _Uses(ast.NodeVisitor):
    def __init__(self) -> None:
        self.known: dict[str, str] = {}  # a name in the script -> what it stands for in torch
        self.found: list[tuple[str, int]] = []
        self.inside = False

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name.split(".")[0] in ("torch", "torchvision"):
                self.found.append((alias.name, node.lineno))
                self.known[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module and node.level == 0 and node.module.split(".")[0] in ("torch", "torchvision"):
            for alias in node.names:
                if alias.name == "*":
                    self.found.append((node.module, node.lineno))
                    continue
                self.found.append((f"{node.module}.{alias.name}", node.lineno))
                self.known[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def visit_Attribute(self, node: ast.Attribute) -> None:
        names = _chain(node)
        if names and names[0] in self.known:
            self.found.append((".".join([self.known[names[0]], *names[1:]]), node.lineno))
        else:
            self.generic_visit(node)


def uses(source: str) -> list[tuple[str, int]]:
    """The names of torch and torchvision in a Python text, each with its line."""
    visitor = _Uses()
    visitor.visit(ast.parse(source))
    return visitor.found


def _resolves(name: str) -> bool:
    """True if npnn has the name (of what hangs on a class or a function, the class or function is enough)."""
    parts = name.split(".")
    found: Any = importlib.import_module("npnn" if parts[0] == "torch" else "npnn.vision")
    for i, part in enumerate(parts[1:], 1):
        inner = getattr(found, part, None)
        if inner is None and not hasattr(found, part):
            if not (hasattr(found, "__path__") or type(found).__name__ in ("module", "_Alias")):
                return i > 1 and not isinstance(found, type)
            try:
                inner = module_for(".".join(parts[: i + 1]))
            except ModuleNotFoundError:
                return False
        found = inner
    return True


def missing(source: str) -> Iterator[tuple[int, str, str]]:
    """(line, name, why) of each name that npnn lacks, once for each line."""
    seen = set()
    for name, line in uses(source):
        if (name, line) not in seen and not _resolves(name):
            seen.add((name, line))
            module, _, last = name.rpartition(".")
            yield line, name, reason(module, last).strip(" ()")
