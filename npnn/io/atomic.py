"""Writing a file so that at every moment either the old one or the new one is there, whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where nobody deletes a file that is open: it needs no lock
    fcntl = None  # type: ignore[assignment]

__all__ = ["atomic_write"]


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """``with atomic_write(path) as file: file.write(...)``: the file appears when the block ends well.

    The bytes go to a new file in the same folder, reach the disk, and then take the place of ``path``
    in one move.  If the block raises, the disk is full or the process dies, ``path`` is as it was.
    What a process that was killed has left half-written (``.npnn-*.tmp``) goes when ``path`` is next saved.
    Behind a symbolic link, the file that it points to is replaced, and the link stays.
    Errors: OSError, for example where ``path`` is a folder or a device, or its folder does not exist.
    """
    target = _replaceable(path)
    prefix = f".npnn-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}-"
    _clear(target.parent, prefix)
    file = _create(target.parent, prefix)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows moves no open file
            os.replace(file.name, target)
        _sync_folder(target.parent)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file.name)


def _create(folder: Path, prefix: str) -> BinaryIO:
    """A new file, with the mode that the umask asks for, locked for as long as it is open: its writer lives."""
    while True:
        file = open(folder / f"{prefix}{secrets.token_hex(8)}.tmp", "xb")  # noqa: SIM115  the caller closes it
        if fcntl is None:
            return file
        with contextlib.suppress(OSError):  # some network folders know no locks; nobody clears up there
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.path.exists(file.name):
            return file
        file.close()  # before the lock was on it, another process took it for abandoned


def _clear(folder: Path, prefix: str) -> None:
    """Delete the temporary files of writers that are no more."""
    for left in folder.glob(f"{prefix}*.tmp"):
        with contextlib.suppress(OSError), open(left, "r+b") as file:  # an error: its writer lives
            if fcntl is None:
                file.close()
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(left)


def _replaceable(path: str | os.PathLike[str]) -> Path:
    """The place to write to, links followed, if it is free or holds a regular file."""
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(target.parent))
    with contextlib.suppress(FileNotFoundError):
        kind = target.lstat().st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, "this is a folder", str(path))
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "this is not a regular file, so it is not replaced", str(path))
    return target


def _sync_folder(folder: Path) -> None:
    """Make the move itself last: the folder's list of names is data, too."""
    with contextlib.suppress(OSError):  # some systems cannot open a folder, some cannot sync it
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
