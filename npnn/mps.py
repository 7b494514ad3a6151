"""torch.mps: there is none; settings do nothing."""

from __future__ import annotations

from typing import Any

__all__ = ["empty_cache", "manual_seed"]


def is_available() -> bool:
    """False."""
    return False


def _nothing(*args: Any) -> None:
    """Does nothing."""


manual_seed = empty_cache = synchronize = _nothing
