"""The networks npnn exists for: one definition each, built in npnn or in PyTorch by the same code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import course

__all__ = ["WORKLOADS", "Workload"]


@dataclass(frozen=True)
class Workload:
    """One training step: a model, an optimiser, and one batch of random data."""

    name: str
    text: str
    build: Callable[[Any], Any]  # nn -> model
    optimizer: str
    options: dict[str, Any]
    input_shape: tuple[int, ...]
    classes: int
    target: float  # npnn's time over torch's, to be reached
    inference: bool = False  # time the forward pass under no_grad as well
    memory: bool = False  # measure the peak memory of a step
    steps: int = field(default=40)  # per round of the alternation
    tokens: int = 0  # inputs are whole numbers below this, if it is not 0
    places: int = 0  # there is a label at each of so many places, if it is not 0
    image: tuple[int, ...] = ()  # instead of classes numbers of this shape are to be met, with the mean square as loss

    def batch(self, size: int | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Inputs and labels, always the same."""
        rng = np.random.default_rng(0)
        shape = (size or self.input_shape[0], *self.input_shape[1:])
        x = rng.integers(0, self.tokens, shape) if self.tokens else rng.standard_normal(shape, np.float32)
        if self.image:
            return x, rng.random((shape[0], *self.image), np.float32)
        return x, rng.integers(0, self.classes, (shape[0], self.places) if self.places else shape[0])

    @property
    def loss(self) -> str:
        return "MSELoss" if self.image else "CrossEntropyLoss"


def mlp(*sizes: int) -> Callable[[Any], Any]:
    """Linear layers with ReLU between them."""

    def build(nn: Any) -> Any:
        layers = []
        for i, (n, m) in enumerate(pairwise(sizes)):
            layers += ([nn.ReLU()] if i else []) + [nn.Linear(n, m)]
        return nn.Sequential(*layers)

    return build


def vgg(batch_norm: bool) -> Callable[[Any], Any]:
    """The reports' reduced VGG for 32x32 colour images."""

    def build(nn: Any) -> Any:
        layers, channels = [], 3
        for width in (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"):
            if width == "M":
                layers.append(nn.MaxPool2d(3, stride=2, padding=1))
                continue
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            layers += ([nn.BatchNorm2d(width)] if batch_norm else []) + [nn.ReLU()]
            channels = width
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))

    return build


def small_cnn(nn: Any) -> Any:
    """One convolution and two linear layers for 28x28 images."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 13 * 13, 256), nn.ReLU(),
        nn.Linear(256, 10),
    )  # fmt: skip


def recurrent(kind: str) -> Callable[[Any], Any]:
    """A recurrent layer of 128 units, and a linear layer on its last state."""

    def build(nn: Any) -> Any:
        class LastState(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.rnn = getattr(nn, kind)(1, 128, batch_first=True)
                self.linear = nn.Linear(128, 10)

            def forward(self, x: Any) -> Any:
                output, _ = self.rnn(x)
                return self.linear(output[:, -1])

        return LastState()

    return build


WORKLOADS = [
    Workload("W0", "MLP 2-20-2, SGD, batch 1", mlp(2, 20, 2), "SGD", {"lr": 1e-2}, (1, 2), 2, 0.60, steps=1000),
    Workload("W1", "MLP 2-20-2, SGD, batch 800", mlp(2, 20, 2), "SGD", {"lr": 1e-2}, (800, 2), 2, 0.55, steps=500),
    Workload("W2", "MLP 3072-512-64-10, Adam, batch 32", mlp(3072, 512, 64, 10), "Adam", {"lr": 1e-3}, (32, 3072),
             10, 0.40),
    Workload("W3", "MLP 784-600-10, SGD + weight decay, batch 32", mlp(784, 600, 10), "SGD",
             {"lr": 1e-2, "weight_decay": 1e-4}, (32, 784), 10, 0.50, steps=200),
    Workload("W4", "reduced VGG, Adam, batch 32 of 3x32x32", vgg(False), "Adam", {"lr": 1e-4}, (32, 3, 32, 32), 10,
             0.60, inference=True, memory=True, steps=5),
    Workload("W5", "W4 with batch normalisation", vgg(True), "Adam", {"lr": 1e-4}, (32, 3, 32, 32), 10, 0.60,
             inference=True, memory=True, steps=5),
    Workload("W6", "RNN 1-128, T = 19, batch 128, RMSprop", recurrent("RNN"), "RMSprop", {"lr": 1e-3}, (128, 19, 1),
             10, 0.45),
    Workload("W7", "conv 1-16, max-pool, linear 256, SGD, batch 64 of 1x28x28", small_cnn, "SGD", {"lr": 1e-2},
             (64, 1, 28, 28), 10, 0.45),
    Workload("W8", "LSTM 1-128, T = 19, batch 128, RMSprop", recurrent("LSTM"), "RMSprop", {"lr": 1e-3},
             (128, 19, 1), 10, 0.60),
    *[
        Workload(name, text, build, "Adam", {"lr": 1e-3}, shape, classes, target, **more)
        for name, text, build, shape, classes, target, more in (
            ("C1", "MobileNet-like: three separable blocks, batch 32 of 3x32x32", course.mobilenet, (32, 3, 32, 32), 10, 0.70,
             {"steps": 8, "memory": True}),
            ("C2", "characters: LSTM 65-256, T 64, batch 32", course.characters, (32, 64, 65), 65, 0.60,
             {"places": 64, "steps": 8}),
            ("C3", "LeNet-5, batch 64", course.lenet, (64, 1, 28, 28), 10, 0.60, {}),
            ("C4", "ResNet-8, batch 64 of 3x32x32", course.resnet, (64, 3, 32, 32), 10, 0.60, {"steps": 8, "memory": True}),
            ("C5", "GPT of two blocks by hand, T 64, batch 16", course.gpt, (16, 64), 65, 0.65,
             {"tokens": 65, "places": 64, "steps": 20}),
            ("C6", "MNIST's CNN with dropout, batch 64", course.mnist_cnn, (64, 1, 28, 28), 10, 0.60, {"steps": 8}),
            ("C7", "DCGAN's generator, batch 64 to 3x32x32", course.dcgan, (64, 100, 1, 1), 0, 0.60,
             {"image": (3, 32, 32), "steps": 8}),
            ("C8", "GAN's generator 100-256-512-1024-784, batch 64", course.gan, (64, 100), 0, 0.60, {"image": (784,)}),
            ("C9", "autoencoder 784-400-20-400-784, batch 128", course.autoencoder, (128, 784), 0, 0.60, {"image": (784,)}),
        )
    ],
]  # fmt: skip
