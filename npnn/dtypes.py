"""The dtypes a Tensor may have, under torch's names, and the rule that turns data into an array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "DTYPES", "as_array", "bool_", "destination", "float32", "float64", "int8", "int16", "int32", "int64",
    "of_parameters", "resolve", "uint8",
]  # fmt: skip

float32, float64 = np.dtype("float32"), np.dtype("float64")
int8, int16, int32, int64 = np.dtype("int8"), np.dtype("int16"), np.dtype("int32"), np.dtype("int64")
uint8, bool_ = np.dtype("uint8"), np.dtype("bool")

DTYPES = {d.name: d for d in (float32, float64, int8, int16, int32, int64, uint8, bool_)}
_KNOWN = frozenset(DTYPES.values())  # a dtype is found by its hash in a fraction of the time that its name takes


def resolve(dtype: Any) -> np.dtype[Any]:
    """The NumPy dtype that ``dtype`` (ours, NumPy's, a name, float or int) means.

    Errors: TypeError for a dtype that tensors do not have.
    """
    if dtype is float:
        return float32
    try:
        found: np.dtype[Any] = np.dtype(dtype)
        if found in _KNOWN:
            return found
    except TypeError:
        pass
    raise TypeError(f"tensors hold {', '.join(DTYPES)}; got {dtype!r}")


def destination(args: tuple[Any, ...], device: Any = None, dtype: Any = None) -> np.dtype[Any] | None:
    """The dtype that ``to(*args, device=, dtype=)`` asks for (or the tensor given to it has); None to keep it.

    Errors: TypeError for what is neither a dtype nor the one device, "cpu".
    """
    found = None
    for value in (*args, device, dtype):
        if value is None or str(value).split(":")[0] == "cpu":
            continue
        try:
            found = resolve(value.dtype if hasattr(value, "requires_grad") else value)
        except TypeError as error:
            raise TypeError(f"{error}; the only device is 'cpu'") from None
    return found


def of_parameters(device: Any = None, dtype: Any = None) -> np.dtype[Any]:
    """The dtype of a layer's parameters, float32 unless given.

    Errors: TypeError for one that is not floating-point, or for a device other than "cpu".
    """
    found = destination((), device, dtype) or float32
    if found.kind != "f":
        raise TypeError(f"parameters are float32 or float64, not {found}")
    return found


def as_array(data: ArrayLike, dtype: Any = None) -> NDArray[Any]:
    """``data`` as an array of a tensor dtype: Python floats give float32, arrays keep theirs; no needless copy."""
    if dtype is not None:
        return np.asarray(data, resolve(dtype))
    array = np.asarray(data)
    if not array.dtype.isnative:  # bytes in the other order, as in some file formats
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype in _KNOWN:
        typed = isinstance(data, (np.ndarray, np.generic)) or hasattr(data, "__array__")
        return array if typed or array.dtype != float64 else array.astype(float32)
    raise TypeError(
        f"tensors hold {', '.join(DTYPES)}; got data of dtype {array.dtype}: "
        "convert it first, for example with .astype('float32')"
    )
