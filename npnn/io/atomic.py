"""Writing a file so that at every moment either the old one or the new one is there, whole."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["atomic_write"]


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """``with atomic_write(path) as file: file.write(...)``: the file appears when the block ends well.

    The bytes go to a new file in the same folder, reach the disk, and then take the place of ``path``
    in one move.  If the block raises, the disk is full or the process dies, ``path`` is as it was.
    Behind a symbolic link, the file that it points to is replaced, and the link stays.
    Errors: OSError, for example where ``path`` is a folder or a device, or its folder does not exist.
    """
    target = _replaceable(path)
    temporary = target.with_name(f".npnn-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:  # a new file, with the mode that the umask asks for
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


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
