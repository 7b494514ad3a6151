"""MNIST and Fashion-MNIST: 70,000 grey images of 28 x 28 pixels in ten classes, as idx files.

Sources: LeCun, Bottou, Bengio & Haffner, Gradient-Based Learning Applied to Document Recognition, 1998;
Xiao, Rasul & Vollgraf, Fashion-MNIST, 2017.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.data.dataset import TrainTest, unit_images
from npnn.data.download import Remote
from npnn.data.files import locate
from npnn.errors import DataError

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
    ("mnist", "MNIST/raw", "."),
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
    The files, packed with gzip or not, are looked for in NPNN_DATA, its folders ``mnist`` and
    ``MNIST/raw``, and in the user's cache, else downloaded; their unpacked bytes must have the known hash.
    Errors: DataError naming the file, the hash and what to do.
    """
    return _load(_MNIST, dtype)


def load_fashion_mnist(dtype: Any = "float32") -> TrainTest:
    """As load_mnist: images of ten kinds of clothes, from the folders ``fashion-mnist`` or ``FashionMNIST/raw``."""
    return _load(_FASHION, dtype)


def _load(collection: _Collection, dtype: Any) -> TrainTest:
    arrays = []
    for name, (packed, md5) in collection.hashes.items():
        remote = Remote(f"{name}.gz", packed, collection.mirrors)
        path = locate((name, f"{name}.gz"), collection.subfolders, remote)
        arrays.append(read_idx(path, md5))
    train_x, train_y, test_x, test_y = arrays
    return TrainTest(
        unit_images(train_x[:, None], dtype), train_y.astype(np.int64),
        unit_images(test_x[:, None], dtype), test_y.astype(np.int64), collection.classes,
    )  # fmt: skip


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
        raise _damaged(path, f"it is not an idx file: it begins with {raw[:4].hex(' ') or 'nothing'}", md5)
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
