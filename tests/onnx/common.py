"""A model exported, and then run by everyone who reads ONNX: all must agree with the model, at several batch sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import npnn
from npnn.onnx import export, load
from npnn.onnx.trace import leaves
from npnn.testing import assert_close
from tests.parity import randomise

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install npnn[onnx]")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
reference = pytest.importorskip("onnx.reference")
recurrent = pytest.importorskip("onnx.reference.ops.op_rnn")

BATCHES = (1, 2, 5)


class RNN(recurrent.RNN_14):
    """The reference's RNN, with the activation that it lacks."""

    def choose_act(self, name: str, alpha: Any, beta: Any) -> Any:
        return (lambda x: np.maximum(x, 0)) if name == "Relu" else super().choose_act(name, alpha, beta)


def example(*shapes: tuple[int, ...], dtype: str = "float32", below: int = 4) -> tuple[Any, ...]:
    """An array of each shape: standard normal, or whole numbers less than ``below``."""
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind in "iu":
        return tuple(rng.integers(0, below, shape).astype(dtype) for shape in shapes)
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)


def at_batch(inputs: tuple[Any, ...], n: int, dims: tuple[int, ...]) -> list[Any]:
    """The same arrays, with n examples."""
    return [x.take(np.arange(n) % x.shape[dim], dim) for x, dim in zip(inputs, dims, strict=True)]


def flat(outputs: Any) -> list[Any]:
    return [value for _, value in leaves(outputs, "")]


def everyone(proto: Any) -> dict[str, Callable[[list[Any]], list[Any]]]:
    """Who can run the graph: ONNX Runtime, onnx's own evaluator, and npnn, which reads it back."""
    names = [value.name for value in proto.graph.input]
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    evaluator, graph = reference.ReferenceEvaluator(proto, new_ops=[RNN]), load(proto)
    return {
        "onnxruntime": lambda arrays: session.run(None, dict(zip(names, arrays, strict=True))),
        "onnx.reference": lambda arrays: evaluator.run(None, dict(zip(names, arrays, strict=True))),
        "npnn.onnx.load": lambda arrays: [y.detach().numpy() for y in flat(graph(*map(npnn.tensor, arrays)))],
    }


def assert_same_everywhere(
    model: Any, *inputs: Any, dims: tuple[int, ...] | None = None, tolerance: float = 1e-5, skip: tuple[str, ...] = ()
) -> Any:
    """Export with one batch size, run at others; returns the ModelProto.  ``dims``: the batch's axis of each input."""
    randomise(model)
    proto = export(model, inputs if len(inputs) > 1 else inputs[0])
    onnx.checker.check_model(proto, full_check=True)
    runs = {who: run for who, run in everyone(proto).items() if who not in skip}
    for n in BATCHES:
        arrays = at_batch(inputs, n, dims or (0,) * len(inputs))
        model.eval()
        expected = [y.detach().numpy() for y in flat(model(*map(npnn.tensor, arrays)))]
        for who, run in runs.items():
            found = run(arrays)
            assert len(found) == len(expected), who
            for i, (a, b) in enumerate(zip(found, expected, strict=True)):
                assert a.dtype == b.dtype, f"{who}, output {i}: {a.dtype}"
                largest = np.abs(b).max(initial=1)
                assert_close(a, b, rtol=tolerance, atol=tolerance * largest, what=f"{who}, batch {n}, output {i}")
    return proto


def function(f: Any, **tensors: Any) -> Any:
    """A Module whose forward is f; arrays given by name become its parameters."""

    class Model(npnn.nn.Module):
        def forward(self, *inputs: Any) -> Any:
            return f(*inputs, **{name: getattr(self, name) for name in tensors})

    model = Model()
    for name, array in tensors.items():
        setattr(model, name, npnn.nn.Parameter(array))
    return model
