"""A module, a Function or a function of tensors: the framework walks back."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.modes import enable_grad
from npnn.nn.module import Module
from npnn.tensor import Tensor, of_array
from npnn.testing.base import Arrays, Subject

__all__ = ["NpnnLanguage", "Recorded", "TorchLanguage"]


class NpnnLanguage:
    """How tensors are made and walked back with npnn."""

    recording = staticmethod(enable_grad)

    def tensor(self, array: NDArray[Any]) -> Any:
        return of_array(array.copy(), requires_grad=array.dtype.kind == "f")

    def array(self, tensor: Any) -> NDArray[Any]:
        return tensor.array if isinstance(tensor, Tensor) else np.asarray(tensor)

    def is_module(self, layer: Any) -> bool:
        return isinstance(layer, Module)

    def walk(self, outputs: Sequence[Any], cotangents: Sequence[NDArray[Any]]) -> None:
        reached = [(y, of_array(w)) for y, w in zip(outputs, cotangents, strict=True) if y.requires_grad]
        if reached:
            sum(((y * w).sum() for y, w in reached), start=of_array(np.zeros(()))).backward()


class TorchLanguage:
    """How tensors are made and walked back with PyTorch."""

    def __init__(self, torch: Any):
        self.torch, self.recording = torch, torch.enable_grad

    def tensor(self, array: NDArray[Any]) -> Any:
        return self.torch.from_numpy(array.copy()).requires_grad_(array.dtype.kind == "f")

    def array(self, tensor: Any) -> NDArray[Any]:
        return tensor.detach().numpy() if isinstance(tensor, self.torch.Tensor) else np.asarray(tensor)

    def is_module(self, layer: Any) -> bool:
        return isinstance(layer, self.torch.nn.Module)

    def walk(self, outputs: Sequence[Any], cotangents: Sequence[NDArray[Any]]) -> None:
        reached = [
            (y, self.torch.from_numpy(w.copy())) for y, w in zip(outputs, cotangents, strict=True) if y.requires_grad
        ]
        if reached:
            sum((y * w).sum() for y, w in reached).backward()


class Recorded(Subject):
    """A module, a Function or a function of tensors: the framework walks back, and calls what was written by hand."""

    adds_up = True

    def __init__(self, layer: Any, inputs: Sequence[NDArray[Any]], language: Any):
        self.language = language
        self.name = layer.__name__ if hasattr(layer, "__name__") else type(layer).__name__
        self.parameters, self._leaves = {}, {}
        self.layer = layer
        if language.is_module(layer):
            self.layer = copy.deepcopy(layer).double()
            for name, p in self.layer.named_parameters():
                if p.requires_grad:
                    self._leaves[name], self.parameters[name] = p, language.array(p)
            self.can_be_turned_off = True
        self._call = self.layer.apply if isinstance(layer, type) else self.layer  # type: ignore[attr-defined]
        self._tensors: list[Any] = []
        self._results: list[Any] = []

    def forward(self, inputs: Sequence[NDArray[Any]]) -> Arrays:
        with self.language.recording():
            self._tensors = [self.language.tensor(x) for x in inputs]
            result = self._call(*self._tensors)
        parts = result if isinstance(result, (tuple, list)) else [result]
        self._results = [
            y for part in parts for y in (part if isinstance(part, (tuple, list)) else [part])
            if y is not None and self.language.array(y).dtype.kind == "f"
        ]  # fmt: skip
        return [self.language.array(y) for y in self._results]

    def backward(self, cotangents: Sequence[NDArray[Any]]) -> tuple[list[Any], dict[str, Any]]:
        self.language.walk(self._results, cotangents)
        grads = [None if t.grad is None else self.language.array(t.grad) for t in self._tensors]
        found = {n: self.language.array(p.grad) for n, p in self._leaves.items() if p.grad is not None}
        return [g if g is not None else np.zeros(t.shape) for g, t in zip(grads, self._tensors, strict=True)], found

    def clear(self) -> None:
        for p in self._leaves.values():
            p.grad = None

    @contextlib.contextmanager
    def evaluation(self) -> Iterator[None]:
        if not self.can_be_turned_off:
            yield
            return
        modes = [(m, m.training) for m in self.layer.modules()]
        self.layer.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
