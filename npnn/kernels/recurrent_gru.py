"""The GRU layer, whole sequence.

    r = σ(x_t W_irᵀ + b_ir + h_(t-1) W_hrᵀ + b_hr)
    u = σ(x_t W_iuᵀ + b_iu + h_(t-1) W_huᵀ + b_hu)
    n = tanh(x_t W_inᵀ + b_in + r m),   m = h_(t-1) W_hnᵀ + b_hn
    h_t = (1 - u) n + u h_(t-1)

The rows of the weights are in the order r u n (torch's documentation calls u "z").  The reset gate
acts on m, after the product, as in cuDNN; the original paper applies it before.

Source: Cho et al., Learning phrase representations using RNN encoder-decoder (2014).
"""

from __future__ import annotations

import numpy as np

from npnn.kernels import threads
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

__all__ = ["gru_backward", "gru_forward"]

prange = range  # numba reads this name as its parallel range


@kernel
def gru_forward(x, h0, w_ih, w_hh, b_ih, b_hh, reverse, keep):  # type: ignore[no-untyped-def]
    """x (T, N, I) -> h (T + 1, N, H), the initial one in the spare slot, the gates r u n (T, N, 3 H), m (T, N, H).

    ``h0`` is (N, H) or None for zeros, the biases are (3 H,).  The gates and m are for backward: unless
    ``keep``, there is room for those of one step only.
    """
    H = w_hh.shape[1]
    h = state_buffer(x, h0, w_hh, reverse)
    past, now = past_and_present(h, reverse)
    room = len(x) if keep else 1
    gates, m = np.empty((room, x.shape[1], 3 * H), x.dtype), np.empty((room, x.shape[1], H), x.dtype)
    for t in steps(len(x), reverse):
        at = t % room
        x_r, x_u, x_n = np.split(x[t] @ w_ih.T + b_ih, 3, axis=1)
        h_r, h_u, m[at] = np.split(past[t] @ w_hh.T + b_hh, 3, axis=1)
        r, u, n = np.split(gates[at], 3, axis=1)
        r[:] = stable_sigmoid(x_r + h_r)
        u[:] = stable_sigmoid(x_u + h_u)
        n[:] = np.tanh(x_n + r * m[at])
        now[t] = (1 - u) * n + u * past[t]
    return h, gates, m


@gru_forward.fast
def gru_forward(x, h0, w_ih, w_hh, b_ih, b_hh, reverse, keep):  # type: ignore[no-untyped-def]
    if not is_fast(x):
        return gru_forward.reference(x, h0, w_ih, w_hh, b_ih, b_hh, reverse, keep)
    h = state_buffer(x, h0, w_hh, reverse)
    room = len(x) if keep else 1
    gates, m = np.empty((room, x.shape[1], len(w_hh)), x.dtype), np.empty((room, *h.shape[1:]), x.dtype)
    run_forward(_forward, x, w_ih, w_hh, b_ih, (h, gates, m), b_hh, reverse)
    return h, gates, m


@jit(parallel=True, **COMPILED)
def _forward(chunks, x, weights, states, b_hh, reverse):  # type: ignore[no-untyped-def]
    (w_ih, w_hh), (h, gates, m) = weights, states
    T, N, _ = x.shape
    past, now = (1, 0) if reverse else (0, 1)
    for chunk in prange(chunks):
        lo, hi = N * chunk // chunks, N * (chunk + 1) // chunks
        from_h = np.empty((hi - lo, w_hh.shape[1]), x.dtype)
        for step in range(T):
            t = T - 1 - step if reverse else step
            at = t % len(gates)
            multiply(x[t, lo:hi], w_ih, gates[at, lo:hi], False, False)
            multiply(h[t + past, lo:hi], w_hh, from_h, False, False)
            _gates(gates[at, lo:hi], from_h, b_hh, m[at, lo:hi], h[t + past, lo:hi], h[t + now, lo:hi])


@jit(**COMPILED)
def _gates(z, from_h, b_hh, m, h_past, h_now):  # type: ignore[no-untyped-def]
    """z (N, 3 H), the part of x, becomes the gates in place; m and h_t from them."""
    H = h_now.shape[1]
    b_r, b_u, b_n = b_hh[:H], b_hh[H : 2 * H], b_hh[2 * H :]
    for item in range(len(z)):
        r, u, n = z[item, :H], z[item, H : 2 * H], z[item, 2 * H :]
        h_r, h_u, h_n = from_h[item, :H], from_h[item, H : 2 * H], from_h[item, 2 * H :]
        m_row, before, after = m[item], h_past[item], h_now[item]
        for j in range(H):
            r[j] = sigmoid(r[j] + h_r[j] + b_r[j])
            u[j] = sigmoid(u[j] + h_u[j] + b_u[j])
        for j in range(H):
            m_row[j] = h_n[j] + b_n[j]
            n[j] = tanh(n[j] + r[j] * m_row[j])
            after[j] = (ONE - u[j]) * n[j] + u[j] * before[j]


@kernel
def gru_backward(dy, dh_n, x, h, gates, m, w_ih, w_hh, reverse):  # type: ignore[no-untyped-def]
    """dx (T, N, I), dh_0 (N, H), dW_ih, dW_hh, db_ih, db_hh.

    ``dy`` (T, N, H) is the gradient of the outputs, ``dh_n`` (N, H) that of the last state; each may be None.
    ``w_ih`` is None if dx is not wanted.
    """
    past, now = past_and_present(h, reverse)
    dx = None if w_ih is None else np.empty_like(x)
    dw_ih, dw_hh = np.zeros((len(w_hh), x.shape[2]), x.dtype), np.zeros_like(w_hh)
    db_ih, db_hh = np.zeros((2, len(w_hh)), x.dtype)
    dh = np.zeros(now.shape[1:], h.dtype) if dh_n is None else dh_n
    for t in steps(len(x), not reverse):
        r, u, n = np.split(gates[t], 3, axis=1)
        if dy is not None:
            dh = dh + dy[t]
        dn = dh * (1 - u) * (1 - n * n)
        du = dh * (past[t] - n) * u * (1 - u)
        dr = dn * m[t] * r * (1 - r)
        dz_x = np.concatenate([dr, du, dn], axis=1)  # (N, 3 H): of x_t W_ihᵀ + b_ih
        dz_h = np.concatenate([dr, du, dn * r], axis=1)  # of h_(t-1) W_hhᵀ + b_hh: r stands between m and n
        dw_ih += dz_x.T @ x[t]
        db_ih += dz_x.sum(axis=0)
        dw_hh += dz_h.T @ past[t]
        db_hh += dz_h.sum(axis=0)
        if dx is not None:
            dx[t] = dz_x @ w_ih
        dh = dh * u + dz_h @ w_hh
    return dx, dh, dw_ih, dw_hh, db_ih, db_hh


@gru_backward.fast
def gru_backward(dy, dh_n, x, h, gates, m, w_ih, w_hh, reverse):  # type: ignore[no-untyped-def]
    if not is_fast(x):
        return gru_backward.reference(dy, dh_n, x, h, gates, m, w_ih, w_hh, reverse)
    dy, dh = gradient_buffers(h, dy, dh_n)
    db_hh = np.zeros((threads.get_num_threads(), len(w_hh)), x.dtype)  # a sum for each thread
    dx, *dw = run_backward(_backward, (dy, dh, db_hh), x, (h, gates, m), w_ih, w_hh, reverse)
    return dx, dh, *dw, db_hh.sum(axis=0)


@jit(parallel=True, **COMPILED)
def _backward(chunks, grads, x, states, weights, results, reverse):  # type: ignore[no-untyped-def]
    (dy, dh, db_hh), (h, gates, m), (w_ih, w_hh), (dx, dw_x, dw_hh) = grads, states, weights, results
    T, N, _ = x.shape
    past = 1 if reverse else 0
    for chunk in prange(chunks):
        lo, hi = N * chunk // chunks, N * (chunk + 1) // chunks
        some = min(T, steps_at_once(hi - lo))
        block_x, block_h = np.empty((2, some, hi - lo, w_hh.shape[0]), x.dtype)
        for step in range(T):
            t = step if reverse else T - 1 - step
            h_past, dz_x, dz_h = h[t + past, lo:hi], block_x[t % some], block_h[t % some]
            if len(dy) > 0:
                add_rows(dh[lo:hi], dy[t, lo:hi])
            _gates_backward(gates[t, lo:hi], m[t, lo:hi], h_past, dh[lo:hi], dz_x, dz_h)
            if len(dx) > 0:
                multiply(dz_x, w_ih, dx[t, lo:hi], False, False)
            _add_sums(db_hh[chunk], dz_h)
            multiply(dz_h, w_hh, dh[lo:hi], False, True)
            if step == T - 1 or t % some == (some - 1 if reverse else 0):
                first, stop = t - t % some, min(T, t - t % some + some)
                add_outer(x[first:stop, lo:hi], block_x[: stop - first], dw_x[chunk])
                add_outer(block_h[: stop - first], h[first + past : stop + past, lo:hi], dw_hh[chunk])


@jit(**COMPILED)
def _gates_backward(gates, m, h_past, dh, dz_x, dz_h):  # type: ignore[no-untyped-def]
    """dz_x and dz_h (N, 3 H) from dh (N, H), which then keeps what goes straight to h_(t-1): dh u."""
    H = dh.shape[1]
    for item in range(len(gates)):
        r, u, n = gates[item, :H], gates[item, H : 2 * H], gates[item, 2 * H :]
        dr, du, dn = dz_x[item, :H], dz_x[item, H : 2 * H], dz_x[item, 2 * H :]
        dr_h, du_h, dm = dz_h[item, :H], dz_h[item, H : 2 * H], dz_h[item, 2 * H :]
        m_row, before, dh_row = m[item], h_past[item], dh[item]
        for j in range(H):
            dn[j] = dh_row[j] * (ONE - u[j]) * (ONE - n[j] * n[j])
            dm[j] = dn[j] * r[j]
            dr[j] = dm[j] * m_row[j] * (ONE - r[j])
            dr_h[j] = dr[j]
        for j in range(H):
            du[j] = dh_row[j] * (before[j] - n[j]) * u[j] * (ONE - u[j])
            du_h[j] = du[j]
            dh_row[j] *= u[j]


@jit
def _add_sums(total, rows):  # type: ignore[no-untyped-def]
    """total += Σ rows."""
    for n in range(len(rows)):
        row = rows[n]
        for j in range(row.size):
            total[j] += row[j]
