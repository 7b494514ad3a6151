"""The Mersenne Twister, and how its words become draws: the stream of PyTorch's CPU generator.

The generator is a row of 624 words of 32 bits (``key``).  When all have been given out, a sweep
makes 624 new ones (``refill``), which are scrambled once more on their way out (``words``);
``at[0]`` counts how many of these are used.  Below, each draw has its formula, with r for a word,
R = 2³² r + r' for two in a row, and u for a uniform number:

    float32   u = (r mod 2²⁴) / 2²⁴           float64   u = (R mod 2⁵³) / 2⁵³

Every draw takes the words of all its elements one after the other, so that what one draw leaves
over is the next one's: the same seed and the same calls give the same numbers.
Source: Matsumoto & Nishimura, Mersenne Twister, 1998 (``seed`` as in their program of 2002);
Box & Muller, A note on the generation of random normal deviates, 1958.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels._jit import jit, kernel

__all__ = ["bernoulli", "integers", "normal", "permutation", "raw", "seed", "temper", "uniform"]

N, M = 624, 397  # words of state, and how far away the second word of the recurrence is

Words = NDArray[np.uint32]
Count = NDArray[np.int64]


def seed(number: int) -> Words:
    """The state that a seed of 32 bits stands for:   kᵢ = 1812433253 (kᵢ₋₁ ^ (kᵢ₋₁ >> 30)) + i"""
    key = [number & 0xFFFFFFFF]
    for i in range(1, N):
        key.append((1812433253 * (key[-1] ^ (key[-1] >> 30)) + i) & 0xFFFFFFFF)
    return np.array(key, np.uint32)


def temper(key: Words) -> Words:
    """The words that a state gives out:   four shifts and masks, which spread each bit over the word"""
    y = key ^ (key >> np.uint32(11))
    y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
    y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
    return y ^ (y >> np.uint32(18))


@kernel
def refill(key: Words, words: Words) -> None:
    """The next 624 words:   kᵢ ← kᵢ₊ₘ ^ twist(upper bit of kᵢ, lower bits of kᵢ₊₁), then scrambled into ``words``.

    kᵢ₊ₘ is itself new from i = 227 on, so that three stretches follow each other.
    """

    def twist(high: Words, low: Words) -> Words:
        y = (high & np.uint32(0x80000000)) | (low & np.uint32(0x7FFFFFFF))
        return (y >> np.uint32(1)) ^ (y & np.uint32(1)) * np.uint32(0x9908B0DF)

    old = N - M  # 227
    key[:old] = key[M:] ^ twist(key[:old], key[1 : old + 1])
    key[old : 2 * old] = key[:old] ^ twist(key[old : 2 * old], key[old + 1 : 2 * old + 1])
    key[2 * old : -1] = key[old : M - 1] ^ twist(key[2 * old : -1], key[2 * old + 1 :])
    key[-1:] = key[M - 1 : M] ^ twist(key[-1:], key[:1])
    words[:] = temper(key)


@refill.fast
def refill(key: Words, words: Words) -> None:
    _refill(key, words)


@jit
def _refill(key, words):  # type: ignore[no-untyped-def]
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


def raw(key: Words, words: Words, at: Count, n: int) -> Words:
    """The next n words."""
    start = int(at[0])
    if start + n <= N:
        at[0] = start + n
        return words[start : start + n]
    out = np.empty(n, np.uint32)
    done = N - start
    out[:done] = words[start:]
    while done < n:
        refill(key, words)
        taken = min(N, n - done)
        out[done : done + taken] = words[:taken]
        at[0] = taken
        done += taken
    return out


def pairs(key: Words, words: Words, at: Count, n: int) -> NDArray[np.uint64]:
    """The next n numbers R of 64 bits."""
    r = raw(key, words, at, 2 * n).astype(np.uint64)
    return (r[0::2] << np.uint64(32)) | r[1::2]


def _units(key: Words, words: Words, at: Count, n: int, dtype: np.dtype) -> NDArray:  # type: ignore[type-arg]
    """n uniform numbers u in [0, 1) of a dtype, float32 or float64."""
    if dtype == np.float32:
        return (raw(key, words, at, n) & np.uint32(0xFFFFFF)).astype(np.float32) * np.float32(2**-24)
    return (pairs(key, words, at, n) & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53


# In the compiled loops a draw takes the words that are left, refills, and goes on.  Draws of two
# words (float64) may find one of them at the end of a block and the other at the next one's start.


@jit
def _word(key, words, at):  # type: ignore[no-untyped-def]
    if at[0] == 624:
        _refill(key, words)
        at[0] = 0
    at[0] += 1
    return words[at[0] - 1]


@jit
def _unit64(key, words, at):  # type: ignore[no-untyped-def]
    r = np.uint64(_word(key, words, at))
    return (
        np.float64(np.int64(((r << np.uint64(32)) | np.uint64(_word(key, words, at))) & np.uint64(0x1FFFFFFFFFFFFF)))
        * 2.0**-53
    )


@jit
def _units32(key, words, at, out):  # type: ignore[no-untyped-def]
    """out ← (r mod 2²⁴) / 2²⁴"""
    done = 0
    while done < out.size:
        if at[0] == 624:
            _refill(key, words)
            at[0] = 0
        n = min(624 - at[0], out.size - done)
        source, target = words[at[0] : at[0] + n], out[done : done + n]
        for i in range(n):
            target[i] = np.float32(np.int32(source[i] & np.uint32(0xFFFFFF))) * np.float32(2**-24)
        at[0] += n
        done += n


@jit
def _units64(key, words, at, out):  # type: ignore[no-untyped-def]
    """out ← (R mod 2⁵³) / 2⁵³, the pairs that lie in one block in a loop of their own"""
    done = 0
    while done < out.size:
        whole = min((624 - at[0]) // 2, out.size - done)
        if whole <= 0:
            out[done] = _unit64(key, words, at)
            done += 1
            continue
        source, target = words[at[0] : at[0] + 2 * whole], out[done : done + whole]
        for i in range(whole):  # 2⁵³: the lower 21 bits of the first word above the second
            high, low = source[2 * i] & np.uint32(0x1FFFFF), source[2 * i + 1]
            target[i] = np.float64(np.int32(high)) * 2.0**-21 + np.float64(low) * 2.0**-53
        at[0] += 2 * whole
        done += whole


@kernel
def uniform(key: Words, words: Words, at: Count, out: NDArray, low: float, high: float) -> None:  # type: ignore[type-arg]
    """out ← u (high - low) + low, rounded once,   flat, float32 or float64"""
    of = out.dtype.type
    u = _units(key, words, at, out.size, out.dtype)
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
def uniform(key: Words, words: Words, at: Count, out: NDArray, low: float, high: float) -> None:  # type: ignore[type-arg]
    (_units32 if out.dtype == np.float32 else _units64)(key, words, at, out)
    if low != 0 or high != 1:
        _scale_and_shift(out, out.dtype.type(high) - out.dtype.type(low), out.dtype.type(low))


@jit(fastmath={"contract"})
def _scale_and_shift(out, scale, shift):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] = out[i] * scale + shift


@kernel
def bernoulli(key: Words, words: Words, at: Count, out: NDArray, p: float, one: float) -> None:  # type: ignore[type-arg]
    """out ← ``one`` where u < p, else 0,   flat, of any dtype; u is float64 whatever the dtype"""
    u = (pairs(key, words, at, out.size) & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53
    out[:] = np.where(u < p, out.dtype.type(one), out.dtype.type(0))


@bernoulli.fast
def bernoulli(key: Words, words: Words, at: Count, out: NDArray, p: float, one: float) -> None:  # type: ignore[type-arg]
    if out.dtype.kind == "f":
        _bernoulli(key, words, at, out, p, one)
    else:
        bernoulli.reference(key, words, at, out, p, one)


@jit
def _bernoulli(key, words, at, out, p, one):  # type: ignore[no-untyped-def]
    # u < p with u = (2³² h + l) / 2⁵³, h of 21 bits: compared as whole numbers, so that the loop has no divisions.
    limit = math.ceil(p * 9007199254740992.0)
    kept, zero = out.dtype.type(one), out.dtype.type(0)
    high_limit = np.int32(limit >> 32)
    low_limit = np.uint32(limit & 0xFFFFFFFF)
    done = 0
    while done < out.size:
        whole = min((624 - at[0]) // 2, out.size - done)
        if whole <= 0:
            out[done] = kept if _unit64(key, words, at) < p else zero
            done += 1
            continue
        source, target = words[at[0] : at[0] + 2 * whole], out[done : done + whole]
        for i in range(whole):
            high = np.int32(source[2 * i] & np.uint32(0x1FFFFF))
            below = (high < high_limit) | ((high == high_limit) & (source[2 * i + 1] < low_limit))
            target[i] = kept if below else zero
        at[0] += 2 * whole
        done += whole


@kernel
def integers(key: Words, words: Words, at: Count, out: NDArray, span: int, low: int) -> None:  # type: ignore[type-arg]
    """out ← r mod span + low, or R mod span + low where span is 2³² or more,   flat"""
    if span >= 1 << 32:
        draws = pairs(key, words, at, out.size)
        draws = draws % np.uint64(span) if span < 1 << 64 else draws
        out[:] = (draws.view(np.int64) + np.int64(low)).astype(out.dtype, copy=False)
    else:
        draws = raw(key, words, at, out.size) % np.uint32(span)
        out[:] = (draws.astype(np.int64) + low).astype(out.dtype, copy=False)


@integers.fast
def integers(key: Words, words: Words, at: Count, out: NDArray, span: int, low: int) -> None:  # type: ignore[type-arg]
    if span >= 1 << 32 or out.dtype != np.int64:
        integers.reference(key, words, at, out, span, low)
    else:
        _integers(raw(key, words, at, out.size), span, low, out)


@jit
def _integers(r, span, low, out):  # type: ignore[no-untyped-def]
    # floor(r / span) in float64 is exact for numbers below 2³², and unlike a division of integers it vectorises
    divisor = np.float64(span)
    for i in range(out.size):
        word = np.float64(r[i])
        out[i] = np.int64(word - math.floor(word / divisor) * divisor) + low


@kernel
def permutation(key: Words, words: Words, at: Count, out: NDArray[np.int64]) -> None:
    """out ← 0 .. n - 1 in random order: for i in 0 .. n - 2, exchange the places i and i + (r mod (n - i))"""
    n = out.size
    out[:] = np.arange(n)
    if n < 2:
        return
    steps = raw(key, words, at, n - 1) % np.arange(n, 1, -1, dtype=np.uint32)
    order = out.tolist()  # a list is quicker than an array, one element at a time
    for i, z in enumerate(steps.tolist()):
        order[i], order[i + z] = order[i + z], order[i]
    out[:] = order


@permutation.fast
def permutation(key: Words, words: Words, at: Count, out: NDArray[np.int64]) -> None:
    if out.size > 1:
        _permutation(raw(key, words, at, out.size - 1), np.empty(out.size, np.int32), out)
    else:
        out[:] = 0


@jit
def _permutation(r, order, out):  # type: ignore[no-untyped-def]
    n = order.size
    for i in range(n - 1):  # z, where the order will be put: as for integers, without a division of integers
        word, divisor = np.float64(r[i]), np.float64(n - i)
        r[i] = np.uint32(word - math.floor(word / divisor) * divisor)
    for i in range(n):
        order[i] = i
    for i in range(n - 1):
        j = i + np.int64(r[i])
        order[i], order[j] = order[j], order[i]
    for i in range(n):
        out[i] = order[i]


@kernel
def normal(key: Words, words: Words, at: Count, out: NDArray, mean: float, std: float) -> None:  # type: ignore[type-arg]
    """out ← std · Box-Muller + mean,   flat, of 16 elements or more, float32 or float64

    Filled with u first.  Then, in each group of 16 and for j < 8:  radius √(-2 ln(1 - u[j])), angle 2π u[j + 8],
    the cosine to place j, the sine to place j + 8.  Where 16 does not divide the size, the last 16 are
    drawn once more and overwritten.
    """
    n = out.size
    fill = out[: n - n % 16]
    _box_muller(fill, _units(key, words, at, fill.size, out.dtype), mean, std)
    if n % 16:
        _units(key, words, at, n % 16, out.dtype)
        _box_muller(out[n - 16 :], _units(key, words, at, 16, out.dtype), mean, std)


def _box_muller(out: NDArray, u: NDArray, mean: float, std: float) -> None:  # type: ignore[type-arg]
    of = out.dtype.type
    first, second = u.reshape(-1, 2, 8).swapaxes(0, 1)
    radius, angle = np.sqrt(of(-2) * np.log(of(1) - first)), of(2 * math.pi) * second
    both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)  # (groups, 2, 8)
    out[:] = both.reshape(-1) * of(std) + of(mean)


@normal.fast
def normal(key: Words, words: Words, at: Count, out: NDArray, mean: float, std: float) -> None:  # type: ignore[type-arg]
    n = out.size
    units, turn = (_units32, _turn32) if out.dtype == np.float32 else (_units64, _turn64)
    of = out.dtype.type
    units(key, words, at, out)
    turn(out[: n - n % 16], of(mean), of(std))
    if n % 16:
        units(key, words, at, out[n - 16 :])
        turn(out[n - 16 :], of(mean), of(std))


@jit(fastmath={"contract"})
def _turn32(x, mean, std):  # type: ignore[no-untyped-def]
    """Box-Muller in place, for whole groups of 16 numbers in float32, in loops that the compiler can vectorise.

    ln m·2ᵉ = e ln 2 + a polynomial of m - 1 for m around 1, and sine and cosine of the angle less the
    nearest multiple of π/2.   Source: Moshier, the Cephes library, logf, sinf and cosf.
    """
    f = np.float32
    most = 512  # numbers at once: they stay in the nearest cache
    half = most // 2
    v, radius, cosine, sine = np.empty(half, f), np.empty(half, f), np.empty(half, f), np.empty(half, f)
    bits = v.view(np.int32)
    for start in range(0, x.size, most):
        n = min(most, x.size - start) // 2
        part = x[start : start + 2 * n]
        for g in range(n // 8):
            for j in range(8):
                v[8 * g + j] = f(1) - part[16 * g + j]
        for i in range(n):
            b = bits[i]
            e = f((b >> np.int32(23)) - np.int32(126))
            bits[i] = (b & np.int32(0x007FFFFF)) | np.int32(0x3F000000)  # the mantissa, in [1/2, 1)
            radius[i] = e
        for i in range(n):
            m, e = v[i], radius[i]
            small = m < f(0.707106781186547524)
            e = e - (f(1) if small else f(0))
            m = m - f(1) + (m if small else f(0))
            z = m * m
            p = f(7.0376836292e-2)
            p = p * m + f(-1.1514610310e-1)
            p = p * m + f(1.1676998740e-1)
            p = p * m + f(-1.2420140846e-1)
            p = p * m + f(1.4249322787e-1)
            p = p * m + f(-1.6668057665e-1)
            p = p * m + f(2.0000714765e-1)
            p = p * m + f(-2.4999993993e-1)
            p = p * m + f(3.3333331174e-1)
            p = p * m * z + e * f(-2.12194440e-4) - f(0.5) * z
            radius[i] = math.sqrt(max(f(-2) * (m + p + e * f(0.693359375)), f(0)))
        for g in range(n // 8):
            for j in range(8):
                v[8 * g + j] = f(6.283185307179586) * part[16 * g + 8 + j]
        for i in range(n):
            quarter = (np.int32(v[i] * f(1.27323954473516)) + np.int32(1)) & np.int32(-2)  # in eighths of a turn
            y = f(quarter)
            a = ((v[i] - y * f(0.78515625)) - y * f(2.4187564849853515625e-4)) - y * f(3.77489497744594108e-8)
            z = a * a
            c = f(2.443315711809948e-5)
            c = c * z + f(-1.388731625493765e-3)
            c = c * z + f(4.166664568298827e-2)
            c = c * z * z - f(0.5) * z + f(1)
            s = f(-1.9515295891e-4)
            s = s * z + f(8.3321608736e-3)
            s = s * z + f(-1.6666654611e-1)
            s = s * z * a + a
            swapped = (quarter & np.int32(2)) != 0
            cosine[i] = (s if swapped else c) * (f(-1) if ((quarter + np.int32(2)) & np.int32(4)) != 0 else f(1))
            sine[i] = (c if swapped else s) * (f(-1) if (quarter & np.int32(4)) != 0 else f(1))
        for g in range(n // 8):
            for j in range(8):
                part[16 * g + j] = radius[8 * g + j] * cosine[8 * g + j] * std + mean
                part[16 * g + 8 + j] = radius[8 * g + j] * sine[8 * g + j] * std + mean


@jit
def _turn64(x, mean, std):  # type: ignore[no-untyped-def]
    """Box-Muller in place, for whole groups of 16 numbers in float64, with the C library's functions."""
    for g in range(0, x.size, 16):
        for j in range(g, g + 8):
            radius, angle = math.sqrt(-2.0 * math.log(1.0 - x[j])), 2.0 * math.pi * x[j + 8]
            x[j] = radius * math.cos(angle) * std + mean
            x[j + 8] = radius * math.sin(angle) * std + mean
