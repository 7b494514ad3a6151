"""From a model to an ONNX graph: run it twice, at two batch sizes, and write down what it did both times.

What differs between the runs tells the sizes that grow with the batch from those that do not.  The graph
is then read back and run at further batch sizes beside the model, so that one that computes
something else is never handed out.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.io.atomic import atomic_write
from npnn.nn.module import Module
from npnn.onnx.examples import Examples
from npnn.onnx.load import Graph
from npnn.onnx.sizes import Join, Value
from npnn.onnx.table import WRITERS, ONNXError, TimeAxisError
from npnn.onnx.trace import Call, evaluating, leaves, trace
from npnn.onnx.writer import Writer, onnx_package
from npnn.tensor import Tensor, of_array

__all__ = ["export"]

LARGEST = 2_000_000_000  # bytes of weights: what a protocol buffer can hold, less some room for the graph


def export(
    model: Module,
    example_input: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    batch_dim: int | Sequence[int] | None = None,
    dynamic: bool = True,
) -> Any:
    """The model as an ONNX ModelProto, of opset 21, which runs at any batch size; also written to ``path`` if given.

    With ``dynamic=False`` all sizes are those of the example, and only they can be run; a forward that computes with
    the batch size otherwise than by multiples of it can be written only so.

    ``example_input`` is an array or Tensor, or a tuple of what the model takes.  Neither its values nor its
    batch size matter.  ``batch_dim`` is the batch's axis, one number, or one for each array; if not given
    it is 0, or 1 where a recurrent layer without batch_first is what takes the input.

    The graph does what the model does in evaluation mode.  Weights keep their names in the state_dict.
    A forward of any form can be written, as long as it is made of npnn's operations, takes the same
    path for every input, and uses no sizes but constant ones and multiples of the batch size.

    Errors: ONNXError that names the layer and the operation that cannot be written; ImportError
    without the onnx package; OSError if the disk refuses, and then the file that was there before still is.
    """
    if not isinstance(model, Module):
        hint = ": npnn.io.from_torch_module converts it" if hasattr(model, "state_dict") else ""
        raise TypeError(f"export needs an npnn Module, got {type(model).__name__}{hint}")
    onnx = onnx_package()
    if sum(t.array.nbytes for t in model.state_dict().values()) > LARGEST:
        raise ONNXError("the model has more than 2 GB of weights, which an ONNX file cannot hold")
    with evaluating(model):
        try:
            proto = _written(model, Examples(model, example_input, batch_dim), dynamic)
        except TimeAxisError:
            if batch_dim is not None:
                raise
            proto = _written(model, Examples(model, example_input, 1), dynamic)
    onnx.checker.check_model(proto, full_check=True)
    if path is not None:
        with atomic_write(path) as file:
            file.write(proto.SerializeToString())
    return proto


def _written(model: Module, examples: Examples, dynamic: bool) -> Any:
    """The ModelProto, compared with the model."""
    n = max(examples.size, 2)  # at 1, a size that is the batch's cannot be told from one that is 1
    sizes = (n, n + 1) if dynamic else (examples.size, examples.size)
    runs = [_run(model, examples, size, trial) for trial, size in enumerate(sizes)]
    state = _state(model)
    join = Join(*sizes, ({}, {}))
    for name, (array, _) in reversed(state.items()):  # an array that has several names is known by the first
        join.know(name, array, array)
    inputs = [join.know(name, a, b) for name, a, b in zip(examples.names, runs[0][0], runs[1][0], strict=True)]
    g = Writer(state, inputs, (examples.names[0], examples.dims[0]))
    for first, second in itertools.zip_longest(runs[0][1], runs[1][1]):
        if first is None or second is None or first.op is not second.op:
            raise ONNXError(
                "the model applies other operations for one input than for another: an ONNX graph has one path"
            )
        _write(g, join, first, second)
    proto = g.model(_outputs(join, runs[0][2], runs[1][2]))
    for size in (examples.size, n + 2)[: 1 + dynamic]:
        _compare(model, Graph(proto), examples, size)
    return proto


def _run(
    model: Module, examples: Examples, size: int, trial: int
) -> tuple[list[NDArray[Any]], list[Call], list[tuple[str, Any]]]:
    """The arrays that the model was given, its calls, and its outputs by name."""
    args, arrays = examples.draw(size, trial)
    try:
        calls, output = trace(model, args)
    except (ValueError, RuntimeError, IndexError) as error:
        if isinstance(error, ONNXError):
            raise
        shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(examples.names, arrays, strict=True))
        raise ONNXError(
            f"the model does not run at batch size {size}, with {shapes} (batch_dim={examples.dims}): {error}"
        ) from error
    return arrays, calls, leaves(output, "output")


def _state(model: Module) -> dict[str, tuple[NDArray[Any], str]]:
    """Parameters and buffers by name, and which of the two they are."""
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    tensors = {**dict(model.named_buffers()), **dict(model._named_state())}
    return {name: (t.array, "parameter" if name in parameters else "buffer") for name, t in tensors.items()}


def _write(g: Writer, join: Join, first: Call, second: Call) -> None:
    """The nodes for one call, as it was in both runs."""
    g.layer = first.layer
    try:
        if first.op not in WRITERS:
            if _is_constant(join, first, second):
                return  # and so are its results, which are written where they are used
            raise ONNXError("there is no translation of it")
        options = {name: join(value, second.options[name]) for name, value in first.options.items()}
        results = WRITERS[first.op](g, *join(first.inputs, second.inputs), **options)
        results = results if isinstance(results, tuple) else (results,)
        for result, a, b in zip(results, first.results, second.results, strict=True):
            join.know(result, a, b)
    except ONNXError as error:
        where = f"layer {first.layer}: " if first.layer else ""
        raise type(error)(f"{where}{first.op.__name__} cannot be written as ONNX: {error}") from None


def _is_constant(join: Join, first: Call, second: Call) -> bool:
    """True if a call was given nothing that the graph computes."""
    given = leaves([first.inputs, first.options], "")
    arrays = [value for _, value in given if isinstance(value, np.ndarray)]
    return not any(id(array) in join.known[0] for array in arrays)


def _outputs(join: Join, first: list[tuple[str, Any]], second: list[tuple[str, Any]]) -> list[tuple[str, Value]]:
    if not first:
        raise ONNXError("the model returns nothing")
    if len(first) != len(second):
        raise ONNXError(f"the model returns {len(first)} arrays for one batch and {len(second)} for another")
    outputs = []
    for (name, a), (_, b) in zip(first, second, strict=True):
        if not isinstance(a, Tensor):
            raise ONNXError(f"the model returns a {type(a).__name__} as {name}: an ONNX graph returns arrays only")
        try:
            value = join(a.array, b.array)
        except ONNXError as error:
            raise ONNXError(f"{name}: {error}") from None
        if not isinstance(value, Value):
            raise ONNXError(f"{name} does not depend on the input")
        outputs.append((name, value))
    return outputs


def _compare(model: Module, graph: Graph, examples: Examples, size: int) -> None:
    """Errors: ONNXError unless the graph gives what the model does."""
    args, arrays = examples.draw(size)
    results = graph(*map(of_array, arrays))
    results = results if isinstance(results, tuple) else (results,)
    for (name, expected), found in zip(leaves(model(*args), "output"), results, strict=True):
        a, b = expected.array, found.array
        scale = np.abs(a[np.isfinite(a)]).max(initial=0.0)
        if a.shape != b.shape or not np.allclose(a, b, rtol=1e-3, atol=1e-4 * scale, equal_nan=True):
            raise ONNXError(
                f"{name} of the graph is not the model's at batch size {size}, shapes {b.shape} and {a.shape}: the "
                "model does something that is not recorded, or does not do the same for every batch size and value"
            )
