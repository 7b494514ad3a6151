"""Where the files of data sets are looked for, how they are fetched, and how they are checked.

A file is taken from the folder that NPNN_DATA names, else from the user's cache, else downloaded.
A download is held against the known hash before it gets its name: so whatever bears the name is whole.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from npnn.data.download import Remote, fetch
from npnn.errors import DataError

__all__ = ["also_in", "cache_folder", "find", "locate"]

_more: list[tuple[Path, bool]] = []  # roots that also_in adds, the innermost last; may they be downloaded to?


@contextlib.contextmanager
def also_in(root: Any, download: bool) -> Iterator[None]:
    """Inside the block files are looked for in ``root`` first, and are fetched, into it, only if ``download``."""
    _more.append((Path(root or "."), download))
    try:
        yield
    finally:
        _more.pop()


def locate(names: Sequence[str], subfolders: Sequence[str], remote: Remote) -> Path:
    """The path of the first of ``names`` found in any of ``subfolders`` of the data folders, else ``remote``, fetched.

    Errors: DataError that says where it was searched for and how to get it by hand.
    """
    roots, found = _roots(), find(names, subfolders)
    if found is not None:
        return found
    folders = [root / sub for root in roots for sub in subfolders]
    if _more and not _more[-1][1]:
        raise DataError(
            f"Dataset not found: {remote.name} is neither in {_more[-1][0]} nor in {' nor in '.join(map(str, roots[1:]))}. "
            "You can use download=True to download it, or set NPNN_DATA to a folder that has it."
        )
    # NPNN_DATA comes first among the roots; where it is somebody else's, the cache takes the download
    root = next((r for r in roots[:-1] if os.access(r, os.W_OK)), roots[-1])
    return _fetch(remote, root / subfolders[0], names, folders)


def find(names: Sequence[str], subfolders: Sequence[str]) -> Path | None:
    """The path of the first of ``names`` found in any of ``subfolders`` of the data folders; None if there is none."""
    for root in _roots():
        for sub in subfolders:
            for name in names:
                if (root / sub / name).exists():
                    return root / sub / name
    return None


def cache_folder() -> Path:
    """The folder of this user for files that can be had again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", _home() / "AppData" / "Local")) / "npnn" / "Cache"
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches" / "npnn"
    return Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "npnn"


def _home() -> Path:
    """A user without a home directory (in a container) has the folder for temporary files."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir())


def _roots() -> list[Path]:
    own, more = os.environ.get("NPNN_DATA"), [root for root, _ in _more[-1:]]
    if not own:
        return [*more, cache_folder()]
    if not Path(own).is_dir():
        raise DataError(f"NPNN_DATA is set to {own!r}, which is not a folder")
    return [*more, Path(own), cache_folder()]


def _fetch(remote: Remote, folder: Path, names: Sequence[str], searched: Sequence[Path]) -> Path:
    path, problems = fetch(remote, folder)
    if path is not None:
        return path
    raise DataError(
        "\n".join(
            [
                f"{remote.name} was not found, and no download succeeded.",
                f"Looked for {' or '.join(names)} in:",
                *(f"  {path}" for path in searched),
                "Tried:",
                *(f"  {problem}" for problem in problems),
                f"Download {remote.name} by hand (SHA-256 {remote.sha256}) into {folder},",
                "or set NPNN_DATA to a folder that has it.",
            ]
        )
    )
