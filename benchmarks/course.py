"""Networks as courses train them: what a student's script builds, layer by layer."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["autoencoder", "characters", "dcgan", "gan", "gpt", "lenet", "mnist_cnn", "mobilenet", "resnet"]


def mobilenet(nn: Any) -> Any:
    """Three depthwise separable blocks for 3 x 32 x 32."""

    def block(inputs: int, outputs: int, stride: int) -> list[Any]:
        return [
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs), nn.ReLU(),
            nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
        ]  # fmt: skip

    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        *block(32, 64, 1), *block(64, 128, 2), *block(128, 256, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10),
    )  # fmt: skip


def characters(nn: Any) -> Any:
    """An LSTM that says the next of 65 characters at each step."""

    class Characters(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(65, 256, batch_first=True)
            self.head = nn.Linear(256, 65)

        def forward(self, x: Any) -> Any:
            h, _ = self.lstm(x)
            return self.head(h).transpose(1, 2)  # (N, 65, T)

    return Characters()


def lenet(nn: Any) -> Any:
    """LeNet-5 for 28 x 28 (LeCun and others 1998)."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def resnet(nn: Any) -> Any:
    """ResNet-8 for 3 x 32 x 32: three blocks of 16, 32 and 64 channels (He and others 2016)."""

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU()
            self.shortcut = nn.Sequential()
            if inputs != outputs:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + self.shortcut(x))

    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def gpt(nn: Any) -> Any:
    """A GPT of two blocks with attention by hand: 64 wide, 4 heads, 64 characters of 65."""
    d, heads, length, vocabulary = 64, 4, 64, 65

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
            self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
            self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
            place = nn.Parameter(self.out.weight.detach()[:length, :length] * 0)  # zeros, of either framework
            self.register_buffer("mask", (place.detach() + 1).tril() == 0)

        def forward(self, x: Any) -> Any:
            N, T, _ = x.shape
            q, k, v = (
                part.reshape(N, T, heads, d // heads).transpose(1, 2) for part in self.qkv(self.ln1(x)).split(d, 2)
            )
            scores = (q @ k.transpose(-2, -1)) * (1 / math.sqrt(d // heads))
            weights = scores.masked_fill(self.mask, float("-inf")).softmax(-1)
            x = x + self.out((weights @ v).transpose(1, 2).reshape(N, T, d))
            return x + self.mlp(self.ln2(x))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(vocabulary, d), nn.Parameter(nn.Linear(d, length).weight.detach())
            self.blocks, self.ln = nn.Sequential(Block(), Block()), nn.LayerNorm(d)
            self.head = nn.Linear(d, vocabulary)

        def forward(self, index: Any) -> Any:
            x = self.blocks(self.tokens(index) + self.places)
            return self.head(self.ln(x)).transpose(1, 2)  # (N, 65, T)

    return GPT()


def mnist_cnn(nn: Any) -> Any:
    """The CNN of PyTorch's MNIST example."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10),
    )  # fmt: skip


def dcgan(nn: Any) -> Any:
    """DCGAN's generator: four transposed convolutions from 100 numbers to 3 x 32 x 32."""
    return nn.Sequential(
        nn.ConvTranspose2d(100, 128, 4, 1, 0, bias=False), nn.BatchNorm2d(128), nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        nn.ConvTranspose2d(32, 3, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip


def gan(nn: Any) -> Any:
    """A GAN's generator of linear layers: 100 numbers to 28 x 28."""
    layers, inputs = [], 100
    for outputs in (256, 512, 1024):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.LeakyReLU(0.2)]
        inputs = outputs
    return nn.Sequential(*layers, nn.Linear(inputs, 784), nn.Tanh())


def autoencoder(nn: Any) -> Any:
    """784-400-20-400-784."""
    return nn.Sequential(
        nn.Linear(784, 400),
        nn.ReLU(),
        nn.Linear(400, 20),
        nn.Linear(20, 400),
        nn.ReLU(),
        nn.Linear(400, 784),
        nn.Sigmoid(),
    )
