"""CIFAR-10: 60,000 colour images of 32 x 32 pixels in ten classes, from the official archives.

Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.data.dataset import TrainTest, unit_images
from npnn.data.download import Remote
from npnn.data.files import locate
from npnn.errors import DataError

__all__ = ["load_cifar10", "read_pickled"]

_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_BINARY = Remote(
    "cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    (
        "https://www.cs.toronto.edu/~kriz/",
        "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
    ),
)
_NAMES = ("cifar-10-batches-bin", "cifar-10-batches-py", _BINARY.name, "cifar-10-python.tar.gz")

_PARTS = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
_IMAGES_PER_PART = 10_000
_LARGEST_PART = 40_000_000  # bytes; an archive that claims more is not this one

# The sum of all bytes of each channel, exact, for training and for test: a checksum that holds
# whatever the order of the images.  (The means .4914, .4822, .4465 that people quote, times 255 n.)
_CHANNEL_SUMS = [[6_415_714_204, 6_295_060_180, 5_829_907_619], [1_290_492_328, 1_266_775_083, 1_176_108_223]]


def load_cifar10(dtype: Any = "float32") -> TrainTest:
    """50,000 and 10,000 images (N, 3, 32, 32) in [0, 1], labels int64.

    ``dtype="uint8"`` keeps the bytes 0..255: 184 MB instead of 737 (``transforms.Normalize`` takes them).

    Looked for in NPNN_DATA, its folder ``cifar-10`` and the user's cache: the official archives
    ``cifar-10-binary.tar.gz`` and ``cifar-10-python.tar.gz``, or the folders they unpack to; else the
    former is downloaded.  What counts is what is inside: an archive that was packed anew, with the images in
    another order, is accepted if the numbers of images and labels and the sums of all bytes of each
    channel are right.  The pickles of the Python archive are read without running what they ask for.

    Nothing is cached: unpacking takes a second or two per run, a second copy 184 MB of disk.  To
    save the time, unpack the archive where it lies.

    Errors: DataError naming the file, what is wrong with it and what to do.
    """
    path = locate(_NAMES, ("cifar-10", "."), _BINARY)
    n = _IMAGES_PER_PART
    x = np.empty((len(_PARTS) * n, 3, 32, 32), np.dtype(dtype))
    y = np.empty(len(_PARTS) * n, np.int64)
    sums = np.zeros((2, 3), np.int64)
    seen = set()
    try:
        for part, raw in _parts(path):
            pixels, labels = _decode(raw)
            i = _PARTS.index(part)
            x[i * n : (i + 1) * n] = unit_images(pixels, dtype)
            y[i * n : (i + 1) * n] = labels
            sums[int(part == "test_batch")] += pixels.sum(axis=(0, 2, 3), dtype=np.int64)
            seen.add(part)
    except (EOFError, OSError, ValueError, tarfile.TarError, zlib.error) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if missing := [part for part in _PARTS if part not in seen]:
        raise _damaged(path, f"it lacks {', '.join(missing)}")
    train = len(x) - n
    counts = [np.bincount(part, minlength=10) for part in (y[:train], y[train:])]
    if any(len(c) != 10 or len(set(c)) > 1 for c in counts):
        raise _damaged(path, f"the classes should have equal numbers of images, they have {counts[0]} and {counts[1]}")
    if not np.array_equal(sums, _CHANNEL_SUMS):
        raise _damaged(path, f"the bytes of the channels add up to {sums.tolist()}, not to {_CHANNEL_SUMS}")
    return TrainTest(x[:train], y[:train], x[train:], y[train:], _CLASSES)


def _parts(path: Path) -> Iterator[tuple[str, bytes]]:
    """The name and contents of each of the six files, from a folder or an archive; one in memory at a time."""
    if path.is_dir():
        for part in _PARTS:
            found = [p for p in (path / f"{part}.bin", path / part) if p.exists()]
            if found:
                yield part, found[0].read_bytes()
        return
    with tarfile.open(path) as archive:
        for member in archive:
            part = PurePosixPath(member.name).stem
            contents = archive.extractfile(member) if part in _PARTS and member.size <= _LARGEST_PART else None
            if contents is not None:
                yield part, contents.read()


def _decode(raw: bytes) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pixels (N, 3, 32, 32) and labels of one file.  Errors: ValueError."""
    n, size = _IMAGES_PER_PART, 3 * 32 * 32
    if len(raw) == n * (1 + size):  # binary: a byte for the label, then red, green, blue
        records = np.frombuffer(raw, np.uint8).reshape(n, 1 + size)
        return records[:, 1:].reshape(n, 3, 32, 32), records[:, 0]
    try:
        pixels, table = read_pickled(raw)
        return pixels.reshape(n, 3, 32, 32), np.array(table["labels"], np.int64).reshape(n)
    except Exception as error:  # a foreign pickle can fail in any way
        raise ValueError(f"{len(raw):,} bytes that are neither binary records nor a batch pickle ({error})") from error


def read_pickled(raw: bytes) -> tuple[NDArray[Any], dict[str, Any]]:
    """The bytes of the images and the other entries of a Python batch, read without running what it asks for."""
    table = _OnlyArrays(io.BytesIO(raw), encoding="bytes").load()
    table = {k.decode() if isinstance(k, bytes) else k: v for k, v in table.items()}
    return table["data"].flat() if "data" in table else np.empty(0, np.uint8), table


class _OnlyArrays(pickle.Unpickler):
    """Reads numbers, strings, lists and dicts.  Arrays become _Inert; any other object is refused.

    A pickle is a program that calls what it names.  Here the names that an array needs, the last of them from
    protocol 5 on, all mean a class that only keeps what it is told, so nothing that the file says is ever run.
    """

    def find_class(self, module: str, name: str) -> Any:
        # NumPy 2 writes numpy._core for what NumPy 1 called numpy.core
        if (module.replace("_core", "core"), name) in {
            ("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"),
            ("numpy.core.numeric", "_frombuffer"),
        }:  # fmt: skip
            return _Inert
        if (module, name) == ("_codecs", "encode"):  # so the protocols before 3 spell bytes
            return _latin_1
        raise pickle.UnpicklingError(f"refused: the file asks for {module}.{name}")


def _latin_1(text: str, encoding: str) -> bytes:
    return text.encode("latin-1")


class _Inert:
    """Stands for an array (or its dtype) of a pickle."""

    def __init__(self, *args: Any):
        self.contents, self.shape, self.fortran = b"", (0,), False
        if len(args) == 4:  # from _frombuffer: bytes, dtype, shape, order
            self.contents, _, self.shape, order = args
            self.fortran = order == "F"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if len(state) == 5:  # of an array: version, shape, dtype, whether columns come first, bytes
            _, self.shape, _, self.fortran, self.contents = state

    def flat(self) -> NDArray[Any]:
        """The bytes of an array, row by row."""
        found = np.frombuffer(self.contents, np.uint8)
        return found.reshape(self.shape, order="F").ravel() if self.fortran else found


def _damaged(path: Path, problem: str) -> DataError:
    return DataError(
        f"{path} is damaged or is not CIFAR-10: {problem}. Delete it to have it fetched again, or download "
        f"{_BINARY.name} (SHA-256 {_BINARY.sha256}) from {_BINARY.mirrors[0]} by hand and put it in its place."
    )
