"""The exponential and the logarithm inside compiled loops, written so that the compiler can vectorise them.

``math.exp`` in a compiled loop calls the C library for each number; ``np.exp`` is as fast as this
one, but compiled code cannot call it for a piece of an array.
"""

from __future__ import annotations

import math

import numpy as np

from npnn.kernels._jit import jit

__all__ = ["exp_of_negatives", "log_series"]


@jit(fastmath={"contract"})
def exp_of_negatives(x, bits):  # type: ignore[no-untyped-def]
    """x ← eˣ in place, for a flat contiguous x <= 0 (or NaN); ``bits`` (int32) is room for as many numbers.

    eˣ = 2ᵏ eʳ with k whole and |r| <= ln 2 / 2: a polynomial for eʳ, and 2ᵏ by writing k into the
    exponent bits of a float32.  The relative error is below 1e-7; below e⁻⁸⁷ the result is 0.
    float64 goes to the C library, as its users want digits, not speed.
    Source: Cody & Waite, Software Manual for the Elementary Functions, 1980, chapter 6; the
    polynomial is that of Moshier's Cephes library.
    """
    if x.itemsize == 8:
        for i in range(x.size):
            x[i] = math.exp(x[i])
        return
    f = np.float32
    for i in range(x.size):
        v = f(-88) if x[i] < f(-88) else x[i]  # a NaN stays
        k = math.floor(v * f(1.44269504) + f(0.5))
        r = v - k * f(0.693359375) + k * f(2.12194440e-4)  # ln 2 in two parts, so that the difference is exact
        p = f(1.9875691500e-4)
        p = p * r + f(1.3981999507e-3)
        p = p * r + f(8.3334519073e-3)
        p = p * r + f(4.1665795894e-2)
        p = p * r + f(1.6666665459e-1)
        p = p * r + f(5.0000001201e-1)
        bits[i] = max(np.int32(k) + np.int32(127), np.int32(0)) << np.int32(23)
        x[i] = p * r * r + r + f(1)
    power = bits.view(np.float32)
    for i in range(x.size):
        x[i] *= power[i]


@jit(fastmath={"contract"})
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
