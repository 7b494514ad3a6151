"""What the three recurrent kernels share: the order of the steps, their buffers, and how the compiled loops are run.

A layer is a loop over T steps, and only ``h_(t-1) W_hhᵀ`` must wait for the step before.  Each
family (recurrent_rnn, recurrent_lstm, recurrent_gru) writes that loop once forward and once
backward, first in NumPy, then compiled.  The items of a batch meet only in the sums over the batch
that are the gradients of the weights.  So in the compiled loops each thread runs the whole sequence
on its share of the rows, waits for no one, and adds to sums of its own.

Everything is time-major: x is (T, N, I), states are (T, N, H), G is the number of gates.  The
compiled loops are for float32; float64 is for checking, and takes the NumPy forms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels.product import library_held

__all__ = [
    "gradient_buffers", "is_fast", "past_and_present", "run_backward", "run_forward", "stable_sigmoid",
    "state_buffer", "steps",
]  # fmt: skip

Array = NDArray[Any]


def steps(T: int, reverse: bool) -> range:
    """The order in which a layer visits the time steps."""
    return range(T - 1, -1, -1) if reverse else range(T)


def past_and_present(states: Array, reverse: bool) -> tuple[Array, Array]:
    """h_(t-1) and h_t for all t: two views of one buffer of T + 1 states.

    The spare slot, the first one or, if time runs backwards, the last, holds the initial state.
    """
    return (states[1:], states[:-1]) if reverse else (states[:-1], states[1:])


def state_buffer(x: Array, initial: Array | None, w_hh: Array, reverse: bool) -> Array:
    """Room for T + 1 states (T + 1, N, H) with the initial one (zero if None) in its place."""
    states = np.empty((len(x) + 1, x.shape[1], w_hh.shape[1]), x.dtype)
    states[-1 if reverse else 0] = 0 if initial is None else initial
    return states


def stable_sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written so that it cannot overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


# ---- around the compiled loops


def is_fast(x: Array) -> bool:
    """True if the compiled loops, rather than the NumPy forms, are for this input."""
    return x.dtype == np.float32 and x.size > 0


def _chunks(x: Array, w_hh: Array) -> int:
    """How many threads share the N rows of the batch."""
    T, N = x.shape[:2]
    return min(threads.split(T * N * w_hh.size // 4), N)


def _with_ones(x: Array) -> Array:
    """x with a one added to every row, (T, N, I + 1): the bias is the weight of an input that is always 1."""
    wider = np.empty((*x.shape[:2], x.shape[2] + 1), x.dtype)
    wider[:, :, :-1], wider[:, :, -1] = x, 1
    return wider


def run_forward(
    loop: Any, x: Array, w_ih: Array, w_hh: Array, bias: Array, states: tuple[Array, ...], *options: Any
) -> None:
    """Run ``loop(chunks, x, weights, states, *options)``, which fills the states.

    x comes with its ones (T, N, I + 1), and the weights as they are multiplied with: W_ihᵀ with the
    bias below it (I + 1, G H), and W_hhᵀ (H, G H).
    """
    from_x = np.empty((w_ih.shape[1] + 1, len(w_ih)), w_ih.dtype)
    from_x[:-1], from_x[-1] = w_ih.T, bias
    weights = from_x, np.ascontiguousarray(w_hh.T)
    with library_held():
        threads.run(loop, _chunks(x, w_hh), _with_ones(x), weights, states, *options)


def gradient_buffers(states: Array, dy: Array | None, *last: Array | None) -> tuple[Array, ...]:
    """dy, of length 0 if None, and a copy of each last state's gradient, zero if None: backward works in it."""
    _, N, H = states.shape
    dy = np.empty((0, N, H), states.dtype) if dy is None else np.ascontiguousarray(dy)
    return dy, *[np.zeros((N, H), states.dtype) if d is None else np.array(d, order="C") for d in last]


def run_backward(
    loop: Any,
    grads: tuple[Array, ...],
    x: Array,
    states: tuple[Array, ...],
    w_ih: Array | None,
    w_hh: Array,
    *options: Any,
) -> tuple[Array | None, Array, Array, Array]:
    """Run ``loop(chunks, grads, x, states, weights, results, *options)``; return dx, dW_ih, dW_hh, db.

    The results are dx, of length 0 if it is not wanted (``w_ih`` is None), and for each thread the
    sums that make up dW_ihᵀ with db below it (I + 1, G H), and dW_hh (G H, H).
    """
    chunks, rows = _chunks(x, w_hh), len(w_hh)
    dx = np.empty(x.shape if w_ih is not None else (0, *x.shape[1:]), x.dtype)
    of_x, of_h = np.zeros((chunks, x.shape[2] + 1, rows), x.dtype), np.zeros((chunks, *w_hh.shape), x.dtype)
    weights = (w_hh if w_ih is None else w_ih), w_hh
    with library_held():
        threads.run(loop, chunks, grads, _with_ones(x), states, weights, (dx, of_x, of_h), *options)
    total = of_x.sum(axis=0)  # always in the same order
    dw_ih, db = np.ascontiguousarray(total[:-1].T), total[-1].copy()
    return (None if w_ih is None else dx), dw_ih, of_h.sum(axis=0), db
