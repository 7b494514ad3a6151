"""The few words that npnn and torch spell differently, each spelled both ways.

The trainer is written once, in the vocabulary that both share: ``model(x)``, ``loss.backward()``,
``optimizer.step()``, ``state_dict()``.  What is left is here: making a tensor of an array and back,
switching the tape off, clipping, and giving a saved state back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from npnn import autograd
from npnn.generator import Borrowed, Generator
from npnn.io import to_torch
from npnn.io.torch_interop import loaded_torch
from npnn.modes import no_grad
from npnn.nn.module import Module
from npnn.nn.utils import clip_grad_norm_, clip_grad_value_
from npnn.random import use_generator
from npnn.tensor import Tensor, of_array

__all__ = ["Backend", "backend_of", "mode"]


class Backend(Protocol):
    """What the trainer asks of a framework beyond the shared vocabulary."""

    def tensor(self, data: Any) -> Any:
        """A tensor on the memory of an array; a tensor of this framework passes through."""

    def array(self, tensor: Any) -> NDArray[Any]:
        """The values of a tensor, on its own memory."""

    def state(self, tree: Any) -> Any:
        """A saved state_dict, which holds arrays, as load_state_dict of this framework wants it."""

    def no_grad(self) -> contextlib.AbstractContextManager[Any]: ...

    def grad(self, total: Any, tensor: Any) -> Any:
        """The gradient of a sum with respect to one tensor; the gradients of the weights stay as they are."""

    def stream(self, alone: bool) -> contextlib.AbstractContextManager[Any]:
        """Inside the block npnn's loader draws from this framework's generator.

        In one of several processes (not ``alone``) it draws from a generator that begins where that one stands.
        """

    def clip_grad_norm(self, parameters: Iterable[Any], limit: float) -> float:
        """Scale the gradients down to a total norm of ``limit``; returns the norm before.

        Errors: RuntimeError, with the gradients as they were, if the norm is nan or infinite.
        """

    def clip_grad_value(self, parameters: Iterable[Any], limit: float) -> None: ...


class NpnnBackend:
    def tensor(self, data: Any) -> Tensor:
        return data if isinstance(data, Tensor) else of_array(data)

    def array(self, tensor: Any) -> NDArray[Any]:
        return tensor.array

    def state(self, tree: Any) -> Any:
        return tree

    def no_grad(self) -> contextlib.AbstractContextManager[Any]:
        return no_grad()

    def grad(self, total: Any, tensor: Any) -> Any:
        return autograd.grad(total, [tensor])[0]

    def stream(self, alone: bool) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def clip_grad_norm(self, parameters: Iterable[Any], limit: float) -> float:
        return clip_grad_norm_(parameters, limit, error_if_nonfinite=True).item()

    def clip_grad_value(self, parameters: Iterable[Any], limit: float) -> None:
        clip_grad_value_(parameters, limit)


class TorchBackend:
    def __init__(self, torch: Any):
        self.torch = torch

    def tensor(self, data: Any) -> Any:
        if isinstance(data, self.torch.Tensor):
            return data
        array = data.array if isinstance(data, Tensor) else np.asarray(data)
        if not array.flags.writeable or any(stride < 0 for stride in array.strides):
            array = array.copy(order="K")  # torch knows neither
        return self.torch.from_numpy(array)

    def array(self, tensor: Any) -> NDArray[Any]:
        return tensor.detach().numpy()

    def state(self, tree: Any) -> Any:
        return to_torch(tree)

    def no_grad(self) -> contextlib.AbstractContextManager[Any]:
        return self.torch.no_grad()

    def grad(self, total: Any, tensor: Any) -> Any:
        return self.torch.autograd.grad(total, [tensor])[0]

    def stream(self, alone: bool) -> contextlib.AbstractContextManager[Any]:
        torch = self.torch
        if not alone:
            return use_generator(Generator().set_state_bytes(torch.get_rng_state().numpy()))
        return use_generator(
            Borrowed(lambda: torch.get_rng_state().numpy(), lambda state: torch.set_rng_state(torch.from_numpy(state)))
        )

    def clip_grad_norm(self, parameters: Iterable[Any], limit: float) -> float:
        return self.torch.nn.utils.clip_grad_norm_(parameters, limit, error_if_nonfinite=True).item()

    def clip_grad_value(self, parameters: Iterable[Any], limit: float) -> None:
        self.torch.nn.utils.clip_grad_value_(parameters, limit)


def backend_of(model: Any) -> Backend:
    """The backend of a model's framework.  Errors: TypeError for a model of neither."""
    if isinstance(model, Module):
        return NpnnBackend()
    torch = loaded_torch()  # whoever made a torch model has imported it
    if torch is not None and isinstance(model, torch.nn.Module):
        return TorchBackend(torch)
    raise TypeError(f"the model must be an npnn.nn.Module or a torch.nn.Module, got {type(model).__name__}")


@contextlib.contextmanager
def mode(model: Any, training: bool) -> Iterator[None]:
    """Training or evaluation mode inside the block; afterwards every layer is in its own mode again."""
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, was_training in before:
            module.training = was_training
