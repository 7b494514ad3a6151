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

from npnn import nn, ops, optim
from npnn.autograd import is_grad_enabled, no_grad, set_grad_enabled
from npnn.dtypes import bool_, float32, float64, int8, int16, int32, int64, uint8
from npnn.kernels.threads import get_num_threads, set_num_threads
from npnn.random import get_rng_state, manual_seed, set_rng_state
from npnn.tensor import Function, Tensor, tensor
from npnn.testing import gradcheck

__version__ = "0.1.0"

globals().update(ops.FUNCTIONS)

# imported when first used: a script pays for what it uses
_LATE = ("data", "io", "onnx", "plot", "sklearn", "testing", "train")


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return importlib.import_module(f"npnn.{name}")
    raise AttributeError(f"module 'npnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
