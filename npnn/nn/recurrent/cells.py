"""Recurrent cells: one step, for loops written by hand (a decoder that feeds on its own output).

A cell is a layer of recurrent.py with T = 1.  For whole sequences use the layers: they are far
faster, because the steps need not pass through Python and the tape.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npnn.dtypes import of_parameters
from npnn.errors import ShapeError
from npnn.nn import init
from npnn.nn.module import Module, Parameter
from npnn.nn.recurrent.layers import GRULayer, LSTMLayer, RNNLayer
from npnn.nn.recurrent.networks import check_dtype, check_pair
from npnn.ops.shape import squeeze, unsqueeze
from npnn.tensor import Tensor

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]


class RNNCellBase(Module):
    """What the cells share: weight_ih (G H, I), weight_hh (G H, H), bias_ih and bias_hh (G H,), and one step."""

    layer: Any  # the Function of one layer in one direction
    gates: int
    states: tuple[str, ...] = ("hx",)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None):
        dtype = of_parameters(device, dtype)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self.gates * hidden_size
        self.weight_ih = Parameter(np.empty((rows, input_size), dtype))
        self.weight_hh = Parameter(np.empty((rows, hidden_size), dtype))
        self.bias_ih = Parameter(np.empty(rows, dtype)) if bias else None
        self.bias_hh = Parameter(np.empty(rows, dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Every weight and bias from U(-1/√H, 1/√H)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def _step(self, input: Tensor, states: tuple[Tensor, ...] | None, **options: Any) -> list[Tensor]:
        """The next states, given the present ones."""
        self._check_input(input, states)
        x = unsqueeze(input, 0)  # (1, N, I), or (1, I) without a batch
        if input.ndim == 1:
            x = unsqueeze(x, 0)
            states = states and tuple([unsqueeze(s, 0) for s in states])
        weights = self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
        _, *last = self.layer.apply(x, *(states or (None,) * len(self.states)), *weights, reverse=False, **options)
        return last if input.ndim == 2 else [squeeze(s, 0) for s in last]

    def _check_input(self, input: Tensor, states: tuple[Tensor, ...] | None) -> None:
        shape = input.shape
        if len(shape) not in (1, 2) or shape[-1] != self.input_size:
            raise ShapeError(
                f"expected an input of shape (batch, {self.input_size}) or ({self.input_size},), got {shape}"
            )
        check_dtype("input", input, self.weight_ih)
        expected = (*shape[:-1], self.hidden_size)
        for name, state in zip(self.states, states or (), strict=False):
            if state.shape != expected:
                raise ShapeError(
                    f"expected {name} of shape {expected} for an input of shape {shape}, got {state.shape}"
                )
            check_dtype(name, state, self.weight_ih)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """h' = f(x W_ihᵀ + b_ih + h W_hhᵀ + b_hh), f = tanh or ReLU.

    cell(input, hx) -> h', with input (N, I) or (I,), hx and h' (N, H) or (H,); hx = 0 if left out.
    Errors: ShapeError for an input or state of another shape; DtypeError for another dtype.
    """

    layer, gates = RNNLayer, 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(input, None if hx is None else (hx,), relu=self.nonlinearity == "relu")[0]

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """i, f, o = σ(..), g = tanh(..); c' = f c + i g; h' = o tanh(c').

    cell(input, (h, c)) -> (h', c'), shapes and errors as in RNNCell, rows of the weights in the order i f g o.
    """

    layer, gates, states = LSTMLayer, 4, ("h", "c")

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        h, c = self._step(input, check_pair(hx))
        return h, c


class GRUCell(RNNCellBase):
    """r, u = σ(..), n = tanh(.. + r (h W_hnᵀ + b_hn)); h' = (1 - u) n + u h.

    cell(input, hx) -> h', shapes and errors as in RNNCell, rows of the weights in the order r u n.
    """

    layer, gates = GRULayer, 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(input, None if hx is None else (hx,))[0]
