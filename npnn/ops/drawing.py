"""Random tensors, and tensors filled at random: each draw as torch makes it, from ``npnn.random``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn import dtypes, random
from npnn.device import check_device
from npnn.engine import mode
from npnn.inplace import overwrite, refuse_leaf
from npnn.ops.creation import sizes_of
from npnn.tensor import Tensor, _from_array, of_array

__all__ = [
    "bernoulli", "multinomial", "normal", "poisson", "rand", "rand_like", "randint", "randint_like", "randn",
    "randn_like", "randperm",
]  # fmt: skip


def _source(generator: Any) -> random.Generator:
    return random.generator() if generator is None else generator


def _new(shape: tuple[int, ...], dtype: Any, device: Any, requires_grad: bool, draw: Any) -> Tensor:
    if device is not None:
        check_device(device)
    kind = dtypes.default_float() if dtype is None else dtypes.resolve(dtype)
    out = _from_array(draw(np.empty(shape, kind)))
    return out.requires_grad_() if requires_grad else out


def rand(
    *size: Any, generator: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Uniform in [0, 1)."""
    return _new(sizes_of(size), dtype, device, requires_grad, _source(generator).uniform_)


def randn(
    *size: Any, generator: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Standard normal."""
    return _new(sizes_of(size), dtype, device, requires_grad, _source(generator).normal_)


def randint(
    low: int = 0, high: Any = None, size: Any = None, *, generator: Any = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Whole numbers from low (0 if left out) to high - 1.   Errors: RuntimeError if there is none."""
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    _check_range(low, high)
    kind = dtypes.int64 if dtype is None else dtype
    return _new(
        sizes_of((size,)), kind, device, requires_grad, lambda a: _source(generator).integers_(a, int(low), int(high))
    )


def _check_range(low: Any, high: Any) -> None:
    if not low < high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")


def randperm(
    n: int, *, generator: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """The numbers 0 to n - 1 in random order."""
    check_device(device)
    order = _source(generator).randperm(n)
    return _from_array(order if dtype is None else order.astype(dtypes.resolve(dtype)))


def _like(input: Tensor, dtype: Any) -> Any:
    """An unset array in the input's shape and memory order."""
    return np.empty_like(input.array, None if dtype is None else dtypes.resolve(dtype))


def rand_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, **layout: Any
) -> Tensor:
    """Uniform in [0, 1), in the input's shape and dtype."""
    out = of_array(_source(layout.get("generator")).uniform_(_like(input, dtype)))
    return out.requires_grad_(requires_grad)


def randn_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, **layout: Any
) -> Tensor:
    """Standard normal, in the input's shape and dtype."""
    out = of_array(_source(layout.get("generator")).normal_(_like(input, dtype)))
    return out.requires_grad_(requires_grad)


def randint_like(input: Tensor, low: int, high: Any = None, *, dtype: Any = None, **layout: Any) -> Tensor:
    """Whole numbers from low (0 if left out) to high - 1, in the input's shape and dtype."""
    low, high = (0, low) if high is None else (low, high)
    _check_range(low, high)
    return of_array(_source(layout.get("generator")).integers_(_like(input, dtype), int(low), int(high)))


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: Any = None, **layout: Any
) -> Tensor:
    """Normal with the given mean and standard deviation: numbers with a ``size``, or tensors, which broadcast."""
    if size is not None:
        draw = _source(generator)
        return _new(sizes_of((size,)), dtype, None, False, lambda a: draw.normal_(a, float(mean), float(std)))
    if (np.asarray(std.array if isinstance(std, Tensor) else std) < 0).any():
        raise RuntimeError("normal expects all elements of std >= 0.0")
    given = [x.array for x in (mean, std) if isinstance(x, Tensor)]
    out = np.empty(np.broadcast_shapes(*[a.shape for a in given]), np.result_type(*given))
    mean, std = (x.array if isinstance(x, Tensor) else out.dtype.type(x) for x in (mean, std))
    return _from_array(_source(generator).normal_(out) * std + mean)


def bernoulli(input: Tensor, p: Any = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that the element is (or p), else 0.   Errors: RuntimeError for what is no probability."""
    if p is not None:
        return bernoulli_(_from_array(_like(input, None)), p, generator=generator)
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"bernoulli needs floating-point probabilities, got {input.dtype}")
    u = _source(generator).uniform_(np.empty(input.array.shape, input.array.dtype))
    _probabilities(input.array)
    return _from_array((u < input.array).astype(input.array.dtype))


def _probabilities(p: Any) -> None:
    if not ((p >= 0) & (p <= 1)).all():
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true: probabilities lie between 0 and 1")


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """Numbers of columns, drawn with the rows' weights.   (C,) -> (n,), (N, C) -> (N, n)

    Without replacement: the columns with the largest p / e, e exponential, which draws in the same way as
    one after the other.  With it: where a uniform number falls among the cumulated weights.
    Errors: RuntimeError for weights that are negative, not finite or all 0, and for too many samples.
    """
    p = np.atleast_2d(input.array)
    if p.dtype.kind != "f" or input.array.ndim not in (1, 2):
        raise RuntimeError("multinomial needs floating-point weights in one or two dimensions")
    if not np.isfinite(p).all() or (p < 0).any():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if not replacement and num_samples > p.shape[1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if (p.sum(1) == 0).any():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    source = _source(generator)
    if not replacement or num_samples == 1:
        q = p / exponential(source, np.empty(p.shape, p.dtype))
        out = np.argmax(q, 1)[:, None] if num_samples == 1 else np.argsort(-q, 1, kind="stable")[:, :num_samples]
    else:
        sums = np.cumsum(p, 1, dtype=p.dtype)
        sums = sums / sums[:, -1:]
        u = source.uniform_(np.empty((len(p), num_samples)))
        out = np.stack([np.searchsorted(row, v, "left") for row, v in zip(sums, u, strict=True)])
        out = np.minimum(out, p.shape[1] - 1)
    return _from_array(out.astype(np.int64) if input.array.ndim == 2 else out[0].astype(np.int64))


def exponential(source: random.Generator, out: Any, lambd: float = 1.0) -> Any:
    """-ln(1 - u) / λ"""
    return source.transformed_(out, lambda u: np.log1p(-u) * (-1 / lambd))


def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """How many events happen where so many are expected.

    Source: Hörmann, The transformed rejection method for generating Poisson random variables, 1993 (PTRS),
    for 10 and more; below, products of uniform numbers.
    """
    rates = input.array.reshape(-1).astype(np.float64)
    out = np.empty(input.array.shape, input.array.dtype)
    return _from_array(_source(generator).sequence_(out, lambda i, unit: _poisson(float(rates[i]), unit)))


def _poisson(rate: float, unit: Any) -> float:
    if rate < 0:
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    if rate >= 10:
        root, log_rate = math.sqrt(rate), math.log(rate)
        b = 0.931 + 2.53 * root
        a = -0.059 + 0.02483 * b
        inverse_alpha, v_r = 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2)
        while True:
            u = unit() - 0.5
            v = unit()
            us = 0.5 - abs(u)
            k = math.floor((2 * a / us + b) * u + rate + 0.43)
            if us >= 0.07 and v <= v_r:
                return k
            if k < 0 or (us < 0.013 and v > us):
                continue
            left = math.log(v) + math.log(inverse_alpha) - math.log(a / (us * us) + b)
            if left <= -rate + k * log_rate - math.lgamma(k + 1):
                return k
    if rate == 0:
        return 0
    limit, product, k = math.exp(-rate), 1.0, 0
    while True:
        product *= unit()
        if product <= limit:
            return k
        k += 1


# ---- in place: methods of tensors.  Each fills the tensor as it lies in memory; its gradient is then 0.


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
    return _filled("uniform_", self, lambda a: _source(generator).uniform_(a, float(low), float(to)))


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with normal numbers.  Errors: RuntimeError for a negative standard deviation."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    return _filled("normal_", self, lambda a: _source(generator).normal_(a, float(mean), float(std)))


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Fill with 1 with probability p (a number, or a tensor that broadcasts), else 0."""
    source = _source(generator)
    if isinstance(p, Tensor):
        _probabilities(p.array)
        u = source.uniform_(np.empty(self.array.shape, np.float64))
        return overwrite("bernoulli_", self, _from_array((u < p.array).astype(self.array.dtype)))
    if not 0 <= p <= 1:
        _probabilities(np.asarray(p))
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
    _check_range(low, high)
    return _filled("random_", self, lambda a: _source(generator).integers_(a, int(low), int(high)))


def _by_formula(name: str, self: Tensor, generator: Any, formula: Any) -> Tensor:
    return _filled(name, self, lambda a: _source(generator).transformed_(a, formula))


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
        source, flat = _source(generator), np.empty(a.size)
        with source._lock:
            source._few_normals(source._state, flat, float(mean), float(std))
        order = random.filling_order(a)
        a.transpose(order)[...] = np.exp(flat).reshape([a.shape[i] for i in order])
        return a

    return _filled("log_normal_", self, draw)


FILLS = [uniform_, normal_, bernoulli_, random_, exponential_, geometric_, cauchy_, log_normal_]


def _get_state(self: random.Generator) -> Tensor:
    """The state as a tensor of 5,056 bytes, which PyTorch's ``set_state`` takes as well."""
    return _from_array(self.state_bytes())


random.Generator.get_state = _get_state
