"""The Elman recurrent layer, whole sequence: h_t = f(x_t W_ihᵀ + b + h_(t-1) W_hhᵀ), f = tanh or ReLU.

Source: Elman, Finding structure in time (1990); backward: Werbos, Backpropagation through time (1990).
"""

from __future__ import annotations

import numpy as np

from npnn.kernels._jit import kernel
from npnn.kernels.recurrent import past_and_present, steps

__all__ = ["rnn_backward", "rnn_forward"]


@kernel
def rnn_forward(x, h0, w_ih, w_hh, bias, relu, reverse):  # type: ignore[no-untyped-def]
    """All states, the initial one in the spare slot.   x (T, N, I) -> h (T + 1, N, H)

    ``h0`` is (N, H) or None for zeros, ``bias`` is (H,).
    """
    T, N, _ = x.shape
    h = np.empty((T + 1, N, len(w_hh)), x.dtype)
    past, now = past_and_present(h, reverse)
    past[-1 if reverse else 0] = 0 if h0 is None else h0
    z = x @ w_ih.T + bias  # (T, N, H)
    for t in steps(T, reverse):
        z[t] += past[t] @ w_hh.T
        now[t] = np.maximum(z[t], 0) if relu else np.tanh(z[t])
    return h


@kernel
def rnn_backward(dy, dh_n, h, w_hh, relu, reverse):  # type: ignore[no-untyped-def]
    """dz (T, N, H), the gradient before the nonlinearity, and dh_0 (N, H).

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
    return dz, dh
