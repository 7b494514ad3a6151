"""npnn: deep learning in NumPy, readable end to end, with PyTorch's interface.

import npnn
from npnn import nn

model = nn.Sequential(nn.Linear(2, 20), nn.ReLU(), nn.Linear(20, 2))
optimizer = npnn.optim.SGD(model.parameters(), lr=0.1)
loss = nn.CrossEntropyLoss()(model(x), y)
loss.backward()
optimizer.step()
"""

from __future__ import annotations

import importlib
from typing import Any

from npnn import autograd, dtypes, nn, ops, optim
from npnn.autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from npnn.device import device
from npnn.dtypes import dtype, finfo, get_default_dtype, iinfo, set_default_dtype
from npnn.kernels.threads import get_num_threads, set_num_threads
from npnn.ops import conversion, table
from npnn.printing import set_printoptions
from npnn.random import Generator, default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from npnn.tensor import Function, Size, Tensor, tensor
from npnn.testing import gradcheck

__version__ = "0.1.0"

globals().update({**table.FUNCTIONS, **dtypes.NAMES, **conversion.TYPED})

# imported when first used: a script pays for what it uses
_LATE = (
    "accelerator", "amp", "backends", "cuda", "data", "distributions", "io", "mps", "onnx", "plot", "sklearn", "testing",
    "torch", "train", "utils", "vision",
)  # fmt: skip
_FROM_IO = ("load", "save")


def __getattr__(name: str) -> Any:
    if name in _FROM_IO:
        return getattr(importlib.import_module("npnn.io.torch_file"), name)
    if name in _LATE:
        return importlib.import_module(f"npnn.{name}")
    raise AttributeError(f"module 'npnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
