"""Padding as layers: ``pad`` with its widths and its mode kept, for sequences, images and volumes."""

from __future__ import annotations

from typing import Any

from npnn.errors import ShapeError
from npnn.nn.module import Module
from npnn.nn.padding.pad import pad
from npnn.tensor import Tensor

__all__ = [
    f"{kind}Pad{n}d" for kind in ("Constant", "Reflection", "Replication", "Zero", "Circular") for n in (1, 2, 3)
]


class _Padding(Module):
    """``padding`` is a number for all sides, or two for each axis, from the last on."""

    dims: int
    mode: str

    def __init__(self, padding: Any):
        super().__init__()
        self.padding = (padding,) * (2 * self.dims) if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        if input.array.ndim not in (self.dims + 1, self.dims + 2):
            raise ShapeError(f"expected an input of {self.dims + 1} or {self.dims + 2} axes, got {input.shape}")
        return pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return str(self.padding)


class _Constant(_Padding):
    mode = "constant"

    def __init__(self, padding: Any, value: float):
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _Zero(_Constant):
    def __init__(self, padding: Any):
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return str(self.padding)


_KINDS = {
    "Constant": (_Constant, "constant", "Elements of one value around the input"),
    "Zero": (_Zero, "constant", "Zeros around the input"),
    "Reflection": (_Padding, "reflect", "The mirror image, without its edge, around the input"),
    "Replication": (_Padding, "replicate", "The outermost elements repeated around the input"),
    "Circular": (_Padding, "circular", "The elements of the other end around the input"),
}
for _kind, (_base, _mode, _doc) in _KINDS.items():
    for _dims in (1, 2, 3):
        _name = f"{_kind}Pad{_dims}d"
        globals()[_name] = type(_name, (_base,), {"dims": _dims, "mode": _mode, "__doc__": f"{_doc}: see pad.",
                                                  "__module__": __name__})  # fmt: skip
