"""What the three recurrent kernels share: the order of the steps, fast tanh and σ, the weights' gradients.

A layer is a loop over T steps, and only ``h_(t-1) W_hhᵀ`` must wait for the step before.  Each
family (recurrent_rnn, recurrent_lstm, recurrent_gru) writes that loop once forward and once
backward; backward leaves behind dz, the gradient of what each step put into its nonlinearities.
From dz of all steps at once the gradients of the weights and of the input are one matrix product
each: :func:`layer_gradients`.

The items of a batch never meet before that product.  So the compiled loops give each thread its
share of the rows, and it runs the whole sequence on them without waiting for anyone.

Everything is time-major: x is (T, N, I), states are (T, N, H), G is the number of gates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel
from npnn.kernels.blas import column_sums, gemm, matmul

__all__ = [
    "COMPILED", "ONE", "add_rows", "gradient_buffers", "input_part", "is_fast", "layer_gradients", "past_and_present",
    "row_chunks", "sigmoid", "stable_sigmoid", "state_buffer", "steps", "sums", "tanh",
]  # fmt: skip

#: How the recurrent loops are compiled: a b + c in one instruction, and division without a test for
#: zero, so that the loops over the hidden units become vector instructions.
COMPILED: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy"}


prange = range  # numba reads this name as its parallel range


def steps(T: int, reverse: bool) -> range:
    """The order in which a layer visits the time steps."""
    return range(T - 1, -1, -1) if reverse else range(T)


def past_and_present(states: NDArray[Any], reverse: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """h_(t-1) and h_t for all t: two views of one buffer of T + 1 states.

    The spare slot, the first one or, if time runs backwards, the last, holds the initial state.
    """
    return (states[1:], states[:-1]) if reverse else (states[:-1], states[1:])


def state_buffer(x: NDArray[Any], initial: NDArray[Any] | None, w_hh: NDArray[Any], reverse: bool) -> NDArray[Any]:
    """Room for T + 1 states (T + 1, N, H) with the initial one (zero if None) in its place."""
    states = np.empty((len(x) + 1, x.shape[1], w_hh.shape[1]), x.dtype)
    states[-1 if reverse else 0] = 0 if initial is None else initial
    return states


def stable_sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    """1 / (1 + exp(-x)), written so that it cannot overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def layer_gradients(
    dz_x: NDArray[Any],
    dz_h: NDArray[Any],
    x: NDArray[Any],
    past: NDArray[Any],
    w_ih: NDArray[Any],
    carried: slice,
    needs: tuple[bool, ...],
) -> tuple[NDArray[Any] | None, ...]:
    """dx, dW_ih, dW_hh, db_ih and db_hh, each None unless ``needs`` says that it is wanted.

    ``dz_x`` and ``dz_h`` (T, N, G H) are the gradients of x_t W_ihᵀ + b_ih and of h_(t-1) W_hhᵀ + b_hh
    (one and the same array where the two are simply added), ``past`` (T, N, H) is h_(t-1), and
    ``carried`` are the steps at which it is not zero.
    So dx_t = dz_t W_ih, dW_ih = Σ_t dz_tᵀ x_t, and in the same way for h.
    """
    T, N, width = dz_x.shape
    rows_z, rows_x = dz_x.reshape(T * N, width), x.reshape(T * N, x.shape[2])
    dx = matmul(rows_z, w_ih, False, False).reshape(x.shape) if needs[0] else None
    dw_ih = db_ih = dw_hh = db_hh = None
    if x.shape[2] == 1 and needs[1]:
        dw_ih, db_ih = sums(rows_z, rows_x)
    else:
        dw_ih = matmul(rows_z, rows_x, True, False) if needs[1] else None
        db_ih = column_sums(rows_z) if needs[3] else None
    if needs[2]:
        dz_h_rows, past_rows = dz_h[carried], past[carried]
        n = len(past_rows) * N
        dw_hh = matmul(dz_h_rows.reshape(n, width), past_rows.reshape(n, past.shape[2]), True, False)
    if needs[4]:
        db_hh = db_ih if dz_h is dz_x and needs[3] else column_sums(dz_h.reshape(T * N, width))
    return dx, dw_ih, dw_hh, db_ih, db_hh


@kernel
def sums(dz: NDArray[Any], x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """dzᵀ x (width, 1) and Σ dz (width,) for inputs of one number, x (rows, 1): a product too thin for BLAS."""
    return dz.T @ x, dz.sum(axis=0)


@sums.fast
def sums(dz: NDArray[Any], x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    if not is_fast(dz):
        return sums.reference(dz, x)
    chunks = threads.split(dz.size)
    partial = np.zeros((chunks, 2, dz.shape[1]), dz.dtype)
    threads.run(_sums, chunks, dz, x, partial)
    total = partial.sum(axis=0)
    return total[0][:, None], total[1]


@jit(parallel=True, **COMPILED)
def _sums(chunks, dz, x, partial):  # type: ignore[no-untyped-def]
    for chunk in prange(chunks):
        products, plain = partial[chunk, 0], partial[chunk, 1]
        for n in range(len(dz) * chunk // chunks, len(dz) * (chunk + 1) // chunks):
            row, value = dz[n], x[n, 0]
            for j in range(row.size):
                products[j] += value * row[j]
                plain[j] += row[j]


# ---- for the compiled loops, which are float32 only: float64 is for checking, and takes the NumPy forms


def is_fast(x: NDArray[Any]) -> bool:
    """True if the compiled loops, rather than the NumPy forms, are for this input."""
    return x.dtype == np.float32 and x.size > 0


def row_chunks(x: NDArray[Any], w_hh: NDArray[Any]) -> int:
    """How many threads share the N rows of a batch; x is (T, N, ...)."""
    T, N = x.shape[:2]
    return min(threads.split(T * N * w_hh.size // 4), N)


def gradient_buffers(
    states: NDArray[Any], dy: NDArray[Any] | None, *last: NDArray[Any] | None
) -> tuple[NDArray[Any], ...]:
    """dy, of length 0 if None, and a copy of each last state's gradient, zero if None: backward works in it."""
    _, N, H = states.shape
    dy = np.empty((0, N, H), states.dtype) if dy is None else np.ascontiguousarray(dy)
    return dy, *[np.zeros((N, H), states.dtype) if d is None else np.array(d, order="C") for d in last]


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


@jit(**COMPILED)
def input_part(x, w_ih, bias, z):  # type: ignore[no-untyped-def]
    """z = x W_ihᵀ + b.   x (N, I), W_ih (G H, I), b (G H,), z (N, G H)"""
    if w_ih.shape[1] == 1:  # one number per step: a product with an inner size of 1 is slow in BLAS
        w = w_ih.reshape(w_ih.size)
        for n in range(len(z)):
            row, value = z[n], x[n, 0]
            for j in range(row.size):
                row[j] = bias[j] + value * w[j]
        return
    for n in range(len(z)):
        row = z[n]
        for j in range(row.size):
            row[j] = bias[j]
    gemm(x, w_ih, z, False, True, 1.0)


@jit(**COMPILED)
def add_rows(a, b):  # type: ignore[no-untyped-def]
    """a += b, for matrices."""
    for n in range(len(a)):
        to, row = a[n], b[n]
        for j in range(row.size):
            to[j] += row[j]
