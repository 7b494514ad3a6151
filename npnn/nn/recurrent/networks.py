"""Recurrent layers over whole sequences: RNN, LSTM, GRU; stacked, and in both directions if asked.

The arithmetic of one layer in one direction is in layers.py.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from npnn.dtypes import of_parameters
from npnn.errors import DtypeError, ShapeError, warn
from npnn.nn import init
from npnn.nn.dropout import dropout
from npnn.nn.module import Module, Parameter
from npnn.nn.recurrent.layers import GRULayer, LSTMLayer, RNNLayer
from npnn.nn.recurrent.packed import run_packed
from npnn.nn.recurrent.packing import PackedSequence
from npnn.nn.recurrent.projected import ProjectedLSTMLayer
from npnn.ops.joining import cat, stack
from npnn.ops.shape import squeeze, transpose, unsqueeze
from npnn.tensor import Tensor

__all__ = ["GRU", "LSTM", "RNN", "RNNBase"]


class RNNBase(Module):
    """What RNN, LSTM and GRU share: the names and shapes of the weights, and the walk through the layers.

    Layer l has weight_ih_l{l} (G H, I), weight_hh_l{l} (G H, H), bias_ih_l{l} and bias_hh_l{l} (G H,), where
    G is the number of gates, and the same with the suffix _reverse for the direction from the last step
    to the first.  From the second layer on, I is H times the number of directions.
    """

    layer: Any  # the Function of one layer in one direction
    gates: int
    proj_size = 0  # numbers that an LSTM's state is projected to; 0: none are, it has hidden_size
    states: tuple[str, ...] = ("h_0",)  # what goes from step to step

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        _check_arguments(input_size, hidden_size, num_layers, bias, batch_first, dropout)
        dtype = of_parameters(device, dtype)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first = bias, batch_first
        self.dropout, self.bidirectional = float(dropout), bidirectional
        rows, directions = self.gates * hidden_size, 1 + bidirectional
        self._weight_names = []
        for i in range(num_layers * directions):
            suffix = f"_l{i // directions}" + ("_reverse" if i % directions else "")
            width = input_size if i < directions else directions * self.output_size
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, width), "weight_hh": (rows, self.output_size)}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            if self.proj_size:
                shapes["weight_hr"] = (self.proj_size, hidden_size)
            for kind, shape in shapes.items():
                setattr(self, kind + suffix, Parameter(np.empty(shape, dtype)))
            self._weight_names.append([kind + suffix for kind in shapes])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Every weight and bias from U(-1/√H, 1/√H)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing: the kernels read the weights where they lie.  In torch it joins them for a graphics card."""

    @property
    def output_size(self) -> int:
        """Numbers of the state h, which is the output: hidden_size, or proj_size."""
        return self.proj_size or self.hidden_size

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """weight_ih, weight_hh and, if there, bias_ih, bias_hh, weight_hr of each layer and direction, as they run."""
        return [[getattr(self, name) for name in names] for names in self._weight_names]

    def arguments(self, i: int) -> list[Parameter | None]:
        """The weights of one layer and direction as its Function takes them, None for a bias that is not there."""
        weights: list[Any] = [getattr(self, name) for name in self._weight_names[i]]
        return weights if self.bias else [*weights[:2], None, None, *weights[2:]]

    def _run(self, input: Tensor, initial: tuple[Tensor, ...] | None, **options: Any) -> tuple[Tensor, ...]:
        """The output, and each final state (layers x directions, N, H), given the initial ones."""
        if isinstance(input, PackedSequence):
            output, ends = run_packed(self, input, initial, **options)
            return output, *ends  # type: ignore[return-value]
        self._check_input(input, initial)
        batched = input.ndim == 3
        swap = batched and self.batch_first
        x = transpose(input, 0, 1) if swap else input if batched else unsqueeze(input, 1)  # (T, N, I)
        if initial is not None and not batched:
            initial = tuple([unsqueeze(s, 1) for s in initial])
        directions = 1 + self.bidirectional
        finals = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = dropout(x, self.dropout, self.training)
            outputs = []
            for reverse in range(directions):
                i = layer * directions + reverse
                start = (None,) * len(self.states) if initial is None else [s[i] for s in initial]
                y, *last = self.layer.apply(x, *start, *self.arguments(i), reverse=bool(reverse), **options)
                outputs.append(y)
                finals.append(last)
            x = cat(outputs, -1) if self.bidirectional else y  # (T, N, directions * H)
        ends = [stack(kind) if len(kind) > 1 else unsqueeze(kind[0], 0) for kind in zip(*finals, strict=True)]
        if not batched:
            return squeeze(x, 1), *[squeeze(s, 1) for s in ends]
        return (transpose(x, 0, 1) if swap else x), *ends

    def _check_input(self, input: Tensor, initial: tuple[Tensor, ...] | None) -> None:
        shape = input.shape
        if len(shape) not in (2, 3) or shape[-1] != self.input_size:
            order = "batch, time" if self.batch_first else "time, batch"
            raise ShapeError(
                f"expected an input of shape ({order}, {self.input_size}), or (time, {self.input_size}) without a "
                f"batch, got {shape}"
            )
        batched = len(shape) == 3
        T, N = (shape[0], 1) if not batched else (shape[1], shape[0]) if self.batch_first else shape[:2]
        if T == 0:
            raise ShapeError(f"expected a sequence of at least one step, got an input of shape {shape}")
        check_dtype("input", input, self.weight_ih_l0)  # type: ignore[attr-defined]
        layers = self.num_layers * (1 + self.bidirectional)
        for name, state in zip(self.states, initial or (), strict=False):
            width = self.output_size if name == "h_0" else self.hidden_size
            expected = (layers, N, width) if batched else (layers, width)
            if state.shape != expected:
                raise ShapeError(
                    f"expected {name} of shape {expected}, (layers x directions, {'batch, ' * batched}hidden), "
                    f"for an input of shape {shape}, got {state.shape}"
                )
            check_dtype(name, state, self.weight_ih_l0)  # type: ignore[attr-defined]

    def extra_repr(self) -> str:
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
        }
        changed = [f"{name}={getattr(self, name)}" for name, value in defaults.items() if getattr(self, name) != value]
        return ", ".join([str(self.input_size), str(self.hidden_size), *changed])


def _check_arguments(
    input_size: int, hidden_size: int, num_layers: int, bias: bool, batch_first: bool, dropout: float
) -> None:
    sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
    for name, value in sizes.items():
        if not isinstance(value, numbers.Integral) or isinstance(value, bool):
            raise TypeError(f"{name} must be a whole number, got {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be greater than zero, got {value}")
    for name, flag in {"bias": bias, "batch_first": batch_first}.items():
        if not isinstance(flag, bool):
            raise TypeError(f"{name} must be True or False, got {flag!r}")
    if not isinstance(dropout, numbers.Real) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
        raise ValueError(f"dropout must be a probability between 0 and 1, got {dropout!r}")
    if dropout > 0 and num_layers == 1:
        warn(f"dropout acts between layers, not after the last: dropout={dropout} does nothing with num_layers=1")


def check_dtype(name: str, x: Tensor, weight: Tensor) -> None:
    """Errors: DtypeError unless x has the dtype of the weights."""
    if x.array.dtype != weight.array.dtype:
        method = "double" if x.array.dtype == np.float64 else "float"
        raise DtypeError(
            f"expected {name} of dtype {weight.dtype}, as the weights are, got {x.dtype}: "
            f"cast one of them, for example {name}.{'float' if weight.dtype == np.float32 else 'double'}()"
            + (f" or model.{method}()" if x.array.dtype.kind == "f" else "")
        )


class RNN(RNNBase):
    """h_t = f(x_t W_ihᵀ + b_ih + h_(t-1) W_hhᵀ + b_hh), f = tanh or ReLU.

    rnn(input, h_0) -> output, h_n, with input (T, N, I), or (N, T, I) if batch_first, or (T, I);
    h_0 and h_n (layers x directions, N, H), h_0 = 0 if left out; output the states of the last layer at
    every step, the directions side by side: (T, N, directions * H).
    ``dropout`` acts on the outputs of all layers but the last, in training mode.

    Errors: ShapeError for an input or h_0 of another shape; DtypeError for another dtype.
    Source: Elman, Finding structure in time (1990).
    """

    layer, gates = RNNLayer, 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        output, h_n = self._run(input, None if hx is None else (hx,), relu=self.nonlinearity == "relu")
        return output, h_n


class LSTM(RNNBase):
    """i, f, o = σ(..), g = tanh(..); c_t = f c_(t-1) + i g; h_t = o tanh(c_t).

    lstm(input, (h_0, c_0)) -> output, (h_n, c_n), shapes as in RNN.  The rows of the weights are in the
    order i f g o, each H rows, all of the form x_t W_ihᵀ + b_ih + h_(t-1) W_hhᵀ + b_hh.
    With ``proj_size`` P, h_t = W_hr (o tanh(c_t)) has P numbers instead of H.

    Errors: as in RNN; ValueError for a proj_size that is negative or not smaller than H.
    Source: Hochreiter & Schmidhuber, Long short-term memory (1997), with the forget gate of Gers et al. (2000).
    """

    layer: Any = LSTMLayer
    gates, states = 4, ("h_0", "c_0")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ):
        if not 0 <= proj_size < max(hidden_size, 1):
            raise ValueError(f"proj_size must be from 0 to hidden_size - 1 = {hidden_size - 1}, got {proj_size}")
        self.proj_size = proj_size
        if proj_size:
            self.layer = ProjectedLSTMLayer
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output, h_n, c_n = self._run(input, check_pair(hx))
        return output, (h_n, c_n)


def check_pair(hx: Any) -> tuple[Tensor, Tensor] | None:
    """The initial state of an LSTM.  Errors: TypeError unless it is None or a pair."""
    if hx is not None and not (isinstance(hx, (tuple, list)) and len(hx) == 2):
        raise TypeError(f"an LSTM starts from a pair of tensors (h_0, c_0), got {type(hx).__name__}")
    return hx  # type: ignore[return-value]


class GRU(RNNBase):
    """r, u = σ(..), n = tanh(.. + r (h_(t-1) W_hnᵀ + b_hn)); h_t = (1 - u) n + u h_(t-1).

    gru(input, h_0) -> output, h_n, shapes and errors as in RNN.  The rows of the weights are in the order
    r u n (torch's documentation calls u "z"), each H rows.

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder (2014), in cuDNN's variant.
    """

    layer, gates = GRULayer, 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        output, h_n = self._run(input, None if hx is None else (hx,))
        return output, h_n
