"""Writes the pages of the reference: one for each file that defines public names, and one that lists them all.

A page has what the file says of itself, then each name with its docstring, its example, where else it is offered and
PyTorch's page about it, and last the file's text.
"""

from __future__ import annotations

import ast
import inspect
import re
import shutil
from itertools import groupby
from pathlib import Path

import npnn
from docs.reference import examples, names
from docs.reference.docstrings import rst
from docs.reference.names import ROOT, Entry

__all__ = ["completed", "describe", "write"]

LAST = 10**6  # after all lines: what is made from a table

# which floor of the house a file belongs to, for the table of contents: a folder, or one file of it
CHAPTERS = {
    "Tensors and autograd": ("npnn/tensor.py", "npnn/function.py", "npnn/autograd.py", "npnn/modes.py", "npnn/views.py",
                             "npnn/dtypes.py", "npnn/device.py", "npnn/printing.py", "npnn/__init__.py",
                             "npnn/jacobians.py", "npnn/func.py"),
    "Operations": ("npnn/ops", "npnn/linalg.py"),
    "Random numbers": ("npnn/random.py", "npnn/generator.py", "npnn/distributions"),
    "Layers, losses and activations": ("npnn/nn",),
    "Optimisers and schedules": ("npnn/optim",),
    "Data": ("npnn/data", "npnn/vision", "npnn/utils/data.py"),
    "Training": ("npnn/train", "npnn/utils"),
    "Checking": ("npnn/testing", "npnn/environment.py", "npnn/errors.py"),
    "Seeing": ("npnn/plot", "npnn/look"),
    "Files and other tools": ("npnn/io", "npnn/onnx", "npnn/sklearn"),
    "Experiments": ("npnn/experiment",),
    "PyTorch's names": ("npnn/torch", "npnn/amp.py", "npnn/cuda.py", "npnn/jit.py", "npnn/kernels"),
}  # fmt: skip


def write(folder: Path) -> None:
    """Write all pages into ``folder``, which is emptied."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    entries = names.entries()
    files = {file: sorted(found, key=lambda e: (e.line or LAST, e.name)) for file, found in _by_file(entries).items()}
    contents = ["# Reference", "", _INTRODUCTION, ""]
    for chapter in CHAPTERS:
        pages = [file for file in files if chapter_of(file) == chapter]
        contents += [f"## {chapter}", "", "| names | file |", "|---|---|"]
        contents += [f"| {_links(files[file])} | [`{file.as_posix()}`]({_stem(file)}) |" for file in pages]
        contents += ["", "```{toctree}", ":hidden:", f":caption: {chapter}", "", *map(_stem, pages), "```", ""]
    (folder / "index.md").write_text("\n".join(contents))
    for file, found in files.items():
        (folder / f"{_stem(file)}.rst").write_text("\n".join(_page(file, found)))


_INTRODUCTION = """Every public name of npnn, in the file that defines it. A page has the names of one file and, below, the
file itself: formula and code are on one page. Examples are run by the tests, here and, where PyTorch has
the name, in PyTorch."""


def _by_file(entries: list[Entry]) -> dict[Path, list[Entry]]:
    ordered = sorted(entries, key=lambda entry: entry.file.as_posix())
    return {file: list(found) for file, found in groupby(ordered, key=lambda entry: entry.file)}


def chapter_of(file: Path) -> str:
    """The chapter with the longest part that the file is in."""
    fits = [
        (len(part), chapter)
        for chapter, parts in CHAPTERS.items()
        for part in parts
        if file.as_posix() == part or file.as_posix().startswith(f"{part}/")
    ]
    if not fits:
        raise LookupError(f"no chapter of the reference has {file}: name its folder in docs/reference/pages.py")
    return max(fits)[1]


def _stem(file: Path) -> str:
    return "-".join(file.with_suffix("").parts)


def _links(entries: list[Entry]) -> str:
    return ", ".join(f"{{py:obj}}`{entry.name} <{entry.address}>`" for entry in entries)


def _page(file: Path, entries: list[Entry]) -> list[str]:
    text = (ROOT / file).read_text()
    title = file.as_posix()
    about = ast.get_docstring(ast.parse(text)) or ""
    lines = [title, "=" * len(title), "", *rst(about)]
    for entry in entries:
        kind = "autoclass" if entry.is_class else "autofunction"
        lines += [f".. {kind}:: {entry.address}", *(["   :members:"] if entry.is_class else []), ""]
    lines += ["The file", "--------", "", f".. literalinclude:: /../{file.as_posix()}", "   :language: python"]
    return [*lines, "   :linenos:", ""]


def completed(text: str) -> str:
    """A layer's docstring that sends the reader to its function, with what the function says."""
    sent = re.match(r"See (\w+)\.", text)
    function = getattr(npnn.nn.functional, sent[1], None) if sent else None
    return text if function is None else f"{text.strip()}\n\n{inspect.getdoc(function)}"


def describe(address: str, value: object) -> list[str]:
    """What stands below the docstring of a public name: example, other names, PyTorch's page, the line of the code."""
    entry = _ENTRIES.get(address)
    if entry is None or inspect.unwrap(entry.value) is not inspect.unwrap(value):
        return []
    example = _EXAMPLES[entry.module].by_name[entry.name]
    lines = ["", ".. code-block:: pycon", "", *(f"   {line}" for line in example.split("\n")), ""]
    notes = []
    if entry.in_place:
        notes.append(f"In place: ``{entry.name}_``")
    if entry.also:
        notes.append("Also: " + ", ".join(f"``{name}``" for name in entry.also))
    page = names.torch_page(entry)
    if page:
        notes.append(f"`In PyTorch <{page}>`__")
    notes.append(f"Line {entry.line} of the file below" if entry.line else "Made from a table in the file below")
    return [*lines, ". ".join(notes) + ".", ""]


_ENTRIES = {entry.address: entry for entry in names.entries()}
_EXAMPLES = examples.read()
