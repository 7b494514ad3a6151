"""The LSTM layer, whole sequence.

    i, f, o = σ(..),  g = tanh(..)   of   x_t W_ihᵀ + b + h_(t-1) W_hhᵀ, in the order i f g o
    c_t = f c_(t-1) + i g
    h_t = o tanh(c_t)

Sources: Hochreiter & Schmidhuber, Long short-term memory (1997); the forget gate: Gers et al. (2000).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels._jit import kernel
from npnn.kernels.recurrent import past_and_present, steps

__all__ = ["lstm_backward", "lstm_forward"]


def _sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # never overflows


@kernel
def lstm_forward(x, h0, c0, w_ih, w_hh, bias, reverse):  # type: ignore[no-untyped-def]
    """x (T, N, I) -> h and c (T + 1, N, H), the initial ones in the spare slot, and the gates (T, N, 4 H).

    ``h0`` and ``c0`` are (N, H) or None for zeros, ``bias`` is (4 H,).
    """
    T, N, _ = x.shape
    H = w_hh.shape[1]
    h, c = np.empty((2, T + 1, N, H), x.dtype)
    h_past, h_now = past_and_present(h, reverse)
    c_past, c_now = past_and_present(c, reverse)
    h_past[-1 if reverse else 0] = 0 if h0 is None else h0
    c_past[-1 if reverse else 0] = 0 if c0 is None else c0
    gates = x @ w_ih.T + bias  # (T, N, 4 H)
    for t in steps(T, reverse):
        z = gates[t]
        z += h_past[t] @ w_hh.T
        z[:, : 2 * H] = _sigmoid(z[:, : 2 * H])
        z[:, 2 * H : 3 * H] = np.tanh(z[:, 2 * H : 3 * H])
        z[:, 3 * H :] = _sigmoid(z[:, 3 * H :])
        i, f, g, o = np.split(z, 4, axis=1)
        c_now[t] = f * c_past[t] + i * g
        h_now[t] = o * np.tanh(c_now[t])
    return h, c, gates


@kernel
def lstm_backward(dy, dh_n, dc_n, c, gates, w_hh, reverse):  # type: ignore[no-untyped-def]
    """dz (T, N, 4 H), the gradient before the nonlinearities, dh_0 and dc_0 (N, H).

    ``dy`` (T, N, H) is the gradient of the outputs, ``dh_n`` and ``dc_n`` (N, H) those of the last
    state; each may be None.
    """
    c_past, c_now = past_and_present(c, reverse)
    dz = np.empty(gates.shape, gates.dtype)
    dh = np.zeros(c.shape[1:], c.dtype) if dh_n is None else dh_n
    dc = np.zeros(c.shape[1:], c.dtype) if dc_n is None else dc_n
    for t in steps(len(gates), not reverse):
        i, f, g, o = np.split(gates[t], 4, axis=1)
        di, df, dg, do = np.split(dz[t], 4, axis=1)
        if dy is not None:
            dh = dh + dy[t]
        tanh_c = np.tanh(c_now[t])
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        di[:] = dc * g * i * (1 - i)
        df[:] = dc * c_past[t] * f * (1 - f)
        dg[:] = dc * i * (1 - g * g)
        do[:] = dh * tanh_c * o * (1 - o)
        dc = dc * f
        dh = dz[t] @ w_hh
    return dz, dh, dc
