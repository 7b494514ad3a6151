"""Networks to look at, drawn at random, each in both frameworks with the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from npnn import nn
from npnn.io import to_torch
from tests.parity import torch

SHAPE = (3, 16, 16)


def chain(nn: Any, seed: int, act: str = "ReLU", classes: int = 5) -> Any:
    """Convolutions of any window with activations, normalisation and poolings, then a linear layer."""
    rng = np.random.default_rng(seed)
    layers: list[Any] = []
    C, H = SHAPE[0], SHAPE[1]
    for _ in range(rng.integers(2, 4)):
        outputs, k, s = int(rng.choice([4, 6, 8])), int(rng.choice([1, 3, 5])), int(rng.choice([1, 1, 2]))
        p, d = int(rng.integers(0, k // 2 + 1)), int(rng.choice([1, 1, 2])) if k > 1 else 1
        if H + 2 * p - d * (k - 1) - 1 < 3:
            break
        layers.append(nn.Conv2d(C, outputs, k, stride=s, padding=p, dilation=d))
        C, H = outputs, (H + 2 * p - d * (k - 1) - 1) // s + 1
        if rng.random() < 0.5:
            layers.append(nn.BatchNorm2d(C))
        layers.append(getattr(nn, act)())
        if H >= 6 and rng.random() < 0.6:
            pool = [nn.MaxPool2d(2), nn.AvgPool2d(2), nn.MaxPool2d(3, 2, 1)][rng.integers(3)]
            layers.append(pool)
            H = (H + 2 * (1 if pool.padding else 0) - (3 if pool.padding else 2)) // 2 + 1
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(C * H * H, classes))


def residual(nn: Any, seed: int = 0) -> Any:
    """A sum of two ways: no chain."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 6, 3, padding=1)
            self.conv = nn.Conv2d(6, 6, 3, padding=1)
            self.act = nn.ReLU(inplace=True)
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.head = nn.Linear(6, 5)

        def forward(self, x: Any) -> Any:
            x = self.stem(x)
            x = self.act(x + self.conv(x))
            return self.head(self.pool(x).flatten(1))

    return Block()


def twins(build: Any, *args: Any, **options: Any) -> list[Any]:
    """The network in npnn and, where there is torch, its copy."""
    ours = build(nn, *args, **options)
    rng = np.random.default_rng(1)
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after some training
            module.running_mean.copy_(
                nn.Parameter(rng.normal(size=module.running_mean.shape).astype("float32")).detach()
            )
            module.running_var.copy_(
                nn.Parameter(rng.uniform(0.5, 2, module.running_var.shape).astype("float32")).detach()
            )
    if torch is None:
        return [ours]
    theirs = build(torch.nn, *args, **options)
    theirs.load_state_dict(to_torch(ours.state_dict()))
    return [ours, theirs]


def pictures(count: int = 6, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


def same(found: list[Any], rtol: float = 1e-4, atol: float = 1e-5) -> Any:
    """What both frameworks gave is one thing."""
    for other in found[1:]:
        np.testing.assert_allclose(found[0], other, rtol=rtol, atol=atol)
    return found[0]


SEEDS = pytest.mark.parametrize("seed", range(6))
