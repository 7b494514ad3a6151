"""One layer of an LSTM whose state is projected to fewer numbers before it goes to the next step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.function import Function
from npnn.kernels.recurrent import past_and_present, stable_sigmoid, steps

__all__ = ["ProjectedLSTMLayer"]

Array = NDArray[Any]


class ProjectedLSTMLayer(Function):
    """As LSTMLayer, but  h_t = W_hr (o tanh(c_t)),  so that h has P numbers where c has H.

    x (T, N, I), h_0 (N, P), c_0 (N, H) or None for zeros, W_ih (4 H, I), W_hh (4 H, P), b (4 H,) or None,
    W_hr (P, H) -> h (T, N, P), h_n (N, P), c_n (N, H)

    Gradient: with a_t = o tanh(c_t),  da_t = dh_t W_hr  and  dW_hr = Σ dh_tᵀ a_t;  the rest as in LSTMLayer.
    Source: Sak et al., Long short-term memory based recurrent neural network architectures (2014).
    """

    def forward(
        self, x: Array, h0: Array | None, c0: Array | None, w_ih: Array, w_hh: Array, b_ih: Array | None,
        b_hh: Array | None, w_hr: Array, reverse: bool,
    ) -> tuple[Array, ...]:  # fmt: skip
        T, N, _ = x.shape
        P, H = w_hr.shape
        h, c = np.empty((T + 1, N, P), x.dtype), np.empty((T + 1, N, H), x.dtype)
        first = -1 if reverse else 0
        h[first], c[first] = 0 if h0 is None else h0, 0 if c0 is None else c0
        (h_past, h_now), (c_past, c_now) = past_and_present(h, reverse), past_and_present(c, reverse)
        gates, a = np.empty((T, N, 4 * H), x.dtype), np.empty((T, N, H), x.dtype)
        bias = 0 if b_ih is None else b_ih + b_hh
        for t in steps(T, reverse):
            z = x[t] @ w_ih.T + h_past[t] @ w_hh.T + bias
            i, f, g, o = np.split(gates[t], 4, axis=1)
            i[:], f[:] = stable_sigmoid(z[:, :H]), stable_sigmoid(z[:, H : 2 * H])
            g[:], o[:] = np.tanh(z[:, 2 * H : 3 * H]), stable_sigmoid(z[:, 3 * H :])
            c_now[t] = f * c_past[t] + i * g
            a[t] = o * np.tanh(c_now[t])
            h_now[t] = a[t] @ w_hr.T
        self.saved = x, w_ih, w_hh, w_hr, h, c, gates, a
        self.reverse, self.bias = reverse, b_ih is not None
        last = 0 if reverse else -1
        return h_now, h_now[last], c_now[last]

    def backward(self, dy: Array | None, dh_n: Array | None, dc_n: Array | None) -> tuple[Array | None, ...]:
        x, w_ih, w_hh, w_hr, h, c, gates, a = self.saved
        (h_past, _), (c_past, c_now) = past_and_present(h, self.reverse), past_and_present(c, self.reverse)
        dz, dx = np.empty_like(gates), np.empty_like(x)
        dw_hr = np.zeros_like(w_hr)
        dh: Any = 0 if dh_n is None else dh_n
        dc: Any = 0 if dc_n is None else dc_n
        for t in steps(len(x), not self.reverse):
            dh = dh + (0 if dy is None else dy[t]) + np.zeros_like(h[0])
            i, f, g, o = np.split(gates[t], 4, axis=1)
            da, tanh_c = dh @ w_hr, np.tanh(c_now[t])
            dw_hr += dh.T @ a[t]
            dc = dc + da * o * (1 - tanh_c * tanh_c)
            parts = dc * g * i * (1 - i), dc * c_past[t] * f * (1 - f), dc * i * (1 - g * g), da * tanh_c * o * (1 - o)
            dz[t] = np.concatenate(parts, axis=1)
            dx[t], dh, dc = dz[t] @ w_ih, dz[t] @ w_hh, dc * f
        rows = dz.reshape(-1, dz.shape[2])
        dw_ih, dw_hh = rows.T @ x.reshape(-1, x.shape[2]), rows.T @ h_past.reshape(-1, h.shape[2])
        db = rows.sum(axis=0) if self.bias else None
        return dx, dh, dc, dw_ih, dw_hh, db, db, dw_hr
