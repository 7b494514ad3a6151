"""The same model in torch: npnn's initial weights, and npnn's dropout masks."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

import npnn
from experiments.harness.config import UserError

__all__ = ["import_torch", "torch_twin"]


def import_torch() -> Any:
    """Errors: UserError if torch is not installed."""
    try:
        return importlib.import_module("torch")
    except ModuleNotFoundError:
        raise UserError("the torch backend needs PyTorch: pip install 'npnn[torch]'") from None


def torch_twin(model: Any, twin: Any) -> Any:
    """``twin``, a torch model like ``model``, with the same weights and with dropouts that draw what npnn's would."""
    twin.load_state_dict(npnn.io.to_torch(model.state_dict()))
    for path, module in list(twin.named_modules()):
        if type(module).__name__ == "Dropout":
            parent, _, name = path.rpartition(".")
            setattr(twin.get_submodule(parent), name, _npnn_dropout(module.p))
    return twin


def _npnn_dropout(p: float) -> Any:
    """A torch module that drops what npnn's Dropout would have dropped at this moment."""
    torch = import_torch()
    dropout = npnn.nn.Dropout(p)

    class NpnnDropout(torch.nn.Module):  # type: ignore[name-defined]
        def forward(self, x: Any) -> Any:
            if not self.training:
                return x
            mask = dropout(npnn.Tensor(np.ones(tuple(x.shape), np.float32)))
            return x * torch.from_numpy(mask.numpy())

    return NpnnDropout()
