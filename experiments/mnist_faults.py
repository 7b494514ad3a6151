"""The mistakes of a course report on MNIST, to measure what each of them costs.  Only experiments/mnist.py uses them.

The report wrote its network in NumPy and found 81 % where 95 % were to be had.  What was wrong:

    divided      The gradient of the mean loss is already divided by the batch.  Linear and convolution
                 divided those of their weights once more, the convolution also that of its input: with
                 batches of 32 the learning rate was a 32nd of what was written down.
    normal       All weights and biases begin as N(0, 1), whatever the number of inputs: logits in the hundreds.
    decay        Weight decay is added in backward and again by the optimiser, to biases as well.
    dropout      Dropout goes on in evaluation.
    sigmoid      The derivative of sigmoid is written in its output, y (1 - y), but it is given the input.
    exponential  ExponentialLR multiplies by γ^t at step t instead of γ.
    zoom         The augmentation that was to change the scale of a digit changes it back.

Each is written for both frameworks at once: a false gradient is the true value of one expression with
the gradient of another, and so torch makes the same mistakes from the same text.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from numpy.typing import NDArray

import npnn
from npnn import Generator
from npnn.data.transforms import RandomScale

__all__ = [
    "FAULTS", "ZoomAndBack", "decay_twice", "draw_normal", "exponential", "has", "layers", "with_gradient_of",
]  # fmt: skip

FAULTS = ("divided", "normal", "decay", "dropout", "sigmoid", "exponential", "zoom")


def has(faults: str, one: str) -> bool:
    """Is this fault among those asked for: none, all, or some joined by +?"""
    return faults == "all" or one in faults.split("+")


def with_gradient_of(value: Any, other: Any) -> Any:
    """``value``, to the bit, but what comes back goes the way of ``other``, a tensor of the same shape."""
    return value.detach() + (other - other.detach())


def layers(nn: Any, faults: str) -> Any:
    """``nn`` with those of its layers replaced that have a fault.  Their parameters have the same names."""

    class Linear(nn.Linear):
        def forward(self, x: Any) -> Any:
            n = len(x)
            return nn.functional.linear(x, _divided(self.weight, n), _divided(self.bias, n))

    class Conv2d(nn.Conv2d):
        def forward(self, x: Any) -> Any:
            n = len(x)
            w, b = _divided(self.weight, n), _divided(self.bias, n)
            return nn.functional.conv2d(_divided(x, n), w, b, self.stride, self.padding)

    class DropoutAlways(nn.Module):
        """In evaluation the same units are left out each time, so that the measurement can be repeated."""

        def __init__(self, p: float) -> None:
            super().__init__()
            self.drop = nn.Dropout(p)

        def forward(self, x: Any) -> Any:
            if self.training:
                return self.drop(x)
            self.drop.training = True
            with _generator_started_anew(nn):
                return self.drop(x)

    class Sigmoid(nn.Module):
        def forward(self, x: Any) -> Any:
            return with_gradient_of(x.sigmoid(), x**2 / 2 - x**3 / 3)  # whose derivative is x (1 - x)

    faulty: dict[str, dict[str, Any]] = {
        "divided": {"Linear": Linear, "Conv2d": Conv2d},
        "dropout": {"Dropout": DropoutAlways},
        "sigmoid": {"Sigmoid": Sigmoid},
    }
    kit = dict(vars(nn))
    for one, replaced in faulty.items():
        kit |= replaced if has(faults, one) else {}
    return SimpleNamespace(**kit)


def _divided(x: Any, n: int) -> Any:
    """``x``, with a gradient divided by n.  Images, which have none, and biases that are not there stay as they are."""
    return with_gradient_of(x, x / n) if x is not None and x.requires_grad else x


@contextlib.contextmanager
def _generator_started_anew(nn: Any) -> Iterator[None]:
    """Inside the block the random numbers are the same each time; outside, nothing has happened to them."""
    framework = npnn if nn is npnn.nn else sys.modules[nn.__name__.partition(".")[0]]
    state = framework.get_rng_state()
    framework.manual_seed(0)
    try:
        yield
    finally:
        framework.set_rng_state(state)


def draw_normal(nn: Any, model: Any) -> None:
    """Draw every weight and bias from N(0, 1)."""
    for parameter in model.parameters():
        nn.init.normal_(parameter)


def decay_twice(model: Any, decay: float) -> list[dict[str, Any]]:
    """The parameters for an optimiser: all in one group, with twice the weight decay."""
    return [{"params": list(model.parameters()), "weight_decay": 2 * decay}]


def exponential(lr_scheduler: Any, optimizer: Any, gamma: float) -> Any:
    """Step t multiplies the rate by γ^t instead of γ: after t steps it is γ^(t (t + 1) / 2) of what it was."""
    return lr_scheduler.LambdaLR(optimizer, lambda t: gamma ** (t * (t + 1) / 2))


@dataclass(frozen=True)
class ZoomAndBack:
    """Enlarge or shrink the images by a factor between the two given ones, and undo it: what is left is a blur."""

    scale: tuple[float, float]

    def __call__(self, x: NDArray[Any], generator: Generator) -> NDArray[Any]:
        low, high = self.scale
        factor = low + (high - low) * float(generator.rand())  # one for the whole batch
        for f in (factor, 1 / factor):
            x = RandomScale((f, f))(x, generator)
        return x
