"""Compiled code on disk: numba's cache, made safe to share.

numba keeps the machine code of each function in ``__pycache__`` or, where that cannot be written,
in the user's cache folder (``NUMBA_CACHE_DIR`` names another one).  Four things can go wrong there,
and none of them may cost the user a result:

- Two processes that save at once can give two signatures one file, and later the code for float32
  runs on float64 numbers.  So a lock is held while a folder is read or written.
- Code contains the functions that it calls, but numba looks for changes in the caller's file
  alone.  So the stamp on a function covers the files it imports from as well.
- A file is damaged, or the disk is full: then the function is compiled, as if nothing were there.
- No folder can be written: then everything is compiled in each run, and one line says so.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

__all__ = ["compile_with_cache", "notice"]

_said: set[str] = set()


def notice(text: str) -> None:
    """Print one line on stderr, once in the life of the process."""
    if text not in _said:
        _said.add(text)
        print(f"npnn: {text}", file=sys.stderr, flush=True)


def compile_with_cache(function: Callable[..., Any], **options: Any) -> Any:
    """numba.njit with its cache, or without it if there is no folder for it; compiles at the first call."""
    import numba

    try:
        compiled = numba.njit(cache=True, **options)(function)
        compiled._cache._cache_file._source_stamp = _stamp(Path(function.__code__.co_filename))
    except RuntimeError:  # no folder can be written
        compiled = numba.njit(**options)(function)
        _cannot_keep()
    compiled._cache = _SharedCache(compiled._cache)
    return compiled


def _cannot_keep() -> None:
    notice("compiled kernels cannot be kept, each run compiles them; NUMBA_CACHE_DIR can name a folder for them")


@functools.cache
def _stamp(source: Path) -> str:
    """A hash of a source file, and of the kernel files that it imports from, and so on."""
    texts: dict[Path, bytes] = {}
    waiting = [source]
    while waiting:
        path = waiting.pop()
        if path not in texts and path.is_file():
            texts[path] = path.read_bytes()
            names = re.findall(rb"from npnn\.kernels\.(\w+) import", texts[path])
            waiting += [path.with_name(f"{name.decode()}.py") for name in names]
    return hashlib.sha256(b"".join(texts[path] for path in sorted(texts))).hexdigest()


class _SharedCache:
    """The cache of one function: what numba asks of it, with a lock, and without errors."""

    def __init__(self, cache: Any):
        self.cache, self.cache_path = cache, cache.cache_path

    def load_overload(self, signature: Any, context: Any) -> Any:
        found = None
        try:
            with self._locked(exclusive=False):
                found = self.cache.load_overload(signature, context)
        except Exception:  # whatever reading a damaged file may lead to
            self._forget()
        if found is None:
            notice("compiling kernels for this machine, the first run takes a while ...")
        return found

    def save_overload(self, signature: Any, compiled: Any) -> None:
        try:
            with self._locked(exclusive=True):
                self.cache.save_overload(signature, compiled)
        except OSError:
            self._forget()  # the index must not name a file that was not written
            _cannot_keep()

    def _forget(self) -> None:
        with contextlib.suppress(OSError), self._locked(exclusive=True):
            self.cache.flush()

    @contextlib.contextmanager
    def _locked(self, exclusive: bool) -> Iterator[None]:
        if fcntl is None or self.cache_path is None:
            yield
            return
        with open(Path(self.cache_path) / "npnn.lock", "w") as file:
            with contextlib.suppress(OSError):  # some network folders know no locks
                fcntl.flock(file, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
