"""The two frameworks by their names; PyTorch, if it is there."""

from __future__ import annotations

import importlib
from typing import Any

from npnn.experiment.config import UserError

__all__ = ["framework"]


def framework(name: str) -> Any:
    """The module ``npnn`` or ``torch``.  Errors: UserError if torch is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise UserError(f"the {name} backend needs PyTorch: pip install 'npnn[torch]'") from None
