"""The examples of the reference: a file for each module, what it imports first, then a block for each name.

python -m docs.reference.examples     runs them anew and writes what they print
"""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import npnn

__all__ = ["FOLDER", "Examples", "read"]

FOLDER = Path(__file__).parents[1] / "examples"


class Examples:
    """The examples of one module, by name."""

    def __init__(self, path: Path):
        self.path = path
        first, *blocks = re.split(r"\n\n(?=\S+\n>>>)", path.read_text().strip("\n"))
        self.setting = first  # what every example begins with
        self.by_name = dict(block.split("\n", 1) for block in blocks)

    def test(self, name: str, setting: str | None = None) -> doctest.DocTest:
        """The example of a name as a doctest, after the module's setting or another one."""
        seeded = ">>> _ = npnn.manual_seed(0)\n"
        text = f"{self.setting if setting is None else setting}\n{seeded}{self.by_name[name]}\n"
        return doctest.DocTestParser().get_doctest(text, {}, f"{self.path.stem}.{name}", str(self.path), 0)


def read() -> dict[str, Examples]:
    """The examples of all modules, by the module's name."""
    return {_module(path): Examples(path) for path in sorted(FOLDER.glob("*.txt"))}


def _module(path: Path) -> str:
    return path.stem if path.stem == "npnn" else f"npnn.{path.stem}"


class _Writer(doctest.DocTestRunner):
    """Puts what was printed where the example said what would be."""

    def __init__(self) -> None:
        super().__init__(verbose=False)
        self.found: list[tuple[doctest.Example, str]] = []

    def report_success(self, out, test, example, got):
        self.found.append((example, got))

    report_failure = report_success


def rewritten(examples: Examples) -> str:
    """The text of a file with what its examples print now.   Errors: RuntimeError for one that raises."""
    blocks = [examples.setting]
    for name in examples.by_name:
        writer = _Writer()
        test = examples.test(name)
        skipped = len(doctest.DocTestParser().get_examples(examples.setting)) + 1  # and the seed
        with npnn.random.fork_rng():
            writer.run(test, clear_globs=False)
        if len(writer.found) < len(test.examples):
            raise RuntimeError(f"the example of {examples.path.stem}.{name} raises")
        lines = []
        for example, got in writer.found[skipped:]:
            first, *rest = example.source.rstrip("\n").split("\n")
            lines += [f">>> {first}", *(f"... {line}" for line in rest)]
            lines += [line or "<BLANKLINE>" for line in got.rstrip("\n").split("\n")] if got else []
        blocks.append("\n".join([name, *lines]))
    return "\n\n".join(blocks) + "\n"


if __name__ == "__main__":
    for found in read().values():
        found.path.write_text(rewritten(found))
