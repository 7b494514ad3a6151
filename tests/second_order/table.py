"""The table of what is differentiated twice: functions of a library, its functional module and tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Case = tuple[Callable[..., Any], tuple[Any, ...]]
CASES: dict[str, Case] = {}
RNG = np.random.default_rng(7)


def case(name: str, f: Callable[..., Any], *inputs: Any) -> None:
    """f(torch or npnn, its functional module, *inputs)"""
    CASES[name] = f, inputs


def of_functions(names: str, f: Callable[..., Any], *inputs: Any) -> None:
    for name in names.split():
        case(name, lambda m, F, *x, name=name: f(m, F, name, *x), *inputs)


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape)


def positive(*shape: int) -> Any:
    return np.abs(RNG.normal(size=shape)) + 0.3


def inside(*shape: int) -> Any:
    return RNG.uniform(-0.8, 0.8, size=shape)


def share(*shape: int) -> Any:
    return RNG.uniform(0.1, 0.9, size=shape)


def definite(n: int) -> Any:
    a = normal(n, n)
    return a @ a.T + n * np.eye(n)
