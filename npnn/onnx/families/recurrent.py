"""Recurrent layers.  Both languages compute the same; they differ in the order of the gates and in axes of size 1.

npnn's rows are i f g o (LSTM) and r u n (GRU), ONNX's i o f c and z r h, where c is g, z is u and h is n.
An ONNX operator has all directions of a layer, npnn's Function one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.function import Function
from npnn.nn.recurrent.layers import GRULayer, LSTMLayer, RNNLayer
from npnn.onnx.sizes import Batch
from npnn.onnx.table import ONNXError, TimeAxisError, reads, writes
from npnn.ops.joining import cat, split, stack
from npnn.tensor import Tensor

# Which of npnn's gates comes at each place in ONNX, and the reverse
TO_ONNX = {"RNN": [0], "LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2]}
FROM_ONNX = {op_type: np.argsort(order).tolist() for op_type, order in TO_ONNX.items()}


def _write(
    g: Any, op_type: str, x: Any, states: list[Any], weights: list[Any], reverse: bool, **attributes: Any
) -> tuple[str, ...]:
    """The nodes for one layer in one direction: y (T, N, H), then its last states (N, H)."""
    if isinstance(x.shape[0], Batch) and not isinstance(x.shape[1], Batch):
        raise TimeAxisError("the batch would be its time axis: say with batch_dim which axis of the input it is")
    w_ih, w_hh, b_ih, b_hh = weights
    order = TO_ONNX[op_type]

    def ordered(w: Any) -> str:
        if len(order) == 1:
            return w
        gates = g.node("Split", w, outputs=len(order), axis=0, num_outputs=len(order))
        return g.node("Concat", *[gates[i] for i in order], axis=0)

    def in_front(w: Any) -> str:
        return g.node("Unsqueeze", w, np.array([0]))

    bias = None if b_ih is None else in_front(g.node("Concat", ordered(b_ih), ordered(b_hh), axis=0))
    initial = [None if s is None else in_front(s) for s in states]
    y, *last = g.node(
        op_type, x, in_front(ordered(w_ih)), in_front(ordered(w_hh)), bias, None, *initial,
        outputs=1 + len(states), hidden_size=w_hh.shape[1], direction="reverse" if reverse else "forward",
        **attributes,
    )  # fmt: skip
    return g.node("Squeeze", y, np.array([1])), *[g.node("Squeeze", s, np.array([0])) for s in last]


@writes(RNNLayer)
def _write_rnn(g: Any, x: Any, h0: Any, *weights: Any, reverse: bool, relu: bool) -> Any:
    return _write(g, "RNN", x, [h0], list(weights), reverse, activations=["Relu" if relu else "Tanh"])


@writes(LSTMLayer)
def _write_lstm(g: Any, x: Any, h0: Any, c0: Any, *weights: Any, reverse: bool) -> Any:
    return _write(g, "LSTM", x, [h0, c0], list(weights), reverse)


@writes(GRULayer)
def _write_gru(g: Any, x: Any, h0: Any, *weights: Any, reverse: bool) -> Any:
    return _write(g, "GRU", x, [h0], list(weights), reverse, linear_before_reset=1)


def _read(
    layer: type[Function], op_type: str, x: Tensor, weights: list[Any], lengths: Any, states: list[Any],
    direction: str, options: list[dict[str, Any]] | None = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """y (T, directions, N, H), and the last states (directions, N, H)."""
    if lengths is not None:
        raise ONNXError("sequences of different lengths cannot be computed")
    w, r, b = weights
    results = []
    for i, way in enumerate(["forward", "reverse"] if direction == "bidirectional" else [direction]):
        own = [_ordered(w[i], op_type), _ordered(r[i], op_type), None, None]
        if b is not None:
            own[2:] = [_ordered(half, op_type) for half in split(b[i], b.shape[1] // 2)]
        initial = [None if s is None else s[i] for s in states]
        results.append(layer.apply(x, *initial, *own, reverse=way == "reverse", **(options[i] if options else {})))
    y, *last = zip(*results, strict=True)
    return stack(y, 1), *map(stack, last)


def _ordered(w: Any, op_type: str) -> Tensor:
    order = FROM_ONNX[op_type]
    if len(order) == 1:
        return w
    gates = split(w, w.shape[0] // len(order))
    return cat([gates[i] for i in order])


@reads("RNN", layout=0)
def _read_rnn(
    x: Tensor, w: Tensor, r: Tensor, b: Any = None, lengths: Any = None, h0: Any = None,
    *, activations: list[str], direction: str, hidden_size: int | None = None,
) -> Any:  # fmt: skip
    kinds = [name.lower() for name in activations]
    if set(kinds) - {"tanh", "relu"}:
        raise ONNXError(f"the activations {activations} cannot be computed, only Tanh and Relu")
    options = [{"relu": kind == "relu"} for kind in kinds]
    return _read(RNNLayer, "RNN", x, [w, r, b], lengths, [h0], direction, options)


@reads("LSTM", layout=0, input_forget=0)
def _read_lstm(
    x: Tensor, w: Tensor, r: Tensor, b: Any = None, lengths: Any = None, h0: Any = None, c0: Any = None,
    peepholes: Any = None, *, direction: str, hidden_size: int | None = None,
) -> Any:  # fmt: skip
    if peepholes is not None:
        raise ONNXError("peepholes cannot be computed")
    return _read(LSTMLayer, "LSTM", x, [w, r, b], lengths, [h0, c0], direction)


@reads("GRU", layout=0, linear_before_reset=1)
def _read_gru(
    x: Tensor, w: Tensor, r: Tensor, b: Any = None, lengths: Any = None, h0: Any = None,
    *, direction: str, hidden_size: int | None = None,
) -> Any:  # fmt: skip
    return _read(GRULayer, "GRU", x, [w, r, b], lengths, [h0], direction)
