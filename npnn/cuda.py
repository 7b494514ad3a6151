"""torch.cuda as in a PyTorch without CUDA: it is not available, settings do nothing, and use is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from npnn.device import check_device
from npnn.ops import conversion

__all__ = ["device_count", "empty_cache", "is_available", "manual_seed", "manual_seed_all"]


def is_available() -> bool:
    """False: npnn computes on the CPU."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0: there is no such device."""
    return 0


def is_bf16_supported(*args: Any) -> bool:
    """False."""
    return False


def _nothing(*args: Any, **options: Any) -> None:
    """Does nothing, as in a PyTorch without CUDA."""


manual_seed = manual_seed_all = seed = seed_all = empty_cache = ipc_collect = reset_peak_memory_stats = _nothing


def memory_allocated(*args: Any) -> int:
    """0."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_cached = memory_allocated


def _refused(*args: Any, **options: Any) -> Any:
    """Errors: AssertionError: npnn computes on the CPU."""
    check_device("cuda")


current_device = get_device_name = get_device_properties = get_device_capability = set_device = synchronize = _refused
current_stream = Stream = Event = _refused


class _TensorThere(conversion.TypedTensor):
    """torch.cuda.FloatTensor and its like: a name to compare with, that no tensor is an instance of."""

    def __init__(self, name: str):
        self.__name__ = name

    @property
    def dtype(self) -> Any:  # type: ignore[override]
        """Errors: AssertionError: npnn computes on the CPU."""
        return _refused()

    def __call__(self, *data: Any, **options: Any) -> Any:
        """Errors: TypeError: npnn computes on the CPU."""
        raise TypeError(f"type torch.cuda.{self.__name__} not available: npnn computes on the CPU")

    def __instancecheck__(self, instance: Any) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<class 'torch.cuda.{self.__name__}'>"


globals().update({name: _TensorThere(name) for name in conversion.TYPED})


@contextlib.contextmanager
def device(device: Any) -> Iterator[None]:
    """A context that changes nothing for a negative number, and is refused otherwise."""
    if device is not None and device != -1:
        check_device("cuda")
    yield


class _Amp:
    """torch.cuda.amp: mixed precision is for accelerators; here everything is float32."""

    def __getattr__(self, name: str) -> Any:
        from npnn import amp

        return getattr(amp, name)


amp = _Amp()
