"""torch.accelerator: there is none."""

from __future__ import annotations

from typing import Any

__all__ = ["current_accelerator", "device_count", "is_available"]


def is_available() -> bool:
    """False: npnn computes on the CPU."""
    return False


def current_accelerator(check_available: bool = False) -> None:
    """None: there is no accelerator."""


def device_count() -> int:
    """0: there is no such device."""
    return 0


def synchronize(*args: Any) -> None:
    """Nothing."""


def empty_cache() -> None:
    """Nothing."""
