"""torch.utils as far as scripts use it: data, tensorboard, checkpoint."""

import importlib
from typing import Any

from npnn.utils import data

__all__ = ["data"]


def __getattr__(name: str) -> Any:
    if name in ("checkpoint", "tensorboard"):  # imported when first used
        return importlib.import_module(f"npnn.utils.{name}")
    raise AttributeError(f"module 'npnn.utils' has no attribute {name!r}")
