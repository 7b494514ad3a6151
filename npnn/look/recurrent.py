"""A recurrent network at work: what it holds at each step, how far back its gradient reaches, and why.

Along T steps a gradient is multiplied T times by W_hh (and by slopes of at most 1): where all of its eigenvalues are
inside the unit circle it vanishes, where one is outside it may explode (Pascanu, Mikolov & Bengio 2013).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npnn.look.subject import subject

__all__ = ["Recurrence", "recurrence"]

GATES = {"RNN": ("h",), "LSTM": ("input", "forget", "cell", "output"), "GRU": ("reset", "update", "new")}


@dataclass(frozen=True)
class Recurrence:
    """What a recurrent layer did with a batch of sequences (N, T, I).

    hidden       (T, H), what it gives at each step of the first sequence
    gradients    (T,), the size of the loss's gradient with respect to each step's input, mean over the sequences
    eigenvalues  by gate (for an RNN "h" only), complex (H,): those of the recurrent matrix
    """

    layer: str
    hidden: NDArray[Any]
    gradients: NDArray[Any]
    eigenvalues: dict[str, NDArray[Any]]

    @property
    def radius(self) -> dict[str, float]:
        """The largest size of an eigenvalue, by gate."""
        return {gate: float(np.abs(values).max()) for gate, values in self.eigenvalues.items()}


def recurrence(model: Any, sequences: ArrayLike, targets: ArrayLike, layer: Any = None) -> Recurrence:
    """Of the first recurrent layer, or the one that is named.

    sequences  (N, T, I), the layer's batch_first as the model has it
    targets    (N,), classes: the loss is the mean cross-entropy of the model's outputs
    """
    net = subject(model)
    found = net.find(layer, tuple(GATES))
    x, y = net.input(sequences), np.asarray(targets)
    if x.ndim != 3 or x.dtype.kind != "f":
        raise ValueError(f"expected sequences (N, T, I) of numbers, got {x.dtype} of shape {x.shape}")
    first = getattr(found.module, "batch_first", False)
    hidden = net.activations(x, [found], batch=len(x))[found.name]
    hidden = hidden[0] if first else hidden[:, 0]

    def losses(outputs: Any) -> Any:
        """log sum exp less the right score, for each sequence."""
        ones = np.zeros(tuple(outputs.shape), outputs.detach().numpy().dtype)
        ones[np.arange(len(y)), y] = 1
        return (outputs.logsumexp(1) - (outputs * net.tensor(ones)).sum(1)) / len(y)

    slope, _, _ = net.gradients(x, losses)
    steps = 1 if first else 0
    sizes = np.sqrt((slope.astype(np.float64) ** 2).sum(axis=2))  # a sequence's loss depends on its own steps only
    weight = np.asarray(found.module.weight_hh_l0.detach().numpy(), np.float64)
    gates = GATES[found.kind]
    blocks = weight.reshape(len(gates), -1, weight.shape[1])
    square = {g: np.linalg.eigvals(b) for g, b in zip(gates, blocks, strict=True) if b.shape[0] == b.shape[1]}
    return Recurrence(str(found), hidden, len(y) * sizes.mean(axis=1 - steps), square)
