"""Saving and loading: weights, checkpoints, and state_dicts that come from torch or go there."""

from npnn.errors import CheckpointError
from npnn.io.checkpoint import keep_last, load_checkpoint, save_checkpoint
from npnn.io.torch_interop import from_torch, to_torch
from npnn.io.torch_module import from_torch_module, to_torch_module
from npnn.io.weights import load_file, save_file

__all__ = [
    "CheckpointError",
    "from_torch",
    "from_torch_module",
    "keep_last",
    "load_checkpoint",
    "load_file",
    "save_checkpoint",
    "save_file",
    "to_torch",
    "to_torch_module",
]
