"""Averages of weights: over the run (SWA), or exponentially fading (EMA)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from npnn.modes import no_grad
from npnn.nn.module import Module
from npnn.nn.normalization.batchnorm import BatchNorm1d, BatchNorm2d
from npnn.tensor import Tensor, of_array

__all__ = ["AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "update_bn"]


def get_ema_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], Any]:
    """avg_fn of AveragedModel:   a ← decay a + (1 - decay) p.   Errors: ValueError unless decay lies in 0 to 1."""
    if not 0 <= decay <= 1:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")
    return lambda averaged, current, count: decay * averaged + (1 - decay) * current


get_ema_multi_avg_fn = get_ema_avg_fn


class AveragedModel(Module):
    """A copy of a model whose weights are the average of those that ``update_parameters`` has seen.

    Without ``avg_fn`` every update counts the same:  a ← a + (p - a) / (n + 1).
    Source: Izmailov et al., Averaging weights leads to wider optima and better generalization, 2018.
    """

    def __init__(
        self, model: Module, device: Any = None, avg_fn: Any = None, multi_avg_fn: Any = None, use_buffers: bool = False
    ):
        super().__init__()
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", of_array(np.array(0)))
        self.avg_fn, self.use_buffers = avg_fn or multi_avg_fn, use_buffers

    def forward(self, *args: Any, **options: Any) -> Any:
        return self.module(*args, **options)

    def update_parameters(self, model: Module) -> None:
        """Take the model's present weights into the average."""
        n = int(self.n_averaged)  # type: ignore[attr-defined]
        own: list[Tensor] = list(self.module.parameters())
        new: list[Tensor] = list(model.parameters())
        if self.use_buffers:
            own, new = [*own, *self.module.buffers()], [*new, *model.buffers()]
        with no_grad():
            for a, p in zip(own, new, strict=True):
                if n == 0 or a.array.dtype.kind != "f":
                    a.copy_(p.detach())
                elif self.avg_fn is None:
                    a.copy_(a + (p.detach() - a) / (n + 1))
                else:
                    a.copy_(self.avg_fn(a.detach(), p.detach(), n))
            if not self.use_buffers:
                for b, current in zip(self.module.buffers(), model.buffers(), strict=True):
                    b.copy_(current.detach())
        self.n_averaged.array[...] = n + 1  # type: ignore[attr-defined]


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Batch normalisation's statistics anew, from one pass over the data."""
    layers = [m for m in model.modules() if isinstance(m, (BatchNorm1d, BatchNorm2d))]
    if not layers:
        return
    was_training, before = model.training, [m.momentum for m in layers]
    model.train()
    for m in layers:
        m.reset_running_stats()
        m.momentum = None
    with no_grad():
        for batch in loader:
            model(batch[0] if isinstance(batch, (list, tuple)) else batch)
    for m, momentum in zip(layers, before, strict=True):
        m.momentum = momentum
    model.train(was_training)
