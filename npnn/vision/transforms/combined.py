"""Transforms made of others: in turn, by chance, one of several."""

from __future__ import annotations

import random as python_random
from collections.abc import Callable, Sequence
from typing import Any

from npnn.vision.transforms.pixels import Transform, uniform

__all__ = ["Compose", "Lambda", "RandomApply", "RandomChoice", "RandomOrder"]


class Compose:
    """One transform after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]):
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for t in self.transforms:
            img = t(img)
        return img

    def __repr__(self) -> str:
        return "\n".join(["Compose(", *[f"    {t}" for t in self.transforms], ")"])


class Lambda(Transform):
    """A function of your own."""

    def __init__(self, lambd: Callable[[Any], Any]):
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return "Lambda()"


class RandomApply(Transform):
    """All of some transforms with probability p."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5):
        self.transforms, self.p = transforms, p

    def __call__(self, img: Any) -> Any:
        if self.p < uniform():
            return img
        for t in self.transforms:
            img = t(img)
        return img


class RandomChoice(Transform):
    """One of some transforms (drawn by Python's generator)."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: Any = None):
        self.transforms, self.p = transforms, p

    def __call__(self, img: Any) -> Any:
        return python_random.choices(self.transforms, weights=self.p)[0](img)


class RandomOrder(Transform):
    """All of some transforms in random order (drawn by Python's generator)."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]):
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        order = list(range(len(self.transforms)))
        python_random.shuffle(order)
        for i in order:
            img = self.transforms[i](img)
        return img
