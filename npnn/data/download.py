"""Fetching a file from the net: one that breaks off goes on where it stopped, a wrong one never gets its name."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from npnn.data._optional import require

try:
    import fcntl
except ImportError:  # Windows: there two processes that fetch one file at once spoil it, and the hash tells
    fcntl = None  # type: ignore[assignment]

__all__ = ["Remote", "fetch"]

_PATIENCE = 30  # seconds without an answer
_BLOCK = 1 << 13  # bytes; of a transfer that breaks off, less than this is lost


@dataclass(frozen=True)
class Remote:
    """A file on the net: its name, the SHA-256 of its bytes, and the addresses (less the name) to try in turn."""

    name: str
    sha256: str
    mirrors: Sequence[str]


def fetch(remote: Remote, folder: Path) -> tuple[Path | None, list[str]]:
    """The file in ``folder``, from the first mirror that has it whole (None if none has), and what was wrong before.

    What arrives is kept in ``<name>.part``, where the next mirror or the next attempt goes on, and is
    moved to its place once all of it has the known hash.  A second process waits for the first.
    """
    requests = require("requests", f"downloading {remote.name}", "data")
    folder.mkdir(parents=True, exist_ok=True)
    problems: list[str] = []
    for mirror in remote.mirrors:
        try:
            return _fetch(requests, mirror + remote.name, remote, folder), problems
        except (OSError, ValueError) as error:  # no answer (requests' errors are OSErrors); not the bytes expected
            problems.append(f"{mirror + remote.name}: {error}")
    return None, problems


def _fetch(requests: Any, url: str, remote: Remote, folder: Path) -> Path:
    target, partial = folder / remote.name, folder / f"{remote.name}.part"
    with open(partial, "ab") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        if target.exists():
            return target  # while we waited for it
        resumed = file.tell() > 0
        _receive(requests, url, file)
        found = _sha256(partial)
        if found != remote.sha256 and resumed:  # the beginning may have been another mirror's, and wrong
            file.truncate(0)
            _receive(requests, url, file)
            found = _sha256(partial)
        if found != remote.sha256:
            file.truncate(0)
            raise ValueError(f"it has the SHA-256 {found}")
        os.fsync(file.fileno())
        if fcntl is None:
            file.close()  # Windows moves no open file
        os.replace(partial, target)
    return target


def _receive(requests: Any, url: str, file: BinaryIO) -> None:
    """Append to the file what it lacks; all, if the server knows no parts."""
    begun = file.seek(0, os.SEEK_END)
    wanted = {"Accept-Encoding": "identity", **({"Range": f"bytes={begun}-"} if begun else {})}
    with requests.get(url, headers=wanted, stream=True, timeout=_PATIENCE) as answer:
        if begun and answer.status_code == requests.codes.range_not_satisfiable:
            return  # there is no more
        answer.raise_for_status()
        if answer.status_code != requests.codes.partial_content:
            begun = file.truncate(0)
        size = answer.headers.get("Content-Length", "")
        with _bar(begun, int(size) if size.isdecimal() else None, file) as bar:
            for block in answer.iter_content(_BLOCK):
                file.write(block)
                bar.update(len(block))
            file.flush()
            if bar.total is not None and file.tell() < bar.total:  # some versions of requests say nothing
                raise OSError(f"it broke off after {file.tell():,} of {bar.total:,} bytes")


def _bar(begun: int, more: int | None, file: BinaryIO) -> Any:
    from tqdm.auto import tqdm

    total = None if more is None else begun + more
    silent = not (sys.stderr and sys.stderr.isatty())
    return tqdm(initial=begun, total=total, unit="B", unit_scale=True, desc=Path(file.name).stem, disable=silent)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
