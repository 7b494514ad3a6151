"""The reader of torch.save's files: it knows a few names (tensors, their storages, dicts) and refuses every other.

Nothing in a file is run.  The one exception are classes of layers and models that this program has defined
itself, which only get their attributes back.  Tensors that share memory share it again.
"""

from __future__ import annotations

import builtins
import collections
import io
import os
import pickle
import sys
import types
import zipfile
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO

import numpy as np

from npnn import dtypes
from npnn.device import check_device, device
from npnn.errors import CheckpointError
from npnn.nn.module import Module, Parameter
from npnn.tensor import Tensor, _from_array
from npnn.views import Size

__all__ = ["load"]

STORAGES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
    "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
}  # fmt: skip


def _tensor(storage: Any, offset: int, size: Any, stride: Any, requires_grad: bool = False, *rest: Any) -> Tensor:
    flat, size, stride = storage, tuple(map(int, size)), tuple(map(int, stride))
    reach = sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if 0 not in size else -1
    if offset < 0 or any(n < 0 for n in size) or any(s < 0 for s in stride) or offset + reach >= flat.size:
        raise pickle.UnpicklingError("a tensor looks beyond its storage")
    array = np.lib.stride_tricks.as_strided(flat[offset:], size, [s * flat.itemsize for s in stride])
    new = _from_array(array)
    new._requires_grad = bool(requires_grad) and array.dtype.kind == "f"
    return new


def _parameter(data: Tensor, requires_grad: bool, *rest: Any) -> Parameter:
    return Parameter(data, bool(requires_grad) and data.array.dtype.kind == "f")


def _numpys(module: str, name: str) -> Any:
    from numpy._core import multiarray, numeric  # the names by which NumPy pickles arrays and numbers

    return getattr({"multiarray": multiarray, "numeric": numeric}[module], name)


def _encoded(text: str, encoding: str) -> bytes:
    """How protocol 2 writes bytes: as a text of latin1.  Any other codec is refused."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the codec {encoding!r} is not allowed in a checkpoint")
    return text.encode("latin1")


_KNOWN: dict[tuple[str, str], Callable[[], Any]] = {
    ("collections", "OrderedDict"): lambda: collections.OrderedDict,
    ("collections", "defaultdict"): lambda: collections.defaultdict,
    ("collections", "Counter"): lambda: collections.Counter,
    ("torch._utils", "_rebuild_tensor_v2"): lambda: _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda: _parameter,
    ("torch", "Size"): lambda: Size,
    ("torch", "device"): lambda: device,
    ("torch.nn.parameter", "Parameter"): lambda: Parameter,
    ("numpy", "dtype"): lambda: np.dtype,
    ("numpy", "ndarray"): lambda: np.ndarray,
    ("_codecs", "encode"): lambda: _encoded,
    **{(module, n): partial(getattr, builtins, n) for module in ("builtins", "__builtin__")
       for n in ("set", "frozenset", "list", "dict", "tuple", "int", "float", "str", "bool", "bytes", "bytearray",
                 "complex", "slice", "range")},
    **{(f"numpy.{core}.{module}", name): partial(_numpys, module, name) for core in ("core", "_core")
       for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))},
    **{("torch", name): partial(dtypes.NAMES.__getitem__, name) for name in dtypes.NAMES},
}  # fmt: skip


class _Reader(pickle.Unpickler):
    """Knows the names above and no others."""

    def __init__(self, file: BinaryIO, storage: Callable[[str, str, int], Any]):
        super().__init__(file)
        self.storage = storage

    def find_class(self, module: str, name: str) -> Any:
        found = _KNOWN.get((module, name))
        if found is not None:
            return found()
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) in (("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor")):
            return _new_module
        own = getattr(sys.modules.get(module), name, None)
        if isinstance(own, type) and (issubclass(own, Module) or own is object):
            return own
        if module.startswith("npnn.") and isinstance(own, type) and issubclass(own, tuple):
            return own  # the named tuples in which layers keep their sizes
        if module.startswith("npnn.nn.") and isinstance(own, types.FunctionType):
            return own  # an activation that a model was given as a function
        if (module, name) in (("__builtin__", "object"), ("builtins", "object")):
            return object
        raise pickle.UnpicklingError(
            f"it holds {module}.{name}, which is not a tensor, a container, or a model that this program defines: "
            "loading it could run code, so it is refused (save the state_dict instead)"
        )

    def persistent_load(self, pid: Any) -> Any:
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage"):
            raise pickle.UnpicklingError(f"unknown reference {pid!r}")
        return self.storage(str(pid[1]), str(pid[2]), int(pid[4]))


def _new_module(cls: type, base: type, state: Any) -> Any:
    if not issubclass(cls, Module) or base is not object:
        raise pickle.UnpicklingError(f"{cls.__name__} is not a model")
    return object.__new__(cls)


def load(
    f: Any, map_location: Any = None, pickle_module: Any = None, *, weights_only: bool | None = None,
    mmap: bool | None = None, **pickle_load_args: Any,
) -> Any:  # fmt: skip
    """What ``torch.save`` of PyTorch or of npnn wrote.  float16 and bfloat16 become float32.

    ``map_location`` takes the CPU.  ``weights_only=False`` opens no further door: names that are not tensors,
    containers or models of this program are refused in any case.
    Errors: CheckpointError, with path and reason, for a damaged or foreign file or one with refused names;
    FileNotFoundError.
    """
    if isinstance(map_location, (str, device)):
        check_device(map_location)
    path = getattr(f, "name", "the given file") if hasattr(f, "read") else os.fspath(f)
    try:
        with zipfile.ZipFile(f) as archive:
            return _read(archive)
    except zipfile.BadZipFile:
        raise CheckpointError(path, "it is no zip archive as torch.save writes, or it is cut short") from None
    except OSError:
        raise
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(path, str(error) or type(error).__name__) from None


def _read(archive: zipfile.ZipFile) -> Any:
    entries = {entry.filename: entry for entry in archive.infolist()}
    pickles = [name for name in entries if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError("it is a zip archive, but not one of torch.save")
    root = pickles[0].removesuffix("data.pkl")
    if any(name.startswith(f"{root}code/") for name in entries):
        raise ValueError("it is a TorchScript program, which only PyTorch runs")
    for entry in entries.values():
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ValueError(f"its entry {entry.filename} is compressed, which torch.save never does")
    order = archive.read(f"{root}byteorder").decode() if f"{root}byteorder" in entries else "little"
    loaded: dict[str, Any] = {}

    def storage(kind: str, key: str, count: int) -> Any:
        if key not in loaded:
            data = bytearray(archive.read(f"{root}data/{key}"))
            letter: Any = "<" if order == "little" else ">"
            if kind == "bfloat16":  # the upper half of a float32
                halves = np.frombuffer(data, f"{letter}u2").astype(np.uint32)
                loaded[key] = (halves << np.uint32(16)).view(np.float32)
            else:
                found = np.dtype(kind).newbyteorder(letter)
                array = np.frombuffer(data, found)
                loaded[key] = (
                    array.astype(np.float32) if kind == "float16" else array.astype(found.newbyteorder("="), copy=False)
                )
            if loaded[key].size < count:
                raise ValueError(f"storage {key} is cut short")
        return loaded[key]

    return _Reader(io.BytesIO(archive.read(pickles[0])), storage).load()
