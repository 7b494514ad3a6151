"""Packages that only some users need: imported when first used, with one line of help when missing."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["require"]


def require(module: str, purpose: str, extra: str) -> Any:
    """Import ``module``.  Errors: ImportError that says which extra to install for ``purpose``."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = {"sklearn": "scikit-learn"}.get(module.split(".")[0], module)
        raise ImportError(f"{purpose} needs {package}: pip install npnn[{extra}]") from error
