"""Two trainings side by side: at which step, in which layer and tensor do they part?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["assert_same_training"]


def assert_same_training(
    model: Any,
    torch_model: Any,
    data: Iterable[Any],
    steps: int = 100,
    *,
    loss: str = "CrossEntropyLoss",
    lr: float = 0.01,
    rtol: float = 1e-4,
) -> None:
    """Train an npnn model and a torch model from the same weights on the same batches, and compare all of both.

    data   batches (x, y) of arrays, which are used in turn; a pair (X, y) of arrays is one batch
    loss   the name of a loss of both frameworks;   lr  of SGD

    ``torch_model`` is given the weights of ``model``.  Compared are, after each step, the loss, every gradient and
    every weight, to ``rtol`` of the largest element.
    Errors: AssertionError naming the first step, the layer and tensor that part, and by how much.
    """
    import torch

    from npnn import nn, optim
    from npnn.io import to_torch
    from npnn.tensor import of_array

    torch_model.load_state_dict(to_torch(model.state_dict()))
    pair = isinstance(data, (tuple, list)) and len(data) == 2 and all(hasattr(part, "shape") for part in data)
    batches = [data] if pair else list(data)
    if not batches:
        raise ValueError("data has no batches")
    ours = optim.SGD(model.parameters(), lr=lr)
    theirs = torch.optim.SGD(torch_model.parameters(), lr=lr)
    losses = getattr(nn, loss)(), getattr(torch.nn, loss)()
    for step in range(1, steps + 1):
        x, y = (np.asarray(part) for part in batches[(step - 1) % len(batches)])
        values = []
        for m, o, L, tensor in (
            (model, ours, losses[0], of_array),
            (torch_model, theirs, losses[1], torch.from_numpy),
        ):
            value = L(m(tensor(x.copy())), tensor(y.copy()))
            o.zero_grad()
            value.backward()
            values.append(np.asarray(value.detach().numpy()))
        _same(step, "the loss", values[0], values[1], rtol)
        for (name, p), q in zip(model.named_parameters(), torch_model.parameters(), strict=True):
            if (p.grad is None) != (q.grad is None):
                raise AssertionError(
                    f"step {step}: {name} has a gradient in {'torch' if p.grad is None else 'npnn'} only"
                )
            if p.grad is not None:
                _same(step, f"the gradient of {name}", p.grad.numpy(), q.grad.numpy(), rtol)
        ours.step()
        theirs.step()
        for (name, a), b in zip(model.state_dict().items(), torch_model.state_dict().values(), strict=True):
            _same(step, name, a.numpy(), b.numpy(), rtol)


def _same(step: int, what: str, ours: NDArray[Any], theirs: NDArray[Any], rtol: float) -> None:
    if ours.shape != theirs.shape:
        raise AssertionError(f"step {step}: {what} has shape {ours.shape}, in torch {theirs.shape}")
    scale = max(float(np.abs(theirs).max(initial=0.0)), 1e-6)
    difference = float(np.abs(ours - theirs).max(initial=0.0)) if ours.size else 0.0
    if not difference <= rtol * scale:
        raise AssertionError(
            f"step {step}: {what} parts by {difference:.3g}, which is {difference / scale:.1e} of its largest element"
        )
