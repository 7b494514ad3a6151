"""PyTorch, if it is there."""

from __future__ import annotations

import importlib
from typing import Any

from experiments.harness.config import UserError

__all__ = ["import_torch"]


def import_torch() -> Any:
    """Errors: UserError if torch is not installed."""
    try:
        return importlib.import_module("torch")
    except ModuleNotFoundError:
        raise UserError("the torch backend needs PyTorch: pip install 'npnn[torch]'") from None
