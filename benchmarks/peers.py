"""The frameworks that are timed: npnn, PyTorch as it comes, PyTorch with fused optimisers, and JAX."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.jax_peer import Jax
from benchmarks.peer import Peer, State
from benchmarks.workloads import Workload

__all__ = ["PEERS", "Npnn", "Torch", "TorchFused", "initial_state"]


class Eager(Peer):
    """What npnn and torch have in common: the same code, another library."""

    lib: Any
    extra: dict[str, Any] = {}

    def __init__(self, workload: Workload, state: State):
        super().__init__(workload, state)
        self.model = workload.build(self.lib.nn)
        self.model.load_state_dict({k: self.tensor(v) for k, v in state.items()})
        make = getattr(self.lib.optim, workload.optimizer)
        self.optimizer = make(self.model.parameters(), **workload.options, **self.extra)
        self.loss = getattr(self.lib.nn, workload.loss)()

    def tensor(self, array: NDArray[Any]) -> Any:
        return self.lib.tensor(array)

    def set_threads(self, n: int) -> None:
        self.lib.set_num_threads(n)

    def trainer(self, batch: tuple[NDArray[Any], NDArray[Any]]) -> Callable[[], Any]:
        x, y = (self.tensor(a) for a in batch)
        self.lib.manual_seed(0)  # dropout's masks
        model, loss_fn, optimizer = self.model.train(), self.loss, self.optimizer

        def step() -> Any:
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return step

    def predictor(self, batch: tuple[NDArray[Any], NDArray[Any]]) -> Callable[[], Any]:
        x = self.tensor(batch[0])
        model, no_grad = self.model.eval(), self.lib.no_grad

        def predict() -> Any:
            with no_grad():
                return model(x)

        return predict


class Npnn(Eager):
    name = "npnn"

    @property
    def lib(self) -> Any:  # type: ignore[override]
        import npnn

        return npnn


class Torch(Eager):
    name = "torch"

    @classmethod
    def available(cls) -> bool:
        return importlib.util.find_spec("torch") is not None

    @property
    def lib(self) -> Any:  # type: ignore[override]
        import torch

        return torch


class TorchFused(Torch):
    """torch with its fused optimisers."""

    name = "torch fused"
    extra = {"fused": True}

    def __init__(self, workload: Workload, state: State):
        if workload.optimizer not in ("SGD", "Adam"):
            raise LookupError(f"torch has no fused {workload.optimizer}")
        super().__init__(workload, state)


PEERS: list[type[Peer]] = [Npnn, Torch, TorchFused, Jax]


def initial_state(workload: Workload) -> State:
    """One set of weights for every peer."""
    import npnn

    npnn.manual_seed(0)
    return {k: np.array(v) for k, v in workload.build(npnn.nn).state_dict().items()}
