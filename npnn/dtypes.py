"""The dtypes a Tensor may have, under torch's names, and the rule that turns data into an array.

Inside npnn a dtype is NumPy's.  What a user sees, ``npnn.float32`` and ``x.dtype``, is a :class:`dtype`,
which prints and answers questions as torch's does, and which NumPy takes wherever it wants one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npnn.device import check_device, device

__all__ = [
    "DTYPES",
    "NAMES",
    "OF",
    "as_array",
    "bool_",
    "default_float",
    "destination",
    "dtype",
    "finfo",
    "float32",
    "float64",
    "get_default_dtype",
    "iinfo",
    "int8",
    "int16",
    "int32",
    "int64",
    "of_parameters",
    "resolve",
    "set_default_dtype",
    "uint8",
]  # fmt: skip

float32, float64 = np.dtype("float32"), np.dtype("float64")
int8, int16, int32, int64 = np.dtype("int8"), np.dtype("int16"), np.dtype("int32"), np.dtype("int64")
uint8, bool_ = np.dtype("uint8"), np.dtype("bool")

DTYPES = {d.name: d for d in (float32, float64, int8, int16, int32, int64, uint8, bool_)}
_KNOWN = frozenset(DTYPES.values())  # a dtype is found by its hash in a fraction of the time that its name takes


class dtype:  # noqa: N801  torch's spelling
    """The kind of number in a tensor.  ``npnn.float32 == np.float32`` holds, and NumPy takes it as a dtype."""

    __slots__ = ("_array_dtype", "name")

    def __init__(self, name: str):
        self.name = name
        self._array_dtype = DTYPES.get(name)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype, by which NumPy knows what this object stands for.  Errors: TypeError if tensors lack it."""
        if self._array_dtype is None:
            raise TypeError(f"tensors hold {', '.join(DTYPES)}; not {self.name}")
        return self._array_dtype

    @property
    def kind(self) -> str:
        """NumPy's letter: f, i, u or b."""
        return self.dtype.kind

    @property
    def type(self) -> Any:
        """NumPy's scalar type."""
        return self.dtype.type

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return 2 if self._array_dtype is None else self._array_dtype.itemsize

    @property
    def is_floating_point(self) -> bool:
        return "float" in self.name

    @property
    def is_complex(self) -> bool:
        return "complex" in self.name

    @property
    def is_signed(self) -> bool:
        return self.name not in ("uint8", "bool")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, dtype):
            return self.name == other.name
        try:
            return self._array_dtype is not None and self._array_dtype == np.dtype(other)  # type: ignore[call-overload]
        except TypeError:
            return False

    def __hash__(self) -> int:
        return hash(self._array_dtype or self.name)

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> Any:
        return _named, (self.name,)


_OBJECTS = {name: dtype(name) for name in (*DTYPES, "float16", "bfloat16", "complex64", "complex128")}
OF = {array_dtype: _OBJECTS[name] for name, array_dtype in DTYPES.items()}  # by NumPy's dtype
_ALIASES = {"float": "float32", "double": "float64", "half": "float16", "long": "int64", "int": "int32",
            "short": "int16", "cfloat": "complex64", "cdouble": "complex128", "bool_": "bool"}  # fmt: skip
NAMES = {**_OBJECTS, **{alias: _OBJECTS[name] for alias, name in _ALIASES.items()}}  # what ``npnn.`` offers


def _named(name: str) -> dtype:
    return _OBJECTS[name]


_default = [float32]


def default_float() -> np.dtype[Any]:
    """The dtype that Python floats and new layers have."""
    return _default[0]


def get_default_dtype() -> dtype:
    """The floating-point dtype that new tensors and layers have unless told otherwise."""
    return OF[_default[0]]


def set_default_dtype(d: Any) -> None:
    """Give new tensors and layers another floating-point dtype.  Errors: TypeError unless float32 or float64."""
    found = resolve(d)
    if found.kind != "f":
        raise TypeError(f"only floating-point types are supported as the default type, got {d}")
    _default[0] = found


def resolve(dtype: Any) -> np.dtype[Any]:
    """The NumPy dtype that ``dtype`` (ours, NumPy's, a name, float or int) means.

    Errors: TypeError for a dtype that tensors do not have.
    """
    if dtype is float:
        return _default[0]
    try:
        found: np.dtype[Any] = np.dtype(getattr(dtype, "_array_dtype", None) or dtype)
        if found in _KNOWN:
            return found
    except TypeError:
        pass
    raise TypeError(f"tensors hold {', '.join(DTYPES)}; got {dtype!r}")


def destination(args: tuple[Any, ...], device: Any = None, dtype: Any = None) -> np.dtype[Any] | None:
    """The dtype that ``to(*args, device=, dtype=)`` asks for (or the tensor given to it has); None to keep it.

    Errors: TypeError for what is neither a dtype nor a device; for a device other than the CPU as check_device.
    """
    found = None
    check_device(device)
    for value in (*args, dtype):
        if value is None or isinstance(value, bool):  # non_blocking, copy
            continue
        if _is_device(value):
            check_device(value)
            continue
        try:
            found = resolve(value.dtype if hasattr(value, "requires_grad") else value)
        except TypeError as error:
            raise TypeError(f"{error}; the only device is 'cpu'") from None
    return found


def _is_device(value: Any) -> bool:
    if isinstance(value, (device, int)):
        return True
    return isinstance(value, str) and value not in NAMES


def of_parameters(device: Any = None, dtype: Any = None) -> np.dtype[Any]:
    """The dtype of a layer's parameters, the default (float32) unless given.

    Errors: TypeError for one that is not floating-point; for a device other than the CPU as check_device.
    """
    found = destination((), device, dtype) or _default[0]
    if found.kind != "f":
        raise TypeError(f"parameters are float32 or float64, not {found}")
    return found


def as_array(data: ArrayLike, dtype: Any = None) -> NDArray[Any]:
    """``data`` as an array of a tensor dtype: Python floats give float32, arrays keep theirs; no needless copy."""
    if isinstance(data, (list, tuple)):
        data = _plain(data)
    if dtype is not None:
        return np.asarray(data, resolve(dtype))
    array = np.asarray(data)
    if not array.dtype.isnative:  # bytes in the other order, as in some file formats
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype in _KNOWN:
        typed = isinstance(data, (np.ndarray, np.generic)) or hasattr(data, "__array__")
        return array if typed or array.dtype != float64 else array.astype(_default[0])
    raise TypeError(
        f"tensors hold {', '.join(DTYPES)}; got data of dtype {array.dtype}: "
        "convert it first, for example with .astype('float32')"
    )


def _plain(data: Any) -> Any:
    """Lists of tensors or arrays, however deep, as one array in the tensors' dtype; other lists as they are."""
    first = data
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    if not hasattr(first, "__array__"):
        return data

    def stacked(part: Any) -> Any:
        return np.stack([stacked(p) for p in part]) if isinstance(part, (list, tuple)) and part else np.asarray(part)

    return stacked(data)


class finfo:  # noqa: N801  torch's spelling
    """The limits of a floating-point dtype: eps, max, min, tiny, bits, resolution."""

    def __init__(self, type: Any = None):
        found = np.finfo(resolve(type) if type is not None else _default[0])
        self.eps, self.max, self.min = float(found.eps), float(found.max), float(found.min)
        self.tiny = self.smallest_normal = float(found.tiny)
        self.bits, self.resolution, self.dtype = int(found.bits), float(found.resolution), str(found.dtype)


class iinfo:  # noqa: N801  torch's spelling
    """The limits of an integer dtype: max, min, bits."""

    def __init__(self, type: Any):
        found = np.iinfo(resolve(type))
        self.max, self.min, self.bits, self.dtype = int(found.max), int(found.min), int(found.bits), str(found.dtype)
