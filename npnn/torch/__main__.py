"""python -m npnn.torch [--check] script.py args... | -m package.module args..."""

from __future__ import annotations

import runpy
import sys

import npnn.torch

USAGE = "usage: python -m npnn.torch [--check] script.py [args ...] | -m package.module [args ...]"


def check(path: str) -> int:
    """Print the names that npnn lacks; 1 if there are any, 2 if the file cannot be read."""
    from npnn.torch.check import missing, source_of

    try:
        rows = list(missing(source_of(path)))
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    for line, name, why in rows:
        print(f"{path}:{line}: {name}" + (f"  ({why})" if why else ""))
    if not rows:
        print(f"{path}: npnn has every name of torch that it uses")
    return 1 if rows else 0


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__ if argv else USAGE, file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 2
    if argv[0] == "--check":
        if len(argv) < 2:
            print(USAGE, file=sys.stderr)
            return 2
        return max(check(path) for path in argv[1:])
    npnn.torch.install()
    if argv[0] == "-m":
        if len(argv) < 2:
            print(USAGE, file=sys.stderr)
            return 2
        sys.argv = argv[1:]
        sys.path.insert(0, "")
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        import os

        sys.argv = argv
        sys.path.insert(0, os.path.dirname(os.path.abspath(argv[0])))
        runpy.run_path(argv[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
