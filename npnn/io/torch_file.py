"""The writer of torch.save's files, without torch: a zip with a pickle of the objects, and their numbers beside it.

Tensors that share memory share it again when they are read (``npnn.io.torch_reader``).
"""

from __future__ import annotations

import collections
import io
import os
import pickle
import sys
import zipfile
from typing import Any, BinaryIO

import numpy as np

from npnn import dtypes, memory
from npnn.device import device
from npnn.io.atomic import atomic_write
from npnn.io.torch_reader import STORAGES
from npnn.nn.module import Parameter
from npnn.tensor import Tensor
from npnn.views import Size

__all__ = ["save"]

_NAMES = {dtype: name for name, dtype in STORAGES.items()}


class _Name:
    """A name in torch, as it stands in the pickle."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name


class _Storage:
    def __init__(self, key: str, array: Any):
        self.key, self.array = key, array


_InPython: Any = pickle._Pickler  # type: ignore[attr-defined]  # its table of types can be added to


class _Writer(_InPython):
    """Pickles tensors as torch does: by the storage they look at, and how."""

    def __init__(self, file: BinaryIO):
        super().__init__(file, protocol=2)
        self.storages: dict[int, _Storage] = {}

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, _Storage):
            kind = _Name("torch", _NAMES[obj.array.dtype.name])
            return "storage", kind, obj.key, "cpu", obj.array.size
        return None

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, _Name):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Tensor):
            self._save_tensor(obj)
        elif isinstance(obj, dtypes.dtype):
            self.save(_Name("torch", obj.name))
        elif isinstance(obj, Size):
            self.save_reduce(_Name("torch", "Size"), (tuple(obj),))
        elif isinstance(obj, device):
            self.save_reduce(_Name("torch", "device"), (str(obj),))
        else:
            super().save(obj, save_persistent_id)

    def save_reduce(self, func: Any, args: Any, *rest: Any, **named: Any) -> None:
        if not isinstance(func, _Name):
            super().save_reduce(func, args, *rest, **named)
            return
        self.save(func)
        self.save(args)
        self.write(pickle.REDUCE)

    def _save_tensor(self, tensor: Tensor) -> None:
        if id(tensor) in self.memo:
            self.write(self.get(self.memo[id(tensor)][0]))
            return
        array = tensor.array
        home = memory.owner(array)
        flat = home.reshape(-1, order="A") if home.flags.forc else None
        if flat is None and home.base is None:  # it owns its memory, in an order of its own
            flat = home.transpose(sorted(range(home.ndim), key=lambda a: -home.strides[a])).reshape(-1)
        if flat is None or home.dtype != array.dtype or any(s < 0 or s % array.itemsize for s in array.strides):
            home = array = np.ascontiguousarray(array)
            flat = home.reshape(-1)
        storage = self.storages.get(id(home))
        if storage is None:
            storage = self.storages[id(home)] = _Storage(str(len(self.storages)), flat)
        offset = (array.__array_interface__["data"][0] - flat.__array_interface__["data"][0]) // array.itemsize
        strides = tuple([s // array.itemsize for s in array.strides])
        hooks: Any = collections.OrderedDict()
        wants = tensor.requires_grad if not isinstance(tensor, Parameter) else False
        parts = (storage, offset, tuple(array.shape), strides, wants, hooks)
        if isinstance(tensor, Parameter):
            self.save(_Name("torch._utils", "_rebuild_parameter"))
            self.write(pickle.MARK)
            self.save_reduce(_Name("torch._utils", "_rebuild_tensor_v2"), parts)
            self.save(tensor.requires_grad)
            self.save(collections.OrderedDict())
            self.write(pickle.TUPLE)
            self.write(pickle.REDUCE)
        else:
            self.save_reduce(_Name("torch._utils", "_rebuild_tensor_v2"), parts)
        self.memoize(tensor)


def save(
    obj: Any, f: Any, pickle_module: Any = None, pickle_protocol: int = 2, _use_new_zipfile_serialization: bool = True
) -> None:
    """Write tensors, state_dicts, nested containers or whole models of npnn to a file that PyTorch reads as well.

    (PyTorch reads whole models only where npnn is installed.)  ``f`` is a path, written atomically, or an open file.
    Errors: what pickle raises for objects that cannot be pickled; OSError, and then the file that was there still is.
    """
    pickled = io.BytesIO()
    writer = _Writer(pickled)
    writer.dump(obj)
    if hasattr(f, "write"):
        _write(f, "archive", pickled.getvalue(), writer.storages)
    else:
        name = os.path.splitext(os.path.basename(os.fspath(f)))[0] or "archive"
        with atomic_write(f) as file:
            _write(file, name, pickled.getvalue(), writer.storages)


def _write(file: BinaryIO, name: str, pickled: bytes, storages: dict[int, _Storage]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:

        def put(path: str, data: Any) -> None:
            entry = zipfile.ZipInfo(f"{name}/{path}")
            # torch maps storages into memory, and wants them on multiples of 64: the extra field fills up
            start = archive.fp.tell() + 30 + len(entry.filename.encode())  # type: ignore[union-attr]
            gap = -start % 64
            gap += 64 if 0 < gap < 4 else 0
            entry.extra = b"FB" + (gap - 4).to_bytes(2, "little") + b"Z" * (gap - 4) if gap else b""
            archive.writestr(entry, data)

        put("data.pkl", pickled)
        put("byteorder", sys.byteorder)
        for storage in storages.values():
            put(f"data/{storage.key}", np.ascontiguousarray(storage.array).tobytes())
        put("version", "3\n")
