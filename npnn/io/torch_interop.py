"""Between the frameworks: state_dicts, of models and of optimisers, from torch and to torch.

Names, shapes and layout are the same on both sides, so only the kind of array changes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from npnn.tensor import Tensor

__all__ = ["as_array", "from_torch", "loaded_torch", "to_torch"]


def loaded_torch() -> Any:
    """PyTorch, if this program has imported it; None otherwise, also where npnn answers to its name."""
    torch = sys.modules.get("torch")
    return None if torch is None or hasattr(torch, "_answers") else torch


def as_array(value: Any) -> Any:
    """The array behind a tensor of either framework, on its memory where NumPy can read that; others pass through."""
    if isinstance(value, Tensor):
        return value.array
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if "bfloat16" in str(value.dtype):  # NumPy has no such type; every value is also a float32
            value = value.float()
        return value.numpy()
    return value


def from_torch(state_dict: Any) -> Any:
    """The same dict with NumPy arrays, which are copies, in place of torch's tensors.

    Dicts, lists and tuples may be nested, as in an optimiser's state_dict.  bfloat16 becomes float32.
    """
    return _map(state_dict, lambda value: np.array(as_array(value)) if hasattr(value, "detach") else value)


def to_torch(state_dict: Any) -> Any:
    """The same dict with torch tensors, which are copies, in place of arrays and npnn's tensors."""
    import torch

    def convert(value: Any) -> Any:
        value = as_array(value)
        return torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value

    return _map(state_dict, convert)


def _map(tree: Any, convert: Any) -> Any:
    """``convert`` applied to every leaf of nested dicts, lists and tuples."""
    if isinstance(tree, Mapping):
        return {key: _map(value, convert) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)([_map(value, convert) for value in tree])
    return convert(tree)
