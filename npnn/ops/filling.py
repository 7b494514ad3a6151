"""Tensors filled in place with random numbers, drawn as torch draws them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn import random
from npnn.generator import Generator, filling_order
from npnn.inplace import overwrite, refuse_leaf
from npnn.modes import mode
from npnn.tensor import Tensor, _from_array


def source_of(generator: Any) -> Generator:
    return random.generator() if generator is None else generator


def check_range(low: Any, high: Any) -> None:
    if not low < high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")


def check_probabilities(p: Any) -> None:
    if not ((p >= 0) & (p <= 1)).all():
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true: probabilities lie between 0 and 1")


def _filled(name: str, tensor: Tensor, draw: Any) -> Tensor:
    recorded = mode.enabled and tensor.requires_grad
    if recorded:
        refuse_leaf(tensor)
    draw(tensor.array)
    if recorded:
        return overwrite(name, tensor, _from_array(tensor.array))
    tensor._mark_changed(name)
    return tensor


def uniform_(self: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Any = None, **named: float) -> Tensor:
    """Fill with numbers between ``from`` and ``to``."""
    low = named.get("from", from_)
    return _filled("uniform_", self, lambda a: source_of(generator).uniform_(a, float(low), float(to)))


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with normal numbers.  Errors: RuntimeError for a negative standard deviation."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    return _filled("normal_", self, lambda a: source_of(generator).normal_(a, float(mean), float(std)))


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Fill with 1 with probability p (a number, or a tensor that broadcasts), else 0."""
    source = source_of(generator)
    if isinstance(p, Tensor):
        check_probabilities(p.array)
        u = source.uniform_(np.empty(self.array.shape, np.float64))
        return overwrite("bernoulli_", self, _from_array((u < p.array).astype(self.array.dtype)))
    if not 0 <= p <= 1:
        check_probabilities(np.asarray(p))
    return _filled("bernoulli_", self, lambda a: source.bernoulli_(a, float(p)))


def random_(self: Tensor, from_: Any = None, to: Any = None, *, generator: Any = None) -> Tensor:
    """Fill with whole numbers from ``from`` (0) to ``to`` - 1; without either, over all that the dtype can count."""
    low, high = (0, from_) if to is None else (from_, to)
    kind = self.array.dtype
    if high is None:
        bits = {"float32": 24, "float64": 53, "int64": 63, "int32": 31, "int16": 15, "int8": 7, "uint8": 8, "bool": 1}[
            kind.name
        ]
        high = (1 << bits) + (1 if kind.kind == "f" else 0)
    check_range(low, high)
    return _filled("random_", self, lambda a: source_of(generator).integers_(a, int(low), int(high)))


def _by_formula(name: str, self: Tensor, generator: Any, formula: Any) -> Tensor:
    return _filled(name, self, lambda a: source_of(generator).transformed_(a, formula))


def exponential_(self: Tensor, lambd: float = 1, *, generator: Any = None) -> Tensor:
    """Fill with exponential numbers:   -ln(1 - u) / λ"""
    return _by_formula("exponential_", self, generator, lambda u: np.log1p(-u) * (-1 / lambd))


def geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Fill with the number of trials up to the first success:   ⌈ln(1 - u) / ln(1 - p)⌉"""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    with np.errstate(divide="ignore"):
        return _by_formula("geometric_", self, generator, lambda u: np.ceil(np.log(u) / math.log1p(-p)))


def cauchy_(self: Tensor, median: float = 0, sigma: float = 1, *, generator: Any = None) -> Tensor:
    """Fill with Cauchy numbers:   median + σ tan(π (u - 1/2))"""
    return _by_formula("cauchy_", self, generator, lambda u: median + sigma * np.tan(np.pi * (u - 0.5)))


def log_normal_(self: Tensor, mean: float = 1, std: float = 2, *, generator: Any = None) -> Tensor:
    """Fill with exp of normal numbers of that mean and standard deviation."""

    def draw(a: Any) -> Any:
        source, flat = source_of(generator), np.empty(a.size)
        with source._lock:
            source._few_normals(source._state, flat, float(mean), float(std))
        order = filling_order(a)
        a.transpose(order)[...] = np.exp(flat).reshape([a.shape[i] for i in order])
        return a

    return _filled("log_normal_", self, draw)


FILLS = [uniform_, normal_, bernoulli_, random_, exponential_, geometric_, cauchy_, log_normal_]
