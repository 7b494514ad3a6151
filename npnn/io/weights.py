"""Weights on disk: safetensors files, which hold names, shapes and numbers, and can run no code.

A file is the length of a header (8 bytes), the header (JSON) and the arrays one after the other.
The header says for each name the dtype, the shape and where its bytes begin and end.  npnn adds a
SHA-256 of header and data, as no other part of the format notices a flipped bit in a weight.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from npnn.errors import CheckpointError
from npnn.io.atomic import atomic_write
from npnn.io.torch_interop import as_array

__all__ = ["load_file", "read", "save_file"]

_CODES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bool": "BOOL",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8",
}  # fmt: skip

_OURS = "npnn."  # metadata under these names is the file format's own
_FORMAT, _CHECKSUM = _OURS + "format", _OURS + "sha256"
_BLANK = b"0" * 64  # stands in the header for its own checksum
_LONGEST_HEADER = 4_000_000  # bytes: 50,000 names.  To take a hostile header apart costs 40 times its length.

# What files of other kinds begin with
_FOREIGN = {
    b"PK\x03\x04": "a zip archive, such as torch.save and np.savez write",
    **{b"\x80" + bytes([protocol]): "a pickle, such as torch.save used to write" for protocol in range(2, 6)},
    b"\x93NUMPY": "a .npy file",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip archive",
}


def save_file(
    state_dict: Mapping[str, Any], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a dict of tensors or arrays (npnn's, NumPy's or torch's) to a safetensors file, atomically.

    ``metadata`` are strings to keep with them.
    Errors: TypeError for values that are no arrays of numbers, naming them; ValueError for more than
    4 MB of names and metadata; OSError if the disk refuses, and then the file that was there before still is.
    """
    notes = dict(metadata or {})
    for key, text in notes.items():
        if not isinstance(key, str) or not isinstance(text, str) or key.startswith(_OURS):
            raise TypeError(f"metadata are strings under names that do not begin with {_OURS!r}, got {key!r}: {text!r}")
    arrays = {name: _storable(name, value) for name, value in state_dict.items()}
    # The widest dtype first, so that every array begins at a multiple of its item size
    order = sorted(arrays.values(), key=lambda array: -array.itemsize)
    ends = np.cumsum([array.nbytes for array in order], dtype=np.int64).tolist()
    offsets = {id(array): [end - array.nbytes, end] for array, end in zip(order, ends, strict=True)}
    entries = {
        name: {"dtype": _CODES[array.dtype.name], "shape": array.shape, "data_offsets": offsets[id(array)]}
        for name, array in arrays.items()
    }
    # The checksum comes first, so that what looks like it in the notes is not taken for it
    notes = {_CHECKSUM: _BLANK.decode(), _FORMAT: "1", **notes}
    header = json.dumps({"__metadata__": notes, **entries}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > _LONGEST_HEADER:
        raise ValueError(f"names and metadata take {len(header):,} bytes, more than the {_LONGEST_HEADER:,} allowed")
    digest = hashlib.sha256(header)
    for array in order:
        digest.update(_bytes(array))
    with atomic_write(path) as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header.replace(_BLANK, digest.hexdigest().encode(), 1))
        for array in order:
            file.write(_bytes(array))


def _storable(name: str, value: Any) -> NDArray[Any]:
    """The value as an array object of its own, of a dtype that the format has."""
    if not isinstance(name, str) or name == "__metadata__":
        raise TypeError(f"the name of a tensor must be a string other than '__metadata__', got {name!r}")
    array = as_array(value)
    if not isinstance(array, np.ndarray) or array.dtype.name not in _CODES:
        kind = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else type(value).__name__
        raise TypeError(f"{name}: a safetensors file holds arrays of {', '.join(_CODES)}; this is {kind}")
    return array.view()


def _bytes(array: NDArray[Any]) -> memoryview:
    """The array's bytes in the file: little-endian, the last axis fastest."""
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return plain.reshape(-1).view(np.uint8).data


def load_file(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file by name, in the order in which they were saved.

    Errors: CheckpointError if the file is missing, damaged, of another kind, or fails its checksum.
    """
    return read(path)[0]


def read(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The arrays of a safetensors file, and its metadata.  Errors: as load_file's."""
    from safetensors import SafetensorError, safe_open

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise CheckpointError(path, "this is a folder or a device, not a file")
        with open(path, "rb") as file:
            header = _read_header(path, file)
            np.empty(os.fstat(file.fileno()).st_size, np.uint8)  # a MemoryError, before terabytes of holes are read
            with safe_open(os.fspath(path), framework="np") as content:  # checks every name, shape and offset
                if not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                    return read(path)  # a new file took its place between the two looks
                metadata = content.metadata() or {}
                _verify(path, header, file, metadata)
                arrays = {name: content.get_tensor(name) for name in _names(path, header)}
    except SafetensorError as error:
        raise CheckpointError(path, f"damaged or truncated ({error})") from error
    except MemoryError as error:
        raise CheckpointError(path, "it takes more memory than there is") from error
    except OSError as error:
        raise CheckpointError(path, (error.strerror or str(error)).lower()) from error
    return arrays, {key: text for key, text in metadata.items() if not key.startswith(_OURS)}


def _read_header(path: Any, file: BinaryIO) -> bytes:
    """The header's bytes, once a look at its length and first byte says that it can be one."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if start[8:] == b"{" and 2 <= length <= size - 8:
        if length > _LONGEST_HEADER:
            raise CheckpointError(path, f"its header has {length:,} bytes, at most {_LONGEST_HEADER:,} are read")
        return start[8:] + file.read(length - 1)
    for signature, kind in _FOREIGN.items():
        if start.startswith(signature):
            raise CheckpointError(
                path, f"it is {kind}, not a safetensors file; npnn unpickles nothing, as that can run any code: "
                "open it with the program that wrote it and save the weights with safetensors",
            )  # fmt: skip
    if not start:
        raise CheckpointError(path, "the file is empty")
    if len(start) < 8 or size - 8 < length <= _LONGEST_HEADER:
        raise CheckpointError(path, f"truncated, or not a safetensors file: it ends after {size} bytes, in its header")
    raise CheckpointError(path, "not a safetensors file: it does not begin with a header")


def _names(path: Any, header: bytes) -> list[str]:
    """The names of the arrays, in the header's order, if NumPy has a dtype for each."""
    entries = json.loads(header)
    entries.pop("__metadata__", None)
    for name, entry in entries.items():
        if entry["dtype"] not in _CODES.values():
            raise CheckpointError(path, f"{name} is {entry['dtype']}, for which NumPy has no dtype")
    return list(entries)


def _verify(path: Any, header: bytes, file: BinaryIO, metadata: Mapping[str, str]) -> None:
    """Compare the checksum, if there is one, with the bytes; ``file`` stands at the first of the data."""
    expected = metadata.get(_CHECKSUM)
    if expected is None:
        if any(key.startswith(_OURS) for key in metadata):
            raise CheckpointError(path, "damaged: npnn wrote it, but its checksum is not there")
        return
    digest = hashlib.sha256(header.replace(expected.encode(), _BLANK, 1))
    for block in _blocks(file):
        digest.update(block)
    if digest.hexdigest() != expected:
        raise CheckpointError(path, "damaged: its bytes do not match the checksum that was saved with them")


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(1 << 20):
        yield block
