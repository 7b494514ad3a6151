"""Random tensors, and tensors filled at random: each draw as torch makes it, from ``npnn.random``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn import dtypes
from npnn.device import check_device
from npnn.generator import Generator
from npnn.ops.creation import sizes_of
from npnn.ops.filling import bernoulli_, check_probabilities, check_range, source_of
from npnn.tensor import Tensor, _from_array, of_array

__all__ = [
    "bernoulli", "multinomial", "normal", "poisson", "rand", "rand_like", "randint", "randint_like", "randn",
    "randn_like", "randperm",
]  # fmt: skip


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
    return _new(sizes_of(size), dtype, device, requires_grad, source_of(generator).uniform_)


def randn(
    *size: Any, generator: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Standard normal."""
    return _new(sizes_of(size), dtype, device, requires_grad, source_of(generator).normal_)


def randint(
    low: int = 0, high: Any = None, size: Any = None, *, generator: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Whole numbers from low (0 if left out) to high - 1.   Errors: RuntimeError if there is none."""
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    check_range(low, high)
    kind = dtypes.int64 if dtype is None else dtype
    return _new(
        sizes_of((size,)), kind, device, requires_grad, lambda a: source_of(generator).integers_(a, int(low), int(high))
    )


def randperm(
    n: int, *, generator: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """The numbers 0 to n - 1 in random order."""
    check_device(device)
    order = source_of(generator).randperm(n)
    return of_array(order if dtype is None else order.astype(dtypes.resolve(dtype)), requires_grad=requires_grad)


def _like(input: Tensor, dtype: Any) -> Any:
    """An unset array in the input's shape and memory order."""
    return np.empty_like(input.array, None if dtype is None else dtypes.resolve(dtype))


def _drawn(array: Any, device: Any, requires_grad: bool) -> Tensor:
    check_device(device)
    return of_array(array, requires_grad=requires_grad)


def rand_like(
    input: Tensor, *, generator: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Uniform in [0, 1), in the input's shape and dtype."""
    return _drawn(source_of(generator).uniform_(_like(input, dtype)), device, requires_grad)


def randn_like(
    input: Tensor, *, generator: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Standard normal, in the input's shape and dtype."""
    return _drawn(source_of(generator).normal_(_like(input, dtype)), device, requires_grad)


def randint_like(
    input: Tensor, low: int = 0, high: Any = None, *, generator: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Whole numbers from low (0 if left out) to high - 1, in the input's shape and dtype."""
    low, high = (0, low) if high is None else (low, high)
    check_range(low, high)
    return _drawn(source_of(generator).integers_(_like(input, dtype), int(low), int(high)), device, requires_grad)


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Normal with the given mean and standard deviation: numbers with a ``size``, or tensors, which broadcast."""
    if size is not None:
        draw = source_of(generator)
        return _new(sizes_of((size,)), dtype, device, requires_grad, lambda a: draw.normal_(a, float(mean), float(std)))
    if (np.asarray(std.array if isinstance(std, Tensor) else std) < 0).any():
        raise RuntimeError("normal expects all elements of std >= 0.0")
    given = [x.array for x in (mean, std) if isinstance(x, Tensor)]
    out = np.empty(np.broadcast_shapes(*[a.shape for a in given]), np.result_type(*given))
    mean, std = (x.array if isinstance(x, Tensor) else out.dtype.type(x) for x in (mean, std))
    return _from_array(source_of(generator).normal_(out) * std + mean)


def bernoulli(input: Tensor, p: Any = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that the element is (or p), else 0.   Errors: RuntimeError for what is no probability."""
    if p is not None:
        return bernoulli_(_from_array(_like(input, None)), p, generator=generator)
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"bernoulli needs floating-point probabilities, got {input.dtype}")
    u = source_of(generator).uniform_(np.empty(input.array.shape, input.array.dtype))
    check_probabilities(input.array)
    return _from_array((u < input.array).astype(input.array.dtype))


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
    source = source_of(generator)
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


def exponential(source: Generator, out: Any, lambd: float = 1.0) -> Any:
    """-ln(1 - u) / λ"""
    return source.transformed_(out, lambda u: np.log1p(-u) * (-1 / lambd))


def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """How many events happen where so many are expected.

    Source: Hörmann, The transformed rejection method for generating Poisson random variables, 1993 (PTRS),
    for 10 and more; below, products of uniform numbers.
    """
    rates = input.array.reshape(-1).astype(np.float64)
    out = np.empty(input.array.shape, input.array.dtype)
    return _from_array(source_of(generator).sequence_(out, lambda i, unit: _poisson(float(rates[i]), unit)))


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


def _get_state(self: Generator) -> Tensor:
    """The state as a tensor of 5,056 bytes, which PyTorch's ``set_state`` takes as well."""
    return _from_array(self.state_bytes())


Generator.get_state = _get_state
