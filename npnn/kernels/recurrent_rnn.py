"""The Elman recurrent layer, whole sequence: h_t = f(x_t W_ihᵀ + b + h_(t-1) W_hhᵀ), f = tanh or ReLU.

Source: Elman, Finding structure in time (1990); backward: Werbos, Backpropagation through time (1990).
"""

from __future__ import annotations

import numpy as np

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel
from npnn.kernels.blas import gemm
from npnn.kernels.recurrent import (
    COMPILED,
    add_rows,
    gradient_buffers,
    input_part,
    is_fast,
    past_and_present,
    row_chunks,
    state_buffer,
    steps,
    tanh,
)  # fmt: skip

__all__ = ["rnn_backward", "rnn_forward"]

prange = range  # numba reads this name as its parallel range


@kernel
def rnn_forward(x, h0, w_ih, w_hh, bias, relu, reverse):  # type: ignore[no-untyped-def]
    """All states, the initial one in the spare slot.   x (T, N, I) -> h (T + 1, N, H)

    ``h0`` is (N, H) or None for zeros, ``bias`` is (H,).
    """
    h = state_buffer(x, h0, w_hh, reverse)
    past, now = past_and_present(h, reverse)
    z = x @ w_ih.T + bias  # (T, N, H)
    for t in steps(len(x), reverse):
        z[t] += past[t] @ w_hh.T
        now[t] = np.maximum(z[t], 0) if relu else np.tanh(z[t])
    return h


@rnn_forward.fast
def rnn_forward(x, h0, w_ih, w_hh, bias, relu, reverse):  # type: ignore[no-untyped-def]
    if not is_fast(x):
        return rnn_forward.reference(x, h0, w_ih, w_hh, bias, relu, reverse)
    h = state_buffer(x, h0, w_hh, reverse)
    with threads.single_threaded_blas():
        threads.run(_forward, row_chunks(x, w_hh), x, w_ih, w_hh, bias, h, relu, reverse, h0 is None)
    return h


@jit(parallel=True, **COMPILED)
def _forward(chunks, x, w_ih, w_hh, bias, h, relu, reverse, from_zero):  # type: ignore[no-untyped-def]
    T, N, _ = x.shape
    past, now = (1, 0) if reverse else (0, 1)
    for chunk in prange(chunks):
        lo, hi = N * chunk // chunks, N * (chunk + 1) // chunks
        for step in range(T):
            t = T - 1 - step if reverse else step
            z = h[t + now, lo:hi]  # becomes h_t in place
            input_part(x[t, lo:hi], w_ih, bias, z)
            if step > 0 or not from_zero:
                gemm(h[t + past, lo:hi], w_hh, z, False, True, 1.0)
            _activate(z, relu)


@jit(**COMPILED)
def _activate(z, relu):  # type: ignore[no-untyped-def]
    """f(z) in place."""
    zero = z.dtype.type(0)
    for n in range(len(z)):
        row = z[n]
        if relu:
            for j in range(row.size):
                row[j] = zero if row[j] < zero else row[j]
        else:
            for j in range(row.size):
                row[j] = tanh(row[j])


@kernel
def rnn_backward(dy, dh_n, h, w_hh, relu, reverse, needs_dh0):  # type: ignore[no-untyped-def]
    """dz (T, N, H), the gradient before the nonlinearity, and dh_0 (N, H) or, if not needed, None.

    ``dy`` (T, N, H) is the gradient of the outputs, ``dh_n`` (N, H) that of the last state; each may be None.
    """
    _, now = past_and_present(h, reverse)
    dz = np.empty(now.shape, h.dtype)
    dh = np.zeros(now.shape[1:], h.dtype) if dh_n is None else dh_n
    for t in steps(len(now), not reverse):
        if dy is not None:
            dh = dh + dy[t]
        dz[t] = dh * ((now[t] > 0) if relu else (1 - now[t] * now[t]))
        dh = dz[t] @ w_hh
    return dz, dh if needs_dh0 else None


@rnn_backward.fast
def rnn_backward(dy, dh_n, h, w_hh, relu, reverse, needs_dh0):  # type: ignore[no-untyped-def]
    if not is_fast(h):
        return rnn_backward.reference(dy, dh_n, h, w_hh, relu, reverse, needs_dh0)
    dy, dh = gradient_buffers(h, dy, dh_n)
    dz = np.empty((len(h) - 1, *dh.shape), h.dtype)
    with threads.single_threaded_blas():
        threads.run(_backward, row_chunks(dz, w_hh), dy, dh, h, w_hh, dz, relu, reverse, needs_dh0)
    return dz, dh if needs_dh0 else None


@jit(parallel=True, **COMPILED)
def _backward(chunks, dy, dh, h, w_hh, dz, relu, reverse, needs_dh0):  # type: ignore[no-untyped-def]
    T, N, _ = dz.shape
    now = 0 if reverse else 1
    for chunk in prange(chunks):
        lo, hi = N * chunk // chunks, N * (chunk + 1) // chunks
        for step in range(T):
            t = step if reverse else T - 1 - step
            if len(dy) > 0:
                add_rows(dh[lo:hi], dy[t, lo:hi])
            _activate_backward(h[t + now, lo:hi], dh[lo:hi], dz[t, lo:hi], relu)
            if step < T - 1 or needs_dh0:
                gemm(dz[t, lo:hi], w_hh, dh[lo:hi], False, False, 0.0)


@jit(**COMPILED)
def _activate_backward(h, dh, dz, relu):  # type: ignore[no-untyped-def]
    """dz = f'(z) dh, where f' is known from h = f(z)."""
    zero = h.dtype.type(0)
    for n in range(len(h)):
        y, dy, dx = h[n], dh[n], dz[n]
        if relu:
            for j in range(y.size):
                dx[j] = dy[j] if y[j] > zero else zero
        else:
            for j in range(y.size):
                dx[j] = dy[j] - dy[j] * y[j] * y[j]
