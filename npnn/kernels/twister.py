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

import numpy as np
from numpy.typing import NDArray

from npnn.kernels._jit import jit, kernel

__all__ = ["raw", "seed", "stand", "temper"]

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
