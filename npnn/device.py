"""Devices: there is one, the CPU; the names of the others are understood, and refused as by a PyTorch without CUDA."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["CPU", "check_device", "device"]

_KINDS = ("cpu", "cuda", "mps", "xpu", "meta", "hip", "xla", "hpu", "mtia", "vulkan", "ipu")


class device:  # noqa: N801  torch's spelling
    """The name of a device, such as ``device("cuda:0")``: made for every kind, used for the CPU only.

    Errors: RuntimeError for a kind that PyTorch has not.
    """

    __slots__ = ("index", "type")
    index: Any
    type: str

    def __init__(self, type: Any, index: int | None = None):
        if isinstance(type, device):
            type, index = type.type, type.index if index is None else index
        if isinstance(type, int):
            type, index = "cuda", type
        found = re.fullmatch(r"([a-z]+)(?::(\d+))?", str(type))
        if found is None or found[1] not in _KINDS:
            raise RuntimeError(f"Expected one of {', '.join(_KINDS)} device type at start of device string: {type}")
        self.type = found[1]
        self.index = int(found[2]) if found[2] is not None else index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + ("" if self.index is None else f", index={self.index}") + ")"

    def __reduce__(self) -> Any:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        check_device(self)
        return self

    def __exit__(self, *exc: object) -> None:
        pass


CPU = device("cpu")


def check_device(given: Any) -> None:
    """Errors: AssertionError for CUDA, RuntimeError for another device that is not the CPU, as in torch."""
    if given is None or given is CPU:
        return
    kind = device(given).type
    if kind == "cuda":
        raise AssertionError("Torch not compiled with CUDA enabled (npnn computes on the CPU: use device 'cpu')")
    if kind != "cpu":
        raise RuntimeError(f"npnn computes on the CPU, not on {kind}: use device 'cpu'")
