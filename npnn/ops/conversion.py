"""Methods that change a tensor's dtype or device, or make one like it."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn import dtypes
from npnn.device import check_device
from npnn.ops import creation
from npnn.ops.promotion import cast
from npnn.ops.spelling import spelled
from npnn.tensor import Tensor, _from_array, of_array

_TYPES = {"float32": "Float", "float64": "Double", "int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char",
          "uint8": "Byte", "bool": "Bool"}  # fmt: skip


def to(
    self: Tensor, *args: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False, copy: bool = False,
    memory_format: Any = None, other: Any = None,
) -> Tensor:  # fmt: skip
    """The tensor in another dtype (npnn.float32, "float64", np.int64, or another tensor's); "cpu" changes nothing."""
    found = dtypes.destination(args if other is None else (*args, other), device, dtype)
    new = self if found is None else cast(self, found)
    return new.clone() if copy and new is self else new


def type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The tensor in another dtype; without one, the old name of its own ("torch.FloatTensor")."""
    if dtype is None:
        return f"torch.{_TYPES[self.array.dtype.name]}Tensor"
    if isinstance(dtype, str) and dtype.endswith("Tensor"):
        name = dtype.split(".")[-1].removesuffix("Tensor")
        if "cuda" in dtype:
            check_device("cuda")
        dtype = {short: full for full, short in _TYPES.items()}.get(name, name)
    elif isinstance(dtype, TypedTensor):
        dtype = dtype.dtype
    return cast(self, dtype)


class TypedTensor:
    """An old constructor: ``FloatTensor(2, 3)`` is an unset tensor of that shape, ``FloatTensor([1, 2])`` one of data."""

    def __init__(self, name: str):
        self.dtype = dtypes.NAMES[name]
        self.__name__ = f"{_TYPES[name]}Tensor"

    def __call__(self, *data: Any, device: Any = None) -> Tensor:
        check_device(device)
        if len(data) == 1 and not isinstance(data[0], int):
            return of_array(np.array(data[0].array if isinstance(data[0], Tensor) else data[0], self.dtype.dtype))
        return creation.empty(*data, dtype=self.dtype) if data else creation.empty(0, dtype=self.dtype)

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype == self.dtype

    def __repr__(self) -> str:
        return f"<class 'torch.{self.__name__}'>"


TYPED = {f"{short}Tensor": TypedTensor(full) for full, short in _TYPES.items()}


def _caster(name: str, doc: str) -> Any:
    def method(self: Tensor, memory_format: Any = None) -> Tensor:
        return cast(self, dtypes.NAMES[name])

    method.__name__, method.__doc__ = name, doc
    return method


def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself: it is on the CPU."""
    return self


def cuda(self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """Errors: AssertionError: npnn computes on the CPU."""
    check_device("cuda")
    raise AssertionError


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor in the other's dtype."""
    return cast(self, other.array.dtype)


def new_tensor(
    self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of other data in this one's dtype."""
    check_device(device)
    kind = self.array.dtype if dtype is None else dtypes.resolve(dtype)
    array = np.array(data.array if isinstance(data, Tensor) else dtypes.as_array(data), kind)
    return of_array(array, requires_grad=requires_grad)


def new(self: Tensor, *data: Any) -> Tensor:
    """An old spelling: an unset tensor of that shape, or one of data, in this one's dtype."""
    if len(data) == 1 and not isinstance(data[0], int):
        return self.new_tensor(data[0])
    return creation.empty(*data, dtype=self.array.dtype) if data else creation.empty(0, dtype=self.array.dtype)


def _like(make: Any) -> Any:
    def method(
        self: Tensor, *size: Any, dtype: Any = None, layout: Any = None, device: Any = None,
        requires_grad: bool = False, pin_memory: bool = False,
    ) -> Tensor:  # fmt: skip
        return make(
            *size, dtype=self.array.dtype if dtype is None else dtype, device=device, requires_grad=requires_grad
        )

    method.__name__ = f"new_{make.__name__}"
    method.__doc__ = f"{make.__name__}, in this tensor's dtype."
    return spelled(method.__name__, method, with_out=False)


def new_full(self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, **options: Any) -> Tensor:
    """full, in this tensor's dtype."""
    return creation.full(size, fill_value, dtype=self.array.dtype if dtype is None else dtype, **options)


def stride(self: Tensor, dim: int | None = None) -> Any:
    """How many elements apart neighbours along each axis lie in memory."""
    strides = tuple([s // self.array.itemsize for s in self.array.strides])
    return strides if dim is None else strides[dim]


def storage_offset(self: Tensor) -> int:
    """How many elements before this tensor's first its memory begins."""
    from npnn.memory import owner

    first = owner(self.array).__array_interface__["data"][0]
    return (self.array.__array_interface__["data"][0] - first) // self.array.itemsize


def data_ptr(self: Tensor) -> int:
    """The address of the first element."""
    return int(self.array.__array_interface__["data"][0])


def is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    """True if the elements lie in the order of the indices (images between layers lie with their channels together)."""
    return bool(self.array.flags.c_contiguous)


def map_(self: Tensor, tensor: Tensor, callable: Any) -> Tensor:
    """Each element replaced by callable(element, other element)."""
    pairs = zip(self.array.reshape(-1).tolist(), tensor.array.reshape(-1).tolist(), strict=True)
    return self.copy_(
        _from_array(np.array([callable(a, b) for a, b in pairs], self.array.dtype).reshape(self.array.shape))
    )


def apply_(self: Tensor, callable: Any) -> Tensor:
    """Each element replaced by callable(element)."""
    values = [callable(a) for a in self.array.reshape(-1).tolist()]
    return self.copy_(_from_array(np.array(values, self.array.dtype).reshape(self.array.shape)))


METHODS: dict[str, Any] = {
    "to": to, "type": type, "cpu": cpu, "cuda": cuda, "type_as": type_as, "new_tensor": new_tensor, "new": new,
    "new_zeros": _like(creation.zeros), "new_ones": _like(creation.ones), "new_empty": _like(creation.empty),
    "new_full": new_full, "stride": stride, "storage_offset": storage_offset, "data_ptr": data_ptr, "map_": map_,
    "apply_": apply_, "is_contiguous": is_contiguous,
    **{n: _caster(n, f"The tensor as {n}.") for n in ("float", "double", "long", "int", "short", "bool", "half", "bfloat16")},
    "byte": _caster("uint8", "The tensor as uint8."), "char": _caster("int8", "The tensor as int8."),
    "pin_memory": lambda self, device=None: self, "is_pinned": lambda self, device=None: False,
    "share_memory_": lambda self: self, "is_shared": lambda self: False,
    "element_size": lambda self: self.array.itemsize, "nelement": lambda self: self.array.size,
    "ndimension": lambda self: self.array.ndim, "is_floating_point": lambda self: self.array.dtype.kind == "f",
    "get_device": lambda self: -1, "untyped_storage": lambda self: self,
}  # fmt: skip
PROPERTIES: dict[str, Any] = {
    "is_cuda": lambda self: False, "is_mps": lambda self: False, "is_cpu": lambda self: True,
    "is_sparse": lambda self: False, "is_quantized": lambda self: False, "is_meta": lambda self: False,
    "itemsize": lambda self: self.array.itemsize, "nbytes": lambda self: self.array.nbytes, "real": lambda self: self,
    "layout": lambda self: "torch.strided", "output_nr": lambda self: 0 if self._node is None else self._node[1],
}  # fmt: skip
