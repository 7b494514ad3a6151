"""One recurrent layer in one direction, all T steps: a single node of the tape.

The backward pass through time is a loop inside the Function (npnn.kernels.recurrent_rnn, _lstm,
_gru), and the gradients of the weights are taken once, from all steps together.  The modules in
networks.py stack these layers; those in cells.py use them for a single step.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.function import Function
from npnn.kernels.recurrent import past_and_present
from npnn.kernels.recurrent_gru import gru_backward, gru_forward
from npnn.kernels.recurrent_lstm import lstm_backward, lstm_forward
from npnn.kernels.recurrent_rnn import rnn_backward, rnn_forward
from npnn.nn.recurrent import steps
from npnn.second_order import through

__all__ = ["GRULayer", "LSTMLayer", "RNNLayer"]

Array = NDArray[Any]


def _placed(layer: Any, *values: Any) -> list[Any]:
    """The inputs, of which these are the values, at their places in the graph."""
    return [v if v is None else layer.input(i, v) if isinstance(v, np.ndarray) else v for i, v in enumerate(values)]


class RNNLayer(Function):
    """h_t = f(x_t W_ihᵀ + b_ih + h_(t-1) W_hhᵀ + b_hh), f = tanh or ReLU.

    x (T, N, I), h_0 (N, H) or None for zeros, W_ih (H, I), W_hh (H, H), b (H,) or None -> h (T, N, H), h_n (N, H)

    With ``reverse`` the steps run from the last to the first, and h_n is the state at the first.
    Gradient: dz_t = f'(z_t) (dy_t + dz_(t+1) W_hh), then dx_t = dz_t W_ih, dW_ih = Σ dz_tᵀ x_t,
    dW_hh = Σ dz_tᵀ h_(t-1), db = Σ dz_t.
    """

    def forward(
        self,
        x: Array,
        h0: Array | None,
        w_ih: Array,
        w_hh: Array,
        b_ih: Array | None,
        b_hh: Array | None,
        reverse: bool,
        relu: bool = False,
    ) -> tuple[Array, ...]:
        x, w_ih, w_hh = np.ascontiguousarray(x), np.ascontiguousarray(w_ih), np.ascontiguousarray(w_hh)
        bias = np.zeros(len(w_hh), x.dtype) if b_ih is None else b_ih + b_hh
        h = rnn_forward(x, h0, w_ih, w_hh, bias, relu, reverse)
        if True in self.needs_grad:
            self.x, self.w_hh, self.reverse, self.from_zero = x, w_hh, reverse, h0 is None
            self.w_ih, self.given = w_ih, (h0, b_ih, b_hh)
            self.h, self.relu = h, relu
        _, now = past_and_present(h, reverse)
        return now, now[0 if reverse else -1]

    def backward(self, dy: Array | None, dh_n: Array | None) -> tuple[Array | None, ...]:
        *grads, db = rnn_backward(
            dy, dh_n, self.x, self.h, self.w_ih if self.needs_grad[0] else None, self.w_hh, self.relu, self.reverse,
            self.from_zero,
        )  # fmt: skip
        return *grads, db, db

    def derivative(self: Any, *grads: Any) -> Any:
        h0, *biases = self.given
        inputs = _placed(self, self.x, h0, self.w_ih, self.w_hh, *biases)
        found = through(partial(steps.rnn, reverse=self.reverse, relu=self.relu), inputs, grads)
        return *found, *[None] * (len(self.inputs) - len(found))


class LSTMLayer(Function):
    """i, f, o = σ(..), g = tanh(..); c_t = f c_(t-1) + i g; h_t = o tanh(c_t).

    The dots stand for x_t W_ihᵀ + b_ih + h_(t-1) W_hhᵀ + b_hh.
    x (T, N, I), h_0 and c_0 (N, H) or None for zeros, W_ih (4 H, I), W_hh (4 H, H), b (4 H,) or None
    -> h (T, N, H), h_n (N, H), c_n (N, H); the rows of the weights are in the order i f g o.

    Gradient: as in RNNLayer, with dz_t from dh_t and dc_t through the four gates, dc_(t-1) = f dc_t.
    """

    def forward(
        self,
        x: Array,
        h0: Array | None,
        c0: Array | None,
        w_ih: Array,
        w_hh: Array,
        b_ih: Array | None,
        b_hh: Array | None,
        reverse: bool,
    ) -> tuple[Array, ...]:
        x, w_ih, w_hh = np.ascontiguousarray(x), np.ascontiguousarray(w_ih), np.ascontiguousarray(w_hh)
        bias = np.zeros(len(w_hh), x.dtype) if b_ih is None else b_ih + b_hh
        keep = True in self.needs_grad
        h, c, gates = lstm_forward(x, h0, c0, w_ih, w_hh, bias, reverse, keep)
        if keep:
            self.x, self.w_hh, self.reverse, self.from_zero = x, w_hh, reverse, h0 is None
            self.w_ih, self.given = w_ih, (h0, b_ih, b_hh)
            self.h, self.c, self.gates, self.c0 = h, c, gates, c0
        (_, h_now), (_, c_now) = past_and_present(h, reverse), past_and_present(c, reverse)
        last = 0 if reverse else -1
        return h_now, h_now[last], c_now[last]

    def backward(self, dy: Array | None, dh_n: Array | None, dc_n: Array | None) -> tuple[Array | None, ...]:
        *grads, db = lstm_backward(
            dy, dh_n, dc_n, self.x, self.h, self.c, self.gates, self.w_ih if self.needs_grad[0] else None, self.w_hh,
            self.reverse, self.from_zero,
        )  # fmt: skip
        return *grads, db, db

    def derivative(self: Any, *grads: Any) -> Any:
        h0, b_ih, b_hh = self.given
        inputs = _placed(self, self.x, h0, self.c0, self.w_ih, self.w_hh, b_ih, b_hh)
        found = through(partial(steps.lstm, reverse=self.reverse), inputs, grads)
        return *found, *[None] * (len(self.inputs) - len(found))


class GRULayer(Function):
    """r, u = σ(..), n = tanh(.. + r (h_(t-1) W_hnᵀ + b_hn)); h_t = (1 - u) n + u h_(t-1).

    x (T, N, I), h_0 (N, H) or None for zeros, W_ih (3 H, I), W_hh (3 H, H), b (3 H,) or None
    -> h (T, N, H), h_n (N, H); the rows of the weights are in the order r u n.

    Gradient: as in RNNLayer, but what reaches W_hh and b_hh went through r in the last third.
    """

    def forward(
        self,
        x: Array,
        h0: Array | None,
        w_ih: Array,
        w_hh: Array,
        b_ih: Array | None,
        b_hh: Array | None,
        reverse: bool,
    ) -> tuple[Array, ...]:
        x, w_ih, w_hh = np.ascontiguousarray(x), np.ascontiguousarray(w_ih), np.ascontiguousarray(w_hh)
        if b_ih is None:
            b_ih = b_hh = np.zeros(len(w_hh), x.dtype)
        keep = True in self.needs_grad
        h, gates, m = gru_forward(x, h0, w_ih, w_hh, b_ih, b_hh, reverse, keep)
        if keep:
            self.x, self.w_hh, self.reverse, self.from_zero = x, w_hh, reverse, h0 is None
            self.w_ih, self.given = w_ih, (h0, b_ih, b_hh)
            self.h, self.gates, self.m = h, gates, m
        _, now = past_and_present(h, reverse)
        return now, now[0 if reverse else -1]

    def backward(self, dy: Array | None, dh_n: Array | None) -> tuple[Array | None, ...]:
        w_ih = self.w_ih if self.needs_grad[0] else None
        return gru_backward(dy, dh_n, self.x, self.h, self.gates, self.m, w_ih, self.w_hh, self.reverse)

    def derivative(self: Any, *grads: Any) -> Any:
        h0, *biases = self.given
        inputs = _placed(self, self.x, h0, self.w_ih, self.w_hh, *biases)
        found = through(partial(steps.gru, reverse=self.reverse), inputs, grads)
        return *found, *[None] * (len(self.inputs) - len(found))
