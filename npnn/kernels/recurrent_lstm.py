"""The LSTM layer, whole sequence.

    i, f, o = σ(..),  g = tanh(..)   of   x_t W_ihᵀ + b + h_(t-1) W_hhᵀ, in the order i f g o
    c_t = f c_(t-1) + i g
    h_t = o tanh(c_t)

Sources: Hochreiter & Schmidhuber, Long short-term memory (1997); the forget gate: Gers et al. (2000).
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
    stable_sigmoid,
    state_buffer,
    steps,
)
from npnn.kernels.recurrent_step import COMPILED, ONE, add_outer, add_rows, sigmoid, steps_at_once, tanh

__all__ = ["lstm_backward", "lstm_forward"]

prange = range  # numba reads this name as its parallel range


@kernel
def lstm_forward(x, h0, c0, w_ih, w_hh, bias, reverse, keep):  # type: ignore[no-untyped-def]
    """x (T, N, I) -> h and c (T + 1, N, H), the initial ones in the spare slot, and the gates (T, N, 4 H).

    ``h0`` and ``c0`` are (N, H) or None for zeros, ``bias`` is (4 H,).  The gates are for backward:
    unless ``keep``, there is room for those of one step only.
    """
    H = w_hh.shape[1]
    h, c = state_buffer(x, h0, w_hh, reverse), state_buffer(x, c0, w_hh, reverse)
    h_past, h_now = past_and_present(h, reverse)
    c_past, c_now = past_and_present(c, reverse)
    gates = np.empty((len(x) if keep else 1, x.shape[1], 4 * H), x.dtype)
    for t in steps(len(x), reverse):
        z = x[t] @ w_ih.T + bias + h_past[t] @ w_hh.T  # (N, 4 H)
        i, f, g, o = np.split(gates[t % len(gates)], 4, axis=1)
        i[:] = stable_sigmoid(z[:, :H])
        f[:] = stable_sigmoid(z[:, H : 2 * H])
        g[:] = np.tanh(z[:, 2 * H : 3 * H])
        o[:] = stable_sigmoid(z[:, 3 * H :])
        c_now[t] = f * c_past[t] + i * g
        h_now[t] = o * np.tanh(c_now[t])
    return h, c, gates


@lstm_forward.fast
def lstm_forward(x, h0, c0, w_ih, w_hh, bias, reverse, keep):  # type: ignore[no-untyped-def]
    if not is_fast(x):
        return lstm_forward.reference(x, h0, c0, w_ih, w_hh, bias, reverse, keep)
    h, c = state_buffer(x, h0, w_hh, reverse), state_buffer(x, c0, w_hh, reverse)
    gates = np.empty((len(x) if keep else 1, x.shape[1], len(w_hh)), x.dtype)
    run_forward(_forward, x, w_ih, w_hh, bias, (h, c, gates), reverse, h0 is None)
    return h, c, gates


@jit(parallel=True, **COMPILED)
def _forward(chunks, x, weights, states, reverse, from_zero):  # type: ignore[no-untyped-def]
    (w_ih, w_hh), (h, c, gates) = weights, states
    T, N, _ = x.shape
    past, now = (1, 0) if reverse else (0, 1)
    for chunk in prange(chunks):
        lo, hi = N * chunk // chunks, N * (chunk + 1) // chunks
        for step in range(T):
            t = T - 1 - step if reverse else step
            z = gates[t % len(gates), lo:hi]
            multiply(x[t, lo:hi], w_ih, z, False, False)
            if step > 0 or not from_zero:
                multiply(h[t + past, lo:hi], w_hh, z, False, True)
            _gates(z, c[t + past, lo:hi], c[t + now, lo:hi], h[t + now, lo:hi])


@jit(**COMPILED)
def _gates(z, c_past, c_now, h_now):  # type: ignore[no-untyped-def]
    """z (N, 4 H) becomes the gates in place; c_t and h_t from them."""
    H = h_now.shape[1]
    for n in range(len(z)):
        i, f, g, o = z[n, :H], z[n, H : 2 * H], z[n, 2 * H : 3 * H], z[n, 3 * H :]
        before, c, h = c_past[n], c_now[n], h_now[n]
        for j in range(H):
            i[j], f[j], g[j], o[j] = sigmoid(i[j]), sigmoid(f[j]), tanh(g[j]), sigmoid(o[j])
            c[j] = f[j] * before[j] + i[j] * g[j]
            h[j] = o[j] * tanh(c[j])


@kernel
def lstm_backward(dy, dh_n, dc_n, x, h, c, gates, w_ih, w_hh, reverse, from_zero):  # type: ignore[no-untyped-def]
    """dx (T, N, I), dh_0 and dc_0 (N, H), dW_ih, dW_hh, db.

    ``dy`` (T, N, H) is the gradient of the outputs, ``dh_n`` and ``dc_n`` (N, H) those of the last
    state; each may be None.  ``w_ih`` is None if dx is not wanted; ``from_zero`` says that h_0 is
    zero, and dh_0 not wanted.
    """
    h_past, _ = past_and_present(h, reverse)
    c_past, c_now = past_and_present(c, reverse)
    dx = None if w_ih is None else np.empty_like(x)
    dw_ih, dw_hh, db = np.zeros((len(w_hh), x.shape[2]), x.dtype), np.zeros_like(w_hh), np.zeros(len(w_hh), x.dtype)
    dh = np.zeros(c.shape[1:], c.dtype) if dh_n is None else dh_n
    dc = np.zeros(c.shape[1:], c.dtype) if dc_n is None else dc_n
    for t in steps(len(x), not reverse):
        i, f, g, o = np.split(gates[t], 4, axis=1)
        if dy is not None:
            dh = dh + dy[t]
        tanh_c = np.tanh(c_now[t])
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        di = dc * g * i * (1 - i)
        df = dc * c_past[t] * f * (1 - f)
        dg = dc * i * (1 - g * g)
        do = dh * tanh_c * o * (1 - o)
        dz = np.concatenate([di, df, dg, do], axis=1)  # before the nonlinearities, (N, 4 H)
        dw_ih += dz.T @ x[t]
        dw_hh += dz.T @ h_past[t]
        db += dz.sum(axis=0)
        if dx is not None:
            dx[t] = dz @ w_ih
        dh = dz @ w_hh
        dc = dc * f
    return dx, None if from_zero else dh, dc, dw_ih, dw_hh, db


@lstm_backward.fast
def lstm_backward(dy, dh_n, dc_n, x, h, c, gates, w_ih, w_hh, reverse, from_zero):  # type: ignore[no-untyped-def]
    if not is_fast(x):
        return lstm_backward.reference(dy, dh_n, dc_n, x, h, c, gates, w_ih, w_hh, reverse, from_zero)
    dy, dh, dc = gradient_buffers(h, dy, dh_n, dc_n)
    dx, *dw = run_backward(_backward, (dy, dh, dc), x, (h, c, gates), w_ih, w_hh, reverse, from_zero)
    return dx, None if from_zero else dh, dc, *dw


@jit(parallel=True, **COMPILED)
def _backward(chunks, grads, x, states, weights, results, reverse, from_zero):  # type: ignore[no-untyped-def]
    (dy, dh, dc), (h, c, gates), (w_ih, w_hh), (dx, dw_x, dw_hh) = grads, states, weights, results
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
            _gates_backward(gates[t, lo:hi], c[t + past, lo:hi], c[t + now, lo:hi], dh[lo:hi], dc[lo:hi], dz)
            if len(dx) > 0:
                multiply(dz, w_ih, dx[t, lo:hi], False, False)
            if step < T - 1 or not from_zero:
                multiply(dz, w_hh, dh[lo:hi], False, False)
            if step == T - 1 or t % some == (some - 1 if reverse else 0):
                first, stop = t - t % some, min(T, t - t % some + some)
                add_outer(x[first:stop, lo:hi], block[: stop - first], dw_x[chunk])
                add_outer(block[: stop - first], h[first + past : stop + past, lo:hi], dw_hh[chunk])


@jit(**COMPILED)
def _gates_backward(gates, c_past, c_now, dh, dc, dz):  # type: ignore[no-untyped-def]
    """dz (N, 4 H) from dh and dc (N, H); dc moves on to the step before."""
    H = dh.shape[1]
    for n in range(len(gates)):
        i, f, g, o = gates[n, :H], gates[n, H : 2 * H], gates[n, 2 * H : 3 * H], gates[n, 3 * H :]
        di, df, dg, do = dz[n, :H], dz[n, H : 2 * H], dz[n, 2 * H : 3 * H], dz[n, 3 * H :]
        before, after, dh_row, dc_row = c_past[n], c_now[n], dh[n], dc[n]
        for j in range(H):
            tanh_c = tanh(after[j])
            dc_j = dc_row[j] + dh_row[j] * o[j] * (ONE - tanh_c * tanh_c)
            di[j] = dc_j * g[j] * i[j] * (ONE - i[j])
            df[j] = dc_j * before[j] * f[j] * (ONE - f[j])
            dg[j] = dc_j * i[j] * (ONE - g[j] * g[j])
            do[j] = dh_row[j] * tanh_c * o[j] * (ONE - o[j])
            dc_row[j] = dc_j * f[j]
