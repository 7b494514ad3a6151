"""MNIST and Fashion-MNIST: 70,000 grey images of 28 x 28 pixels in ten classes, as idx files.

Sources: LeCun, Bottou, Bengio & Haffner, Gradient-Based Learning Applied to Document Recognition, 1998;
Xiao, Rasul & Vollgraf, Fashion-MNIST, 2017.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.data.dataset import TrainTest, unit_images
from npnn.data.download import Remote
from npnn.data.files import find, locate
from npnn.errors import DataError, warn

__all__ = ["load_fashion_mnist", "load_mnist", "read_idx"]


@dataclass(frozen=True)
class _Collection:
    """Four files; each with the SHA-256 of its bytes as published (gzip), and the MD5 of what is inside."""

    title: str
    subfolders: Sequence[str]
    mirrors: Sequence[str]
    hashes: dict[str, tuple[str, str]]
    classes: tuple[str, ...]


_MNIST = _Collection(
    "MNIST",
    ("mnist", "MNIST/raw", "MNIST", "."),
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
    {
        "train-images-idx3-ubyte": (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "6bbc9ace898e44ae57da46a324031adb",
        ),
        "train-labels-idx1-ubyte": (
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "a25bea736e30d166cdddb491f175f624",
        ),
        "t10k-images-idx3-ubyte": (
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "2646ac647ad5339dbf082846283269ea",
        ),
        "t10k-labels-idx1-ubyte": (
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    },
    tuple("0123456789"),
)

_FASHION = _Collection(
    "Fashion-MNIST",
    ("fashion-mnist", "FashionMNIST/raw"),
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    {
        "train-images-idx3-ubyte": (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        ),
        "train-labels-idx1-ubyte": (
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "9018921c3c673c538a1fc5bad174d6f9",
        ),
        "t10k-images-idx3-ubyte": (
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "8181f5470baa50b63fa0f6fddb340f0a",
        ),
        "t10k-labels-idx1-ubyte": (
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
    },
    ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
)


def load_mnist(dtype: Any = "float32") -> TrainTest:
    """60,000 and 10,000 handwritten digits, images (N, 1, 28, 28) in [0, 1], labels int64.

    ``dtype="uint8"`` keeps the bytes 0..255, a quarter of the memory (``transforms.Normalize`` takes them).
    The files, packed with gzip or not, are looked for in NPNN_DATA, its folders ``mnist`` and ``MNIST/raw``, and in
    the user's cache, else downloaded; their unpacked bytes must have the known hash.  ``train-images.idx3-ubyte`` and
    the like are known, too, and ``mnist.npz`` or ``mnist_train.csv`` with ``mnist_test.csv``, whose numbers must have
    the same hash; and a ``train.csv`` of ``label,pixel0,...``, with 42,000 of the images.
    Errors: DataError naming the file, the hash and what to do.
    """
    return _load(_MNIST, dtype)


def load_fashion_mnist(dtype: Any = "float32") -> TrainTest:
    """As load_mnist: images of ten kinds of clothes, from the folders ``fashion-mnist`` or ``FashionMNIST/raw``."""
    return _load(_FASHION, dtype)


def _load(collection: _Collection, dtype: Any) -> TrainTest:
    arrays = _held_otherwise(collection) or [
        read_idx(locate(_spellings(name), collection.subfolders, Remote(f"{name}.gz", packed, collection.mirrors)), md5)
        for name, (packed, md5) in collection.hashes.items()
    ]
    train_x, train_y, test_x, test_y = arrays
    return TrainTest(
        unit_images(train_x[:, None], dtype), train_y.astype(np.int64),
        unit_images(test_x[:, None], dtype), test_y.astype(np.int64), collection.classes,
    )  # fmt: skip


def _spellings(name: str) -> tuple[str, ...]:
    """The names of one file: with a hyphen or a dot before idx, packed or not."""
    dotted = name.replace("-idx", ".idx")
    return name, f"{name}.gz", dotted, f"{dotted}.gz"


def _held_otherwise(collection: _Collection) -> list[NDArray[Any]] | None:
    """The four arrays from one .npz or from .csv files, if idx files are not there; None if these are not, either."""
    folders = collection.subfolders
    if find(_spellings(next(iter(collection.hashes))), folders) is not None:
        return None
    stem = collection.title.lower()
    for names, read in (
        (_TABLES[stem][:1], _from_npz),
        (_TABLES[stem][1:2], _from_tables),
        (("train.csv",), _from_kaggle),
    ):
        path = find(names, folders)
        if path is not None:
            arrays = read(path)
            if read is not _from_kaggle:
                for array, (name, (_, md5)) in zip(arrays, collection.hashes.items(), strict=True):
                    found = hashlib.md5(_as_idx(array), usedforsecurity=False).hexdigest()
                    if found != md5:
                        raise _damaged(
                            path, f"its {'-'.join(name.split('-')[:2])} are not those of {collection.title}", None
                        )
            return arrays
    return None


_TABLES = {  # .npz, and .csv of the training set, beside which the test set's lies
    "mnist": ("mnist.npz", "mnist_train.csv"),
    "fashion-mnist": ("fashion-mnist.npz", "fashion-mnist_train.csv"),
}


def _as_idx(array: NDArray[Any]) -> bytes:
    """The bytes of the idx file that has this array: what its known hash is of."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype("u1").tobytes()


def _from_npz(path: Path) -> list[NDArray[Any]]:
    """x_train, y_train, x_test and y_test, as Keras has them."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return [np.asarray(file[name]) for name in ("x_train", "y_train", "x_test", "y_test")]
    except (EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, f"it has no arrays x_train, y_train, x_test and y_test ({error})", None) from error


def _from_tables(path: Path) -> list[NDArray[Any]]:
    """Rows of a label and 784 pixels, with a line of names above or without, of the training set and of the test set."""
    other = path.with_name(path.name.replace("train", "test"))
    if not other.exists():
        raise DataError(f"{path} has the training set only: {other.name} is to lie beside it")
    return [*_table(path), *_table(other)]


def _from_kaggle(path: Path) -> list[NDArray[Any]]:
    """train.csv, ``label,pixel0,...``: 42,000 of the 70,000 images.  The last sixth is for the test."""
    images, labels = _table(path)
    cut = len(images) - len(images) // 6
    warn(
        f"{path.name} has {len(images):,} labelled images and no test set: the last {len(images) - cut:,} are for the test"
    )
    return [images[:cut], labels[:cut], images[cut:], labels[cut:]]


def _table(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        with open(path, encoding="ascii") as file:
            named = file.readline().startswith(("label", '"label"'))
        rows = np.loadtxt(path, np.int32, delimiter=",", skiprows=int(named), ndmin=2)
    except (OSError, ValueError) as error:
        raise _damaged(path, f"it is no table of whole numbers ({error})", None) from error
    if rows.shape[1] != 785 or rows.min(initial=0) < 0 or rows.max(initial=0) > 255:
        raise _damaged(path, f"a row is a label and 784 pixels from 0 to 255, these have {rows.shape[1]} numbers", None)
    return rows[:, 1:].reshape(-1, 28, 28).astype("u1"), rows[:, 0].astype("u1")


_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | Path, md5: str | None = None) -> NDArray[Any]:
    """The array in an idx file, which may be packed with gzip.

    The format: two zero bytes, one for the type, one for the number of axes, the lengths of the axes
    as big-endian 4-byte numbers, then the elements.
    ``md5``, if given, is what the hash of the unpacked bytes must be.
    Errors: DataError saying how the file differs from this.
    """
    raw = _unpacked(Path(path), md5)
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _IDX_TYPES:
        page = raw.lstrip()[:1] == b"<"
        begins = "a web page, saved under this name" if page else f"begins with {raw[:4].hex(' ') or 'nothing'}"
        raise _damaged(path, f"it is not an idx file: it {'is ' * page}{begins}", md5)
    dtype, start = np.dtype(_IDX_TYPES[raw[2]]), 4 + 4 * raw[3]
    if len(raw) < start:
        raise _damaged(path, "it ends within its header", md5)
    shape = tuple(np.frombuffer(raw, ">u4", raw[3], 4).tolist())
    size = start + math.prod(shape) * dtype.itemsize
    if len(raw) != size:
        raise _damaged(path, f"its header promises {size:,} bytes (shape {shape}), it has {len(raw):,}", md5)
    if md5 is not None and (found := hashlib.md5(raw, usedforsecurity=False).hexdigest()) != md5:
        raise _damaged(path, f"its contents have the MD5 {found}", md5)
    return np.frombuffer(raw, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _unpacked(path: Path, md5: str | None) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (EOFError, OSError, zlib.error) as error:
        raise _damaged(path, str(error), md5) from error


def _damaged(path: str | Path, problem: str, md5: str | None) -> DataError:
    expected = f" Its unpacked contents should have the MD5 {md5}." if md5 else ""
    return DataError(f"{path} is damaged or is another file: {problem}.{expected} Delete it to have it fetched again.")
