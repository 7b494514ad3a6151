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
import math
from typing import Any

from npnn import autograd, copying, dtypes, hooks, jacobians, nn, ops, optim
from npnn.amp import autocast
from npnn.autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from npnn.device import device
from npnn.dtypes import dtype, finfo, get_default_dtype, iinfo, set_default_dtype
from npnn.function import Function
from npnn.generator import Generator
from npnn.kernels.threads import get_num_threads, set_num_threads
from npnn.nn import native
from npnn.ops import conversion, table
from npnn.printing import set_printoptions
from npnn.random import default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from npnn.tensor import Tensor, tensor
from npnn.testing import gradcheck
from npnn.testing import gradients as _gradients
from npnn.views import Size

__version__ = "0.1.0"

# functions of nn that torch offers here as well, and as methods of tensors
_OF_NN = """
adaptive_avg_pool1d avg_pool1d bilinear celu channel_shuffle conv1d conv2d conv3d conv_transpose1d
conv_transpose2d conv_transpose3d hardshrink log_softmax max_pool1d max_pool2d max_pool3d pairwise_distance
pdist pixel_shuffle pixel_unshuffle prelu relu rms_norm rrelu selu softmax threshold
""".split()
_FUNCTIONS = {**table.FUNCTIONS, **{name: getattr(nn.functional, name) for name in _OF_NN}}
_FUNCTIONS |= {name: getattr(native, name) for name in native.__all__}  # as torch.NAME, not as torch.nn.functional.NAME
table.offer(
    {n: getattr(nn.functional, n) for n in ("relu", "softmax", "log_softmax", "prelu", "hardshrink")}, True, ("relu",)
)
globals().update({**dtypes.NAMES, **conversion.TYPED, **_FUNCTIONS})
for _name in table.IN_PLACE:  # npnn.sqrt_(x), as in torch
    globals()[f"{_name}_"] = getattr(Tensor, f"{_name}_")
relu_ = Tensor.relu_  # type: ignore[attr-defined]
cosine_similarity = nn.functional.cosine_similarity
# these stand above autograd in the house
autograd.gradcheck, autograd.gradgradcheck = _gradients.gradcheck_of_torch, _gradients.gradgradcheck  # type: ignore[attr-defined]
autograd.functional = jacobians  # type: ignore[attr-defined]
strided, preserve_format, contiguous_format, channels_last = (
    "torch.strided", "torch.preserve_format", "torch.contiguous_format", "torch.channels_last",
)  # fmt: skip
inf, nan, pi, e, newaxis = math.inf, math.nan, math.pi, math.e, None


def compile(model: Any = None, *args: Any, **options: Any) -> Any:
    """The model or function itself: its kernels are compiled already."""
    return (lambda function: function) if model is None else model


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Nothing: one seed gives one result in any case."""


def are_deterministic_algorithms_enabled() -> bool:
    """True: one seed gives one result in any case."""
    return True


def set_float32_matmul_precision(precision: str) -> None:
    """Nothing: float32 is computed in float32."""


def get_num_interop_threads() -> int:
    """1: operations run one after the other."""
    return 1


def set_num_interop_threads(n: int) -> None:
    """Does nothing: operations run one after the other."""


def set_default_tensor_type(t: Any) -> None:
    """An old spelling of set_default_dtype."""
    if isinstance(t, str) and "cuda" in t:
        nn.Module().cuda()
    name = t.split(".")[-1].removesuffix("Tensor").lower() if isinstance(t, str) else t.dtype.name
    set_default_dtype({"float": "float32", "double": "float64"}.get(name, name))


def set_default_device(d: Any) -> None:
    """Takes "cpu", the one device there is.   Errors: RuntimeError for another."""
    from npnn.device import check_device

    check_device(d)


def save(obj: Any, f: Any, *args: Any, **options: Any) -> None:
    """Write tensors, state_dicts or models to a file that PyTorch reads as well: see npnn.io.torch_file.save."""
    from npnn.io.torch_file import save as write

    write(obj, f, *args, **options)


def load(f: Any, *args: Any, **options: Any) -> Any:
    """What torch.save of PyTorch or npnn wrote; nothing in it is run: see npnn.io.torch_file.load."""
    from npnn.io.torch_reader import load as read

    return read(f, *args, **options)


def typename(obj: Any) -> str:
    """The name of an object's type."""
    return obj.type() if isinstance(obj, Tensor) else f"{type(obj).__module__}.{type(obj).__name__}"


# imported when first used: a script pays for what it uses
_LATE = (
    "accelerator", "amp", "backends", "cuda", "data", "distributions", "func", "io", "jit", "linalg", "mps", "onnx", "plot",
    "sklearn", "testing", "torch", "train", "utils", "vision",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return importlib.import_module(f"npnn.{name}")
    raise AttributeError(f"module 'npnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
