"""What the three recurrent kernels share: the order of the steps, and the gradients of one layer's weights.

A layer is a loop over T steps, and only ``h_(t-1) W_hhᵀ`` must wait for the step before.  Each
family (recurrent_rnn, recurrent_lstm, recurrent_gru) writes that loop once forward and once
backward; backward leaves behind dz, the gradient of what each step put into its nonlinearities.
From dz of all steps at once the gradients of the weights and of the input are one matrix product
each: :func:`layer_gradients`.

Everything is time-major: x is (T, N, I), states are (T, N, H), G is the number of gates.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from npnn.kernels.blas import matmul

__all__ = ["layer_gradients", "past_and_present", "steps"]


def steps(T: int, reverse: bool) -> range:
    """The order in which a layer visits the time steps."""
    return range(T - 1, -1, -1) if reverse else range(T)


def past_and_present(states: NDArray[Any], reverse: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """h_(t-1) and h_t for all t: two views of one buffer of T + 1 states.

    The spare slot, the first one or, if time runs backwards, the last, holds the initial state.
    """
    return (states[1:], states[:-1]) if reverse else (states[:-1], states[1:])


def layer_gradients(
    dz_x: NDArray[Any],
    dz_h: NDArray[Any],
    x: NDArray[Any],
    past: NDArray[Any],
    w_ih: NDArray[Any],
    needs: tuple[bool, ...],
) -> tuple[NDArray[Any] | None, ...]:
    """dx, dW_ih, dW_hh, db_ih and db_hh, each None unless ``needs`` says that it is wanted.

    ``dz_x`` and ``dz_h`` (T, N, G H) are the gradients of x_t W_ihᵀ + b_ih and of h_(t-1) W_hhᵀ + b_hh
    (one and the same array where the two are simply added), ``past`` (T, N, H) is h_(t-1).
    So dx_t = dz_t W_ih, dW_ih = Σ_t dz_tᵀ x_t, and in the same way for h.
    """
    rows = x.shape[0] * x.shape[1]
    from_x, from_h = dz_x.reshape(rows, len(w_ih)), dz_h.reshape(rows, len(w_ih))
    dx = matmul(from_x, w_ih, False, False).reshape(x.shape) if needs[0] else None
    dw_ih = matmul(from_x, x.reshape(rows, x.shape[2]), True, False) if needs[1] else None
    dw_hh = matmul(from_h, past.reshape(rows, past.shape[2]), True, False) if needs[2] else None
    db_ih = from_x.sum(axis=0) if needs[3] else None
    db_hh = (db_ih if dz_x is dz_h and needs[3] else from_h.sum(axis=0)) if needs[4] else None
    return dx, dw_ih, dw_hh, db_ih, db_hh
