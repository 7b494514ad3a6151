"""What the three recurrent kernels share: the order of the steps, their buffers, and the compiled parts of a step.

A layer is a loop over T steps, and only ``h_(t-1) W_hhᵀ`` must wait for the step before.  Each
family (recurrent_rnn, recurrent_lstm, recurrent_gru) writes that loop once forward and once
backward, first in NumPy, then compiled.  The items of a batch meet only in the sums over the batch
that are the gradients of the weights.  So in the compiled loops each thread runs the whole sequence
on its share of the rows, waits for no one, and adds to sums of its own.

Everything is time-major: x is (T, N, I), states are (T, N, H), G is the number of gates.  The
compiled loops are for float32; float64 is for checking, and takes the NumPy forms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit
from npnn.kernels.blas import gemm
from npnn.kernels.tiles import PANEL, product

__all__ = [
    "COMPILED", "ONE", "add_outer", "add_rows", "add_up", "gradient_buffers", "is_fast", "multiply",
    "past_and_present", "row_chunks", "sigmoid", "stable_sigmoid", "state_buffer", "steps", "sum_buffers", "tanh",
    "with_bias", "with_ones",
]  # fmt: skip

Array = NDArray[Any]


def steps(T: int, reverse: bool) -> range:
    """The order in which a layer visits the time steps."""
    return range(T - 1, -1, -1) if reverse else range(T)


def past_and_present(states: Array, reverse: bool) -> tuple[Array, Array]:
    """h_(t-1) and h_t for all t: two views of one buffer of T + 1 states.

    The spare slot, the first one or, if time runs backwards, the last, holds the initial state.
    """
    return (states[1:], states[:-1]) if reverse else (states[:-1], states[1:])


def state_buffer(x: Array, initial: Array | None, w_hh: Array, reverse: bool) -> Array:
    """Room for T + 1 states (T + 1, N, H) with the initial one (zero if None) in its place."""
    states = np.empty((len(x) + 1, x.shape[1], w_hh.shape[1]), x.dtype)
    states[-1 if reverse else 0] = 0 if initial is None else initial
    return states


def stable_sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written so that it cannot overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def is_fast(x: Array) -> bool:
    """True if the compiled loops, rather than the NumPy forms, are for this input."""
    return x.dtype == np.float32 and x.size > 0


def row_chunks(x: Array, w_hh: Array) -> int:
    """How many threads share the N rows of a batch; x is (T, N, I)."""
    T, N = x.shape[:2]
    return min(threads.split(T * N * w_hh.size // 4), N)


def gradient_buffers(states: Array, dy: Array | None, *last: Array | None) -> tuple[Array, ...]:
    """dy, of length 0 if None, and a copy of each last state's gradient, zero if None: backward works in it."""
    _, N, H = states.shape
    dy = np.empty((0, N, H), states.dtype) if dy is None else np.ascontiguousarray(dy)
    return dy, *[np.zeros((N, H), states.dtype) if d is None else np.array(d, order="C") for d in last]


def with_ones(x: Array) -> Array:
    """x with a one added to every row, (T, N, I + 1): the bias is the weight of an input that is always 1."""
    wider = np.empty((*x.shape[:2], x.shape[2] + 1), x.dtype)
    wider[:, :, :-1], wider[:, :, -1] = x, 1
    return wider


def with_bias(w_ih: Array, bias: Array) -> Array:
    """The weights that belong to with_ones(x), transposed: (I + 1, G H)."""
    wider = np.empty((w_ih.shape[1] + 1, len(w_ih)), w_ih.dtype)
    wider[:-1], wider[-1] = w_ih.T, bias
    return wider


def sum_buffers(chunks: int, x: Array, w_hh: Array) -> tuple[Array, Array]:
    """Zeros for the sums of each thread: those of dW_ihᵀ with db below it, and of dW_hh."""
    return (
        np.zeros((chunks, x.shape[2], len(w_hh)), x.dtype),  # x with its ones, so (chunks, I + 1, G H)
        np.zeros((chunks, *w_hh.shape), x.dtype),
    )


def add_up(of_x: Array, of_h: Array) -> tuple[Array, Array, Array]:
    """dW_ih, dW_hh and db from the threads' sums, in a fixed order."""
    total = of_x.sum(axis=0)
    return np.ascontiguousarray(total[:-1].T), of_h.sum(axis=0), total[-1].copy()


# ---- the compiled parts of a step

#: How they are compiled: a b + c in one instruction, and division without a test for zero, so that
#: the loops over the hidden units become vector instructions.
COMPILED: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy"}

_LIMIT = np.float32(8.03)
_P1, _P2, _P3, _P4 = np.array([0.1344265, 0.0035693687, 2.1856024e-05, 1.5171425e-08], np.float32)
_Q1, _Q2, _Q3, _Q4 = np.array([0.4677598, 0.026156057, 0.00034075708, 8.499572e-07], np.float32)
_HALF, ONE = np.float32(0.5), np.float32(1)  # a plain 1 would make a float64 of a float32


@jit(**COMPILED)
def tanh(x):  # type: ignore[no-untyped-def]
    """tanh of a float32: x P(x²) / Q(x²), the best such quotient on ±8.03, constant beyond.

    Error at most 3e-7 (5 units in the last place), never more than 1 in size; a NaN stays one.
    Unlike the library's tanh it is plain arithmetic, which LLVM turns into vector instructions:
    16 values at a time and 50 times faster.
    """
    x = _LIMIT if x > _LIMIT else x
    x = -_LIMIT if x < -_LIMIT else x
    u = x * x
    return x * ((((_P4 * u + _P3) * u + _P2) * u + _P1) * u + ONE) / ((((_Q4 * u + _Q3) * u + _Q2) * u + _Q1) * u + ONE)


@jit(**COMPILED)
def sigmoid(x):  # type: ignore[no-untyped-def]
    """1 / (1 + exp(-x)) of a float32, with an error of at most 2e-7."""
    return _HALF * tanh(_HALF * x) + _HALF


@jit
def multiply(a, b, c, add):  # type: ignore[no-untyped-def]
    """c = a b, or c += a b if ``add``."""
    if c.shape[1] % PANEL == 0:
        product(a, b, c, add)
    else:
        gemm(a, b, c, False, False, 1.0 if add else 0.0)


@jit
def add_outer(a, b, c):  # type: ignore[no-untyped-def]
    """c += aᵀ b: the outer products of the rows of a and b, added up over the batch."""
    if c.shape[1] % PANEL == 0:
        product(a.T, b, c, True)
    else:
        gemm(a, b, c, True, False, 1.0)


@jit(**COMPILED)
def add_rows(a, b):  # type: ignore[no-untyped-def]
    """a += b, for matrices."""
    for n in range(len(a)):
        to, row = a[n], b[n]
        for j in range(row.size):
            to[j] += row[j]
