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

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels._jit import kernel
from npnn.kernels.recurrent import past_and_present, steps

__all__ = ["gru_backward", "gru_forward"]


def _sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # never overflows


@kernel
def gru_forward(x, h0, w_ih, w_hh, b_ih, b_hh, reverse):  # type: ignore[no-untyped-def]
    """x (T, N, I) -> h (T + 1, N, H), the initial one in the spare slot, the gates r u n (T, N, 3 H), m (T, N, H).

    ``h0`` is (N, H) or None for zeros, the biases are (3 H,).
    """
    T, N, _ = x.shape
    H = w_hh.shape[1]
    h = np.empty((T + 1, N, H), x.dtype)
    past, now = past_and_present(h, reverse)
    past[-1 if reverse else 0] = 0 if h0 is None else h0
    gates = x @ w_ih.T + b_ih  # (T, N, 3 H)
    m = np.empty((T, N, H), x.dtype)
    for t in steps(T, reverse):
        z = gates[t]
        from_h = past[t] @ w_hh.T + b_hh
        m[t] = from_h[:, 2 * H :]
        z[:, : 2 * H] = _sigmoid(z[:, : 2 * H] + from_h[:, : 2 * H])
        r, u, n = np.split(z, 3, axis=1)
        n[:] = np.tanh(n + r * m[t])
        now[t] = n + u * (past[t] - n)
    return h, gates, m


@kernel
def gru_backward(dy, dh_n, h, gates, m, w_hh, reverse):  # type: ignore[no-untyped-def]
    """The gradients of x_t W_ihᵀ + b_ih and of h_(t-1) W_hhᵀ + b_hh, (T, N, 3 H) each, and dh_0 (N, H).

    They differ in the last third only: r stands between m and n.
    ``dy`` (T, N, H) is the gradient of the outputs, ``dh_n`` (N, H) that of the last state; each may be None.
    """
    past, now = past_and_present(h, reverse)
    dz_x, dz_h = np.empty((2, *gates.shape), gates.dtype)
    dh = np.zeros(now.shape[1:], h.dtype) if dh_n is None else dh_n
    for t in steps(len(now), not reverse):
        r, u, n = np.split(gates[t], 3, axis=1)
        dr, du, dn = np.split(dz_x[t], 3, axis=1)
        if dy is not None:
            dh = dh + dy[t]
        dn[:] = dh * (1 - u) * (1 - n * n)
        du[:] = dh * (past[t] - n) * u * (1 - u)
        dr[:] = dn * m[t] * r * (1 - r)
        dz_h[t] = dz_x[t]
        dz_h[t, :, -dn.shape[1] :] *= r
        dh = dh * u + dz_h[t] @ w_hh
    return dz_x, dz_h, dh
