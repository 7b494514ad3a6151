"""The compiled parts of a recurrent step: tanh and σ that the compiler can vectorise, and sums over steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.kernels._jit import jit
from npnn.kernels.tiles import product, turned

__all__ = ["COMPILED", "ONE", "add_outer", "add_rows", "sigmoid", "steps_at_once", "tanh"]

#: How they are compiled: a b + c in one instruction, and division without a test for zero, so that
#: the loops over the hidden units become vector instructions.
COMPILED: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy"}

DEPTH = 256  # rows that are summed up at once

_LIMIT = np.float32(8.03)
_P1, _P2, _P3, _P4 = np.array([0.1344265, 0.0035693687, 2.1856024e-05, 1.5171425e-08], np.float32)
_Q1, _Q2, _Q3, _Q4 = np.array([0.4677598, 0.026156057, 0.00034075708, 8.499572e-07], np.float32)
_HALF, ONE = np.float32(0.5), np.float32(1)  # a plain 1 would make a float64 of a float32


@jit(**COMPILED)
def tanh(x):  # type: ignore[no-untyped-def]
    """tanh of a float32: x P(x²) / Q(x²), the best such quotient on ±8.03 (by the Remez exchange), constant beyond.

    The error is below 4e-7, relative and so absolute, the result never above 1 in size; a NaN stays one.
    Unlike the library's tanh it is plain arithmetic, which LLVM turns into vector instructions:
    16 values at a time and 50 times faster.
    """
    x = _LIMIT if x > _LIMIT else x
    x = -_LIMIT if x < -_LIMIT else x
    u = x * x
    return x * ((((_P4 * u + _P3) * u + _P2) * u + _P1) * u + ONE) / ((((_Q4 * u + _Q3) * u + _Q2) * u + _Q1) * u + ONE)


@jit(**COMPILED)
def sigmoid(x):  # type: ignore[no-untyped-def]
    """1 / (1 + exp(-x)) of a float32, with an error below 3e-7."""
    return _HALF * tanh(_HALF * x) + _HALF


@jit
def steps_at_once(rows):  # type: ignore[no-untyped-def]
    """Of how many steps the gradients of the weights are summed up together, so that they are not written in each."""
    return max(1, DEPTH // max(1, rows))


@jit
def add_outer(a, b, c):  # type: ignore[no-untyped-def]
    """c += Σ a_tᵀ b_t: the outer products of the rows of a and b, added up over steps and batch.   (T, N, *)"""
    product(turned(a), b, c, True)


@jit(**COMPILED)
def add_rows(a, b):  # type: ignore[no-untyped-def]
    """a += b, for matrices."""
    for n in range(len(a)):
        to, row = a[n], b[n]
        for j in range(row.size):
            to[j] += row[j]
