"""The exponential, the logarithm and the normal distribution inside compiled loops, which the compiler can vectorise.

``math.exp`` in a compiled loop calls the C library for each number; ``np.exp`` is as fast as these,
but compiled code cannot call it for a piece of an array.  Each function is there for float32 and for
float64, and what is called is chosen by the type of its argument: more digits take more terms.
"""

from __future__ import annotations

import math

import numpy as np

from npnn.kernels._jit import by_precision, jit

__all__ = ["exp_of_negative", "exp_parts", "log1p", "log_series", "lowest", "normal_tail", "number"]


@jit(forceinline=True)
def _single(like, value):  # type: ignore[no-untyped-def]
    return np.float32(value)


@jit(forceinline=True)
def _double(like, value):  # type: ignore[no-untyped-def]
    return np.float64(value)


#: number(x, value): the value in the precision of x, which a plain 0.5 would turn into float64.
number = by_precision(_single, _double)


@jit(fastmath={"contract"}, forceinline=True)
def _exp_parts_single(x):  # type: ignore[no-untyped-def]
    f = np.float32
    k = np.floor(x * f(1.44269504) + f(0.5))
    r = x - k * f(0.693359375) + k * f(2.12194440e-4)
    p = ((((f(1 / 5040) * r + f(1 / 720)) * r + f(1 / 120)) * r + f(1 / 24)) * r + f(1 / 6)) * r + f(0.5)
    return (p * r + f(1)) * r, np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)


@jit(fastmath={"contract"}, forceinline=True)
def _exp_parts_double(x):  # type: ignore[no-untyped-def]
    shifted = x * 1.4426950408889634 + 6755399441055744.0  # 1.5 * 2^52: k is in the last bits of the sum
    k = shifted - 6755399441055744.0
    r = x - k * 0.693145751953125 - k * 1.42860682030941723212e-6
    p = ((1 / 6227020800 * r + 1 / 479001600) * r + 1 / 39916800) * r + 1 / 3628800
    p = (((p * r + 1 / 362880) * r + 1 / 40320) * r + 1 / 5040) * r + 1 / 720
    p = (((p * r + 1 / 120) * r + 1 / 24) * r + 1 / 6) * r + 0.5
    return (p * r + 1) * r, np.int64((np.float64(shifted).view(np.int64) + np.int64(1023)) << np.int64(52)).view(
        np.float64
    )


#: m and 2ᵏ such that eˣ = (1 + m) 2ᵏ, for -87 <= x <= 1 in float32, -708 <= x <= 1 in float64.
#:
#: k is the integer nearest to x / ln 2 and 1 + m = eʳ the rest, |r| <= ln 2 / 2, for which 7 terms of
#: the series do, or 13.  ln 2 is taken off in two parts, the first of few digits, to keep r exact; 2ᵏ
#: is made by writing k into the bits of the exponent.
#: Source: Cody & Waite, Software manual for the elementary functions, 1980, chapter 6.
exp_parts = by_precision(_exp_parts_single, _exp_parts_double)


@jit(forceinline=True)
def _lowest_single(x):  # type: ignore[no-untyped-def]
    return np.float32(-87)


@jit(forceinline=True)
def _lowest_double(x):  # type: ignore[no-untyped-def]
    return -708.0


#: Where eˣ runs out of normal numbers.
lowest = by_precision(_lowest_single, _lowest_double)


@jit(fastmath={"contract"}, forceinline=True)
def exp_of_negative(x):  # type: ignore[no-untyped-def]
    """eˣ for x <= 0, to 2e-7 (float64: 3e-16) of itself, and 0 below -87 (-708)."""
    end = lowest(x)
    m, power = exp_parts(end if x < end else x)
    return number(x, 0) if x < end else (number(x, 1) + m) * power


@jit(fastmath={"contract"}, forceinline=True)
def log_series(m):  # type: ignore[no-untyped-def]
    """(ln(1 + m) - m + m²/2) / m³ in float32, for 1 + m between √½ and √2.   Source: Moshier's Cephes library, logf."""
    f = np.float32
    p = f(7.0376836292e-2)
    p = p * m + f(-1.1514610310e-1)
    p = p * m + f(1.1676998740e-1)
    p = p * m + f(-1.2420140846e-1)
    p = p * m + f(1.4249322787e-1)
    p = p * m + f(-1.6668057665e-1)
    p = p * m + f(2.0000714765e-1)
    p = p * m + f(-2.4999993993e-1)
    return p * m + f(3.3333331174e-1)


@jit(fastmath={"contract"}, forceinline=True)
def _log_single(m):  # type: ignore[no-untyped-def]
    z = m * m
    return log_series(m) * m * z - np.float32(0.5) * z + m


@jit(fastmath={"contract"}, forceinline=True, error_model="numpy")
def _log_double(m):  # type: ignore[no-untyped-def]
    s = m / (2 + m)
    z = s * s
    p = (((1 / 21 * z + 1 / 19) * z + 1 / 17) * z + 1 / 15) * z + 1 / 13
    p = (((p * z + 1 / 11) * z + 1 / 9) * z + 1 / 7) * z + 1 / 5
    return 2 * s + 2 * s * z * (p * z + 1 / 3)


#: ln(1 + m) for 1 + m between √½ and √2: in float64 the series of 2 artanh(m / (2 + m)).
_log = by_precision(_log_single, _log_double)


@jit(fastmath={"contract"}, forceinline=True)
def log1p(t):  # type: ignore[no-untyped-def]
    """ln(1 + t) for 0 <= t <= 1, to 2e-7 (float64: 4e-16) of itself: a series in t, or in what half of 1 + t is from 1."""
    upper = t > number(t, math.sqrt(2) - 1)
    m = number(t, 0.5) * (t - number(t, 1)) if upper else t
    return _log(m) + number(t, math.log(2) if upper else 0.0)


@jit(fastmath={"contract"}, forceinline=True, error_model="numpy")
def _normal_tail_single(u):  # type: ignore[no-untyped-def]
    f = np.float32
    t = f(1) / (f(1) + f(0.275) * u)
    p = ((f(-0.11485864) * t + f(0.45199996)) * t + f(-0.33099545)) * t + f(0.33393395)
    return ((p * t + f(0.042110813)) * t + f(0.11780936)) * t


@jit(fastmath={"contract"}, forceinline=True, error_model="numpy")
def _normal_tail_double(u):  # type: ignore[no-untyped-def]
    t = 1 / (1 + 0.2 * u)
    s = 2 * t - 1
    p = (-1.0784200347438742e-10 * s + 9.8946733394431955e-10) * s + 1.0405006450053617e-09
    p = ((p * s - 1.1423592869969709e-08) * s - 7.2480580578348787e-09) * s + 8.3924732446304293e-08
    p = ((p * s + 6.6320631805894357e-08) * s - 5.5146117529004898e-07) * s - 7.9566524870964219e-07
    p = ((p * s + 3.3349280810107897e-06) * s + 9.9523947676408083e-06) * s - 1.1874689206000356e-05
    p = ((p * s - 1.0897977863603805e-04) * s - 1.5957397769884589e-04) * s + 5.9867534994785651e-04
    p = ((p * s + 4.1590133722143657e-03) * s + 1.3823727741528489e-02) * s + 3.3004073233293837e-02
    p = ((p * s + 6.2706631334253707e-02) * s + 9.9061123194014847e-02) * s + 0.13307650057801138
    return (p * s + 0.1538386099500125) * t


#: Φ(-u) e^(u²/2) for u >= 0: t times a polynomial, with t = 1 / (1 + a u).  In float32 a least-squares fit of
#: SciPy's erfcx, with an error of 5e-9 in Φ; in float64 the one that equals it at 22 Chebyshev points of t, to 1e-15 of itself.
normal_tail = by_precision(_normal_tail_single, _normal_tail_double)
