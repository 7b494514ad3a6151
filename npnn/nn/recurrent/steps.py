"""The recurrent layers step by step, in operations that are recorded: what their gradients are differentiated by.

x (T, N, I), h and c (N, H) or None for zeros, weights and biases as in layers.py.  All results are (T, N, H), (N, H).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npnn.nn.activation.rectifiers import relu as rectified
from npnn.ops.elementwise import sigmoid, tanh
from npnn.ops.joining import chunk, stack
from npnn.ops.linalg import matmul
from npnn.tensor import Tensor, of_array

__all__ = ["gru", "lstm", "rnn"]


def _walked(x: Tensor, states: tuple[Any, ...], reverse: bool, step: Callable[..., tuple[Tensor, ...]]) -> Any:
    """All h, and the last states: step(x_t, *states) gives the next ones, h first."""
    order = range(x.array.shape[0])
    seen = []
    for t in reversed(order) if reverse else order:
        states = step(x[t], *states)
        seen.append(states[0])
    return stack(seen[::-1] if reverse else seen), *states


def _zeros(x: Tensor, w_hh: Tensor) -> Tensor:
    return of_array(np.zeros((x.array.shape[1], w_hh.array.shape[1]), x.array.dtype))


def _affine(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    y = matmul(x, w.t())  # type: ignore[attr-defined]
    return y if b is None else y + b


def rnn(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, reverse: bool, relu: bool) -> Any:
    """h_t = f(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)"""
    f = rectified if relu else tanh

    def step(x_t: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        return (f(_affine(x_t, w_ih, b_ih) + _affine(h, w_hh, b_hh)),)

    return _walked(x, (_zeros(x, w_hh) if h is None else h,), reverse, step)


def lstm(x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, reverse: bool) -> Any:
    """c_t = f c_(t-1) + i g, h_t = o tanh(c_t)"""

    def step(x_t: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        i, f, g, o = chunk(_affine(x_t, w_ih, b_ih) + _affine(h, w_hh, b_hh), 4, 1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    states = _zeros(x, w_hh) if h is None else h, _zeros(x, w_hh) if c is None else c
    return _walked(x, states, reverse, step)


def gru(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, reverse: bool) -> Any:
    """h_t = (1 - u) n + u h_(t-1), n = tanh(W_in x_t + b_in + r (W_hn h_(t-1) + b_hn))"""

    def step(x_t: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        given, held = chunk(_affine(x_t, w_ih, b_ih), 3, 1), chunk(_affine(h, w_hh, b_hh), 3, 1)
        r, u = sigmoid(given[0] + held[0]), sigmoid(given[1] + held[1])
        n = tanh(given[2] + r * held[2])
        return ((1 - u) * n + u * h,)

    return _walked(x, (_zeros(x, w_hh) if h is None else h,), reverse, step)
