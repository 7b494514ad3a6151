"""Normal numbers from pairs of uniform ones, in groups of 16 as PyTorch makes them.

    radius √(-2 ln(1 - u[j])), angle 2π u[j + 8]:   the cosine to place j, the sine to place j + 8,   j < 8

Source: Box & Muller, A note on the generation of random normal deviates, 1958.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from npnn.kernels._jit import jit
from npnn.kernels.exponential import log_series

__all__ = ["turn", "turn32", "turn64"]


def turn(out: NDArray, u: NDArray, mean: float, std: float) -> None:  # type: ignore[type-arg]
    """out ← std · z + mean, whole groups of 16;   u: as many uniform numbers"""
    of = out.dtype.type
    first, second = u.reshape(-1, 2, 8).swapaxes(0, 1)
    radius, angle = np.sqrt(of(-2) * np.log(of(1) - first)), of(2 * math.pi) * second
    both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)  # (groups, 2, 8)
    out[:] = both.reshape(-1) * of(std) + of(mean)


@jit(fastmath={"contract"})
def turn32(x, mean, std):  # type: ignore[no-untyped-def]
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
            p = log_series(m) * m * z + e * f(-2.12194440e-4) - f(0.5) * z
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
def turn64(x, mean, std):  # type: ignore[no-untyped-def]
    """Box-Muller in place, for whole groups of 16 numbers in float64, with the C library's functions."""
    for g in range(0, x.size, 16):
        for j in range(g, g + 8):
            radius, angle = math.sqrt(-2.0 * math.log(1.0 - x[j])), 2.0 * math.pi * x[j + 8]
            x[j] = radius * math.cos(angle) * std + mean
            x[j + 8] = radius * math.sin(angle) * std + mean
