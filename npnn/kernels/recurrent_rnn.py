"""The Elman recurrent layer, whole sequence: h_t = f(x_t W_ihᵀ + b + h_(t-1) W_hhᵀ), f = tanh or ReLU.

Source: Elman, Finding structure in time (1990); backward: Werbos, Backpropagation through time (1990).
"""

from __future__ import annotations

import numpy as np

from npnn.kernels._jit import jit, kernel
from npnn.kernels.product import multiply
from npnn.kernels.recurrent import (
    gradient_buffers,
    is_fast,
    past_and_present,
    run_backward,
    run_forward,
    state_buffer,
    steps,
)
from npnn.kernels.recurrent_step import COMPILED, add_outer, add_rows, steps_at_once, tanh

__all__ = ["rnn_backward", "rnn_forward"]

prange = range  # numba reads this name as its parallel range


@kernel
def rnn_forward(x, h0, w_ih, w_hh, bias, relu, reverse):  # type: ignore[no-untyped-def]
    """All states, the initial one in the spare slot.   x (T, N, I) -> h (T + 1, N, H)

    ``h0`` is (N, H) or None for zeros, ``bias`` is (H,).
    """
    h = state_buffer(x, h0, w_hh, reverse)
    past, now = past_and_present(h, reverse)
    for t in steps(len(x), reverse):
        z = x[t] @ w_ih.T + bias + past[t] @ w_hh.T  # (N, H)
        now[t] = np.maximum(z, 0) if relu else np.tanh(z)
    return h


@rnn_forward.fast
def rnn_forward(x, h0, w_ih, w_hh, bias, relu, reverse):  # type: ignore[no-untyped-def]
    if not is_fast(x):
        return rnn_forward.reference(x, h0, w_ih, w_hh, bias, relu, reverse)
    h = state_buffer(x, h0, w_hh, reverse)
    run_forward(_forward, x, w_ih, w_hh, bias, (h,), relu, reverse, h0 is None)
    return h


@jit(parallel=True, **COMPILED)
def _forward(chunks, x, weights, states, relu, reverse, from_zero):  # type: ignore[no-untyped-def]
    (w_ih, w_hh), (h,) = weights, states
    T, N, _ = x.shape
    past, now = (1, 0) if reverse else (0, 1)
    for chunk in prange(chunks):
        lo, hi = N * chunk // chunks, N * (chunk + 1) // chunks
        for step in range(T):
            t = T - 1 - step if reverse else step
            z = h[t + now, lo:hi]  # becomes h_t in place
            multiply(x[t, lo:hi], w_ih, z, False, False)
            if step > 0 or not from_zero:
                multiply(h[t + past, lo:hi], w_hh, z, False, True)
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
def rnn_backward(dy, dh_n, x, h, w_ih, w_hh, relu, reverse, from_zero):  # type: ignore[no-untyped-def]
    """dx (T, N, I), dh_0 (N, H), dW_ih, dW_hh, db.

    ``dy`` (T, N, H) is the gradient of the outputs, ``dh_n`` (N, H) that of the last state; each may be None.
    ``w_ih`` is None if dx is not wanted; ``from_zero`` says that h_0 is zero, and dh_0 not wanted.
    """
    past, now = past_and_present(h, reverse)
    dx = None if w_ih is None else np.empty_like(x)
    dw_ih, dw_hh, db = np.zeros((len(w_hh), x.shape[2]), x.dtype), np.zeros_like(w_hh), np.zeros(len(w_hh), x.dtype)
    dh = np.zeros(now.shape[1:], h.dtype) if dh_n is None else dh_n
    for t in steps(len(x), not reverse):
        if dy is not None:
            dh = dh + dy[t]
        dz = dh * ((now[t] > 0) if relu else (1 - now[t] * now[t]))  # before the nonlinearity, (N, H)
        dw_ih += dz.T @ x[t]
        dw_hh += dz.T @ past[t]
        db += dz.sum(axis=0)
        if dx is not None:
            dx[t] = dz @ w_ih
        dh = dz @ w_hh
    return dx, None if from_zero else dh, dw_ih, dw_hh, db


@rnn_backward.fast
def rnn_backward(dy, dh_n, x, h, w_ih, w_hh, relu, reverse, from_zero):  # type: ignore[no-untyped-def]
    if not is_fast(x):
        return rnn_backward.reference(dy, dh_n, x, h, w_ih, w_hh, relu, reverse, from_zero)
    dy, dh = gradient_buffers(h, dy, dh_n)
    dx, *dw = run_backward(_backward, (dy, dh), x, (h,), w_ih, w_hh, relu, reverse, from_zero)
    return dx, None if from_zero else dh, *dw


@jit(parallel=True, **COMPILED)
def _backward(chunks, grads, x, states, weights, results, relu, reverse, from_zero):  # type: ignore[no-untyped-def]
    (dy, dh), (h,), (w_ih, w_hh), (dx, dw_x, dw_hh) = grads, states, weights, results
    T, N, _ = x.shape
    past, now = (1, 0) if reverse else (0, 1)
    for chunk in prange(chunks):
        lo, hi = N * chunk // chunks, N * (chunk + 1) // chunks
        some = min(T, steps_at_once(hi - lo))
        block = np.empty((some, hi - lo, w_hh.shape[0]), x.dtype)
        for step in range(T):
            t = step if reverse else T - 1 - step
            dz = block[t % some]
            if len(dy) > 0:
                add_rows(dh[lo:hi], dy[t, lo:hi])
            _activate_backward(h[t + now, lo:hi], dh[lo:hi], dz, relu)
            if len(dx) > 0:
                multiply(dz, w_ih, dx[t, lo:hi], False, False)
            if step < T - 1 or not from_zero:
                multiply(dz, w_hh, dh[lo:hi], False, False)
            if step == T - 1 or t % some == (some - 1 if reverse else 0):
                first, stop = t - t % some, min(T, t - t % some + some)
                add_outer(x[first:stop, lo:hi], block[: stop - first], dw_x[chunk])
                add_outer(block[: stop - first], h[first + past : stop + past, lo:hi], dw_hh[chunk])


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
