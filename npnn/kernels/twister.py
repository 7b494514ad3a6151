"""The Mersenne Twister, and how its words become draws: the stream of PyTorch's CPU generator.

The generator is a row of 624 words of 32 bits, the key.  When all have been given out, a sweep makes
624 new ones (``refill``), which are scrambled once more on their way out.  A ``state`` is one array:
the key, the 624 words that it gives out, and how many of these are used.  Below, each draw has its
formula, with r for a word, R = 2³² r + r' for two in a row, and u for a uniform number:

    float32   u = (r mod 2²⁴) / 2²⁴           float64   u = (R mod 2⁵³) / 2⁵³

Every draw takes the words of all its elements one after the other, so that what one draw leaves
over is the next one's: the same seed and the same calls give the same numbers.
Source: Matsumoto & Nishimura, Mersenne Twister, 1998 (``seed`` as in their program of 2002).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels._jit import jit, kernel
from npnn.kernels.box_muller import turn, turn32, turn64

__all__ = ["bernoulli", "few_normals", "integers", "normal", "permutation", "raw", "seed", "stand", "temper", "uniform"]

N, M = 624, 397  # words of a key, and how far away the second word of the recurrence is
USED = 2 * N  # where a state keeps the number of used words

Words = NDArray[np.uint32]


def seed(number: int) -> Words:
    """The key that a seed of 32 bits stands for:   kᵢ = 1812433253 (kᵢ₋₁ ^ (kᵢ₋₁ >> 30)) + i"""
    key = [number & 0xFFFFFFFF]
    for i in range(1, N):
        key.append((1812433253 * (key[-1] ^ (key[-1] >> 30)) + i) & 0xFFFFFFFF)
    return np.array(key, np.uint32)


def stand(key: Words, used: int | None = None) -> Words:
    """The state of a key of whose words ``used`` are used; without it, the key has given out none, nor will it."""
    words = np.zeros(N, np.uint32) if used is None else temper(key)
    return np.concatenate([key, words, np.array([N if used is None else used], np.uint32)])


def temper(key: Words) -> Words:
    """The words that a key gives out:   four shifts and masks, which spread each bit over the word"""
    y = key ^ (key >> np.uint32(11))
    y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
    y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
    return y ^ (y >> np.uint32(18))


@kernel
def refill(state: Words) -> None:
    """The next 624 words:   kᵢ ← kᵢ₊ₘ ^ twist(upper bit of kᵢ, lower bits of kᵢ₊₁), then scrambled.

    kᵢ₊ₘ is itself new from i = 227 on, so that three stretches follow each other.
    """
    key = state[:N]

    def twist(high: Words, low: Words) -> Words:
        y = (high & np.uint32(0x80000000)) | (low & np.uint32(0x7FFFFFFF))
        return (y >> np.uint32(1)) ^ (y & np.uint32(1)) * np.uint32(0x9908B0DF)

    old = N - M  # 227
    key[:old] = key[M:] ^ twist(key[:old], key[1 : old + 1])
    key[old : 2 * old] = key[:old] ^ twist(key[old : 2 * old], key[old + 1 : 2 * old + 1])
    key[2 * old : -1] = key[old : M - 1] ^ twist(key[2 * old : -1], key[2 * old + 1 :])
    key[-1:] = key[M - 1 : M] ^ twist(key[-1:], key[:1])
    state[N : 2 * N] = temper(key)
    state[USED] = 0


@refill.fast
def refill(state: Words) -> None:
    _refill(state)


@jit
def _refill(state):  # type: ignore[no-untyped-def]
    key, words = state[:624], state[624:1248]
    upper, lower, matrix = np.uint32(0x80000000), np.uint32(0x7FFFFFFF), np.uint32(0x9908B0DF)
    one = np.uint32(1)
    for i in range(227):
        y = (key[i] & upper) | (key[i + 1] & lower)
        key[i] = key[i + 397] ^ (y >> one) ^ ((y & one) * matrix)
    for i in range(227, 454):
        y = (key[i] & upper) | (key[i + 1] & lower)
        key[i] = key[i - 227] ^ (y >> one) ^ ((y & one) * matrix)
    for i in range(454, 623):
        y = (key[i] & upper) | (key[i + 1] & lower)
        key[i] = key[i - 227] ^ (y >> one) ^ ((y & one) * matrix)
    y = (key[623] & upper) | (key[0] & lower)
    key[623] = key[396] ^ (y >> one) ^ ((y & one) * matrix)
    for i in range(624):
        y = key[i]
        y ^= y >> np.uint32(11)
        y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
        y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
        words[i] = y ^ (y >> np.uint32(18))
    state[1248] = 0


def raw(state: Words, n: int) -> Words:
    """The next n words."""
    start = int(state[USED])
    if start + n <= N:
        state[USED] = start + n
        return state[N + start : N + start + n]
    out = np.empty(n, np.uint32)
    done = N - start
    out[:done] = state[N + start : USED]
    while done < n:
        refill(state)
        taken = min(N, n - done)
        out[done : done + taken] = state[N : N + taken]
        state[USED] = taken
        done += taken
    return out


def pairs(state: Words, n: int) -> NDArray[np.uint64]:
    """The next n numbers R of 64 bits."""
    r = raw(state, 2 * n).astype(np.uint64)
    return (r[0::2] << np.uint64(32)) | r[1::2]


def _units(state: Words, n: int, dtype: np.dtype) -> NDArray:  # type: ignore[type-arg]
    """n uniform numbers u in [0, 1) of a dtype, float32 or float64."""
    if dtype == np.float32:
        return (raw(state, n) & np.uint32(0xFFFFFF)).astype(np.float32) * np.float32(2**-24)
    return (pairs(state, n) & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53


# In the compiled loops a draw takes the words that are left, refills, and goes on.  Draws of two
# words (float64) may find one of them at the end of a block and the other at the next one's start.


@jit
def _word(state):  # type: ignore[no-untyped-def]
    if state[1248] == 624:
        _refill(state)
    used = np.int64(state[1248])
    state[1248] = used + 1
    return state[624 + used]


@jit
def _unit64(state):  # type: ignore[no-untyped-def]
    r = np.uint64(_word(state))
    return (
        np.float64(np.int64(((r << np.uint64(32)) | np.uint64(_word(state))) & np.uint64(0x1FFFFFFFFFFFFF))) * 2.0**-53
    )


@jit
def _units32(state, out):  # type: ignore[no-untyped-def]
    """out ← (r mod 2²⁴) / 2²⁴"""
    done = 0
    while done < out.size:
        if state[1248] == 624:
            _refill(state)
        used = np.int64(state[1248])
        n = min(624 - used, out.size - done)
        source, target = state[624 + used : 624 + used + n], out[done : done + n]
        for i in range(n):
            target[i] = np.float32(np.int32(source[i] & np.uint32(0xFFFFFF))) * np.float32(2**-24)
        state[1248] = used + n
        done += n


@jit
def _units64(state, out):  # type: ignore[no-untyped-def]
    """out ← (R mod 2⁵³) / 2⁵³, the pairs that lie in one block in a loop of their own"""
    done = 0
    while done < out.size:
        used = np.int64(state[1248])
        whole = min((624 - used) // 2, out.size - done)
        if whole <= 0:
            out[done] = _unit64(state)
            done += 1
            continue
        source, target = state[624 + used : 624 + used + 2 * whole], out[done : done + whole]
        for i in range(whole):  # 2⁵³: the lower 21 bits of the first word above the second
            high, low = source[2 * i] & np.uint32(0x1FFFFF), source[2 * i + 1]
            target[i] = np.float64(np.int32(high)) * 2.0**-21 + np.float64(low) * 2.0**-53
        state[1248] = used + 2 * whole
        done += whole


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
