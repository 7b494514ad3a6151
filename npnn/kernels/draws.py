"""What the words of the twister become: uniform, whole and normal numbers, permutations.  Formulas in the twister."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels._jit import jit, kernel
from npnn.kernels.box_muller import turn, turn32, turn64
from npnn.kernels.twister import Words, _refill, _unit64, _units, _units32, _units64, pairs, raw

__all__ = ["bernoulli", "few_normals", "integers", "normal", "permutation", "uniform"]


@kernel
def uniform(state: Words, out: NDArray, low: float, high: float) -> None:  # type: ignore[type-arg]
    """out ← u (high - low) + low, rounded once,   flat, float32 or float64"""
    of = out.dtype.type
    u = _units(state, out.size, out.dtype)
    out[:] = u if low == 0 and high == 1 else _multiplied_and_added(u, of(high) - of(low), of(low))


def _multiplied_and_added(a: NDArray, b: Any, c: Any) -> NDArray:  # type: ignore[type-arg]
    """a b + c as processors compute it in one step: the product is not rounded.

    float64 holds the product of two float32; that of two float64 is split into what is rounded and the rest.
    Source: Dekker, A floating-point technique for extending the available precision, 1971.
    """
    if a.dtype == np.float32:
        return (a.astype(np.float64) * float(b) + float(c)).astype(np.float32)
    product = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    rest = ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2
    total = product + c
    back = total - product
    return total + ((product - (total - back)) + (c - back) + rest)


def _halves(x: Any) -> Any:
    big = x * 134217729.0  # 2²⁷ + 1
    upper = big - (big - x)
    return upper, x - upper


@uniform.fast
def uniform(state: Words, out: NDArray, low: float, high: float) -> None:  # type: ignore[type-arg]
    (_uniform32 if out.itemsize == 4 else _uniform64)(state, out, low, high)


@jit(fastmath={"contract"})
def _uniform32(state, out, low, high):  # type: ignore[no-untyped-def]
    _units32(state, out)
    if low != 0 or high != 1:
        scale, shift = np.float32(high) - np.float32(low), np.float32(low)
        for i in range(out.size):
            out[i] = out[i] * scale + shift


@jit(fastmath={"contract"})
def _uniform64(state, out, low, high):  # type: ignore[no-untyped-def]
    _units64(state, out)
    if low != 0 or high != 1:
        scale, shift = np.float64(high) - np.float64(low), np.float64(low)
        for i in range(out.size):
            out[i] = out[i] * scale + shift


@kernel
def bernoulli(state: Words, out: NDArray, p: float, one: float) -> None:  # type: ignore[type-arg]
    """out ← ``one`` where u < p, else 0,   flat, of any dtype; u is float64 whatever the dtype"""
    u = (pairs(state, out.size) & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53
    out[:] = np.where(u < p, out.dtype.type(one), out.dtype.type(0))


@bernoulli.fast
def bernoulli(state: Words, out: NDArray, p: float, one: float) -> None:  # type: ignore[type-arg]
    if out.dtype.kind == "f":
        _bernoulli(state, out, p, one)
    else:
        bernoulli.reference(state, out, p, one)


@jit
def _bernoulli(state, out, p, one):  # type: ignore[no-untyped-def]
    # u < p with u = (2³² h + l) / 2⁵³, h of 21 bits: compared as whole numbers, so that the loop has no divisions.
    limit = math.ceil(p * 9007199254740992.0)
    kept, zero = out.dtype.type(one), out.dtype.type(0)
    high_limit = np.int32(limit >> 32)
    low_limit = np.uint32(limit & 0xFFFFFFFF)
    done = 0
    while done < out.size:
        used = np.int64(state[1248])
        whole = min((624 - used) // 2, out.size - done)
        if whole <= 0:
            out[done] = kept if _unit64(state) < p else zero
            done += 1
            continue
        source, target = state[624 + used : 624 + used + 2 * whole], out[done : done + whole]
        for i in range(whole):
            high = np.int32(source[2 * i] & np.uint32(0x1FFFFF))
            below = (high < high_limit) | ((high == high_limit) & (source[2 * i + 1] < low_limit))
            target[i] = kept if below else zero
        state[1248] = used + 2 * whole
        done += whole


@kernel
def integers(state: Words, out: NDArray, span: int, low: int) -> None:  # type: ignore[type-arg]
    """out ← r mod span + low, or R mod span + low where span is 2³² or more,   flat"""
    if span >= 1 << 32:
        draws = pairs(state, out.size)
        draws = draws % np.uint64(span) if span < 1 << 64 else draws
        out[:] = (draws.view(np.int64) + np.int64(low)).astype(out.dtype, copy=False)
    else:
        draws = raw(state, out.size) % np.uint32(span)
        out[:] = (draws.astype(np.int64) + low).astype(out.dtype, copy=False)


@integers.fast
def integers(state: Words, out: NDArray, span: int, low: int) -> None:  # type: ignore[type-arg]
    if span >= 1 << 32 or out.dtype != np.int64:
        integers.reference(state, out, span, low)
    else:
        _integers(state, out, span, low)


@jit
def _integers(state, out, span, low):  # type: ignore[no-untyped-def]
    # floor(r / span) in float64 is exact for numbers below 2³², and unlike a division of integers it vectorises
    divisor = np.float64(span)
    done = 0
    while done < out.size:
        if state[1248] == 624:
            _refill(state)
        used = np.int64(state[1248])
        n = min(624 - used, out.size - done)
        source, target = state[624 + used : 624 + used + n], out[done : done + n]
        for i in range(n):
            word = np.float64(source[i])
            target[i] = np.int64(word - math.floor(word / divisor) * divisor) + low
        state[1248] = used + n
        done += n


@kernel
def permutation(state: Words, out: NDArray[np.int64]) -> None:
    """out ← 0 .. n - 1 in random order: for i in 0 .. n - 2, exchange the places i and i + (r mod (n - i))"""
    n = out.size
    out[:] = np.arange(n)
    if n < 2:
        return
    steps = raw(state, n - 1) % np.arange(n, 1, -1, dtype=np.uint32)
    order = out.tolist()  # a list is quicker than an array, one element at a time
    for i, z in enumerate(steps.tolist()):
        order[i], order[i + z] = order[i + z], order[i]
    out[:] = order


@permutation.fast
def permutation(state: Words, out: NDArray[np.int64]) -> None:
    _permutation(state, out)


@jit
def _permutation(state, out):  # type: ignore[no-untyped-def]
    n = out.size
    places, order = np.empty(n, np.int32), np.empty(n, np.int32)  # half the memory of int64: they stay in the cache
    done = 0
    while done < n - 1:  # z, as for integers without a division of integers
        if state[1248] == 624:
            _refill(state)
        used = np.int64(state[1248])
        m = min(624 - used, n - 1 - done)
        source, target = state[624 + used : 624 + used + m], places[done : done + m]
        for i in range(m):
            word, divisor = np.float64(source[i]), np.float64(n - done - i)
            target[i] = np.int32(word - math.floor(word / divisor) * divisor)
        state[1248] = used + m
        done += m
    for i in range(n):
        order[i] = i
    for i in range(n - 1):
        j = i + np.int64(places[i])
        order[i], order[j] = order[j], order[i]
    for i in range(n):
        out[i] = order[i]


@kernel
def normal(state: Words, out: NDArray, mean: float, std: float) -> None:  # type: ignore[type-arg]
    """out ← std · Box-Muller + mean,   flat, of 16 elements or more, float32 or float64

    Filled with u first.  Then, in each group of 16 and for j < 8:  radius √(-2 ln(1 - u[j])), angle 2π u[j + 8],
    the cosine to place j, the sine to place j + 8.  Where 16 does not divide the size, the last 16 are
    drawn once more and overwritten.
    """
    n = out.size
    fill = out[: n - n % 16]
    turn(fill, _units(state, fill.size, out.dtype), mean, std)
    if n % 16:
        _units(state, n % 16, out.dtype)
        turn(out[n - 16 :], _units(state, 16, out.dtype), mean, std)


@normal.fast
def normal(state: Words, out: NDArray, mean: float, std: float) -> None:  # type: ignore[type-arg]
    (_normal32 if out.itemsize == 4 else _normal64)(state, out, float(mean), float(std))


@jit
def _normal32(state, out, mean64, std64):  # type: ignore[no-untyped-def]
    n, mean, std = out.size, np.float32(mean64), np.float32(std64)
    _units32(state, out)
    turn32(out[: n - n % 16], mean, std)
    if n % 16:
        _units32(state, out[n - 16 :])
        turn32(out[n - 16 :], mean, std)


@jit
def _normal64(state, out, mean64, std64):  # type: ignore[no-untyped-def]
    n, mean, std = out.size, np.float64(mean64), np.float64(std64)
    _units64(state, out)
    turn64(out[: n - n % 16], mean, std)
    if n % 16:
        _units64(state, out[n - 16 :])
        turn64(out[n - 16 :], mean, std)


@kernel
def few_normals(state: Words, kept: float, out: NDArray, mean: float, std: float) -> float:  # type: ignore[type-arg]
    """out ← std · z + mean, flat, one pair z after the other in float64; returns what is left of the last pair.

    ``kept`` is what was left before, nan for nothing, and comes first.
    """
    for i in range(out.size):
        if math.isnan(kept):
            u1, u2 = _units(state, 2, np.dtype(np.float64)).tolist()
            radius, angle = math.sqrt(-2 * math.log1p(-u2)), 2 * math.pi * u1
            z, kept = radius * math.cos(angle), radius * math.sin(angle)
        else:
            z, kept = kept, math.nan
        out[i] = z * std + mean
    return kept


@few_normals.fast
def few_normals(state: Words, kept: float, out: NDArray, mean: float, std: float) -> float:  # type: ignore[type-arg]
    return float(_few_normals(state, kept, out, mean, std))


@jit
def _few_normals(state, kept, out, mean, std):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        if math.isnan(kept):
            angle = 2 * math.pi * _unit64(state)
            radius = math.sqrt(-2 * math.log1p(-_unit64(state)))
            z, kept = radius * math.cos(angle), radius * math.sin(angle)
        else:
            z, kept = kept, math.nan
        out[i] = z * std + mean
    return kept
