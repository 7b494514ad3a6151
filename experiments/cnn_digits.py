"""What does a small convolutional network learn from 1438 handwritten digits of 8 x 8 pixels?

    python -m experiments run cnn_digits

Test accuracy 98.4 ± 0.5 % (five seeds, the worst 98.1 %) after 20 epochs in 0.5 s; without dropout
(--variant plain) 98.6 ± 0.3 %.  The figure shows what was taken for what, the kernels, and
what the first of them make of four digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments._sheet import sheet
from npnn.data import TrainTest, load_digits
from npnn.experiment.config import RunConfig, option
from npnn.experiment.registry import Tolerance
from npnn.experiment.results import Result


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    channels: int = option(64, "kernels of the convolution")
    dropout: float = option(0.5, "probability that a unit is dropped while training")
    epochs: int | None = option(20, "passes over the training set")
    lr: float = option(3e-3, "learning rate of Adam")


def data(config: Config) -> TrainTest:
    return load_digits()


def build(nn: Any, config: Config) -> Any:
    C = config.channels
    return nn.Sequential(
        nn.Conv2d(1, C, 3, padding=1),  # (N, C, 8, 8)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (N, C, 4, 4)
        nn.Flatten(),  # (N, 16 C)
        nn.Dropout(config.dropout),
        nn.Linear(16 * C, 10),  # (N, 10)
    )


def optimizer(optim: Any, model: Any, config: Config) -> Any:
    return optim.Adam(model.parameters(), lr=config.lr)


def draw(result: Result) -> Any:
    """Loss and accuracy, what was taken for what, the kernels, what they make of some digits, and the mistakes."""
    return sheet(result, result.model[0].weight, examples=(0, 1, 2, 3), layers=2)


VARIANTS = {"dropout": Config(), "plain": Config(dropout=0.0)}
TOLERANCE = Tolerance(gap=1e-3, steps=200)
BEST = {"dropout": "float32"}
